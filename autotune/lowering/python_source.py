"""Loop IR -> Python source: what the interpreter executes.

Every buffer is a flat list in which ``None`` is memory that holds no value yet. Each load and store checks its indices;
those that iterations could race on also tell a shadow of the buffer who they are. Names: ``v`` loop variables, ``k``
iterations of concurrent loops, ``t`` temporaries, ``B`` buffers, ``E`` their empty contents, ``S`` shadows.

Python nests only so many blocks, so that those which nest deeply become functions of their own; expressions are walked
without recursion, and an operand that a select does not choose is not evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autotune.lowering.ir import (
    Allocate,
    Atomic,
    Buffer,
    For,
    Function,
    If,
    Intrinsic,
    Prefetch,
    Stmt,
    Store,
    Together,
    children,
    in_sequence,
    stores,
)
from autotune.lowering.python_values import cast, computed, literal, narrowed, rounded
from autotune.schedules.details import THREADS
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import SHIFTS, Binary, Call, Cast, Compare, Const, Expr, Load, Not, Select, Var, walk

# Kinds of loops whose iterations run at the same time, or in any order.
CONCURRENT = ("parallel", "vectorize", *THREADS)
MAX_NESTING = 8
MAX_TEXT = 100
_SYMBOLS = {
    "add": "+", "sub": "-", "mul": "*", "floordiv": "//", "mod": "%", "and": "&", "or": "|", "xor": "^",
    "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=",
}  # fmt: skip
_NAMES = re.compile(r"\b[vkt]\d+\b")
_DEFINED = re.compile(r"^(?:for )?([vkt]\d+) (?:=|in) ")

Task = Generator[Any, str, str]
Known = dict[int, str]


@dataclass(frozen=True, slots=True)
class Access:
    """One load or store where it stands: its statement and the loops around."""

    verb: str
    buffer: Buffer | None
    stmt: Stmt
    loops: tuple[For, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """The text, and what its names stand for."""

    text: str
    buffers: Mapping[Buffer, str]
    shadows: Mapping[str, tuple[For, Buffer]]
    accesses: tuple[Access, ...]


def python_source(function: Function) -> Source:
    """The source of ``run()``, which executes a lowered function on the buffers that its globals hold."""
    return _Writer(function).source()


class _Lines:
    """The lines of one block with their indentation, and how deep blocks nest in it."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str]] = []
        self.height = 0

    def add(self, text: str) -> None:
        self.lines.append((0, text))

    def text(self, depth: int) -> str:
        return "\n".join("    " * (depth + indent) + line for indent, line in self.lines or [(0, "pass")])


@dataclass(frozen=True, slots=True)
class _Scope:
    """Where a statement stands: the loops around it, and the concurrent loops that each buffer outlives."""

    loops: tuple[For, ...] = ()
    watched: Mapping[Buffer, tuple[For, ...]] = field(default_factory=dict)


class _Writer:
    def __init__(self, function: Function) -> None:
        self.function = function
        self.buffers: dict[Buffer, str] = {}
        self.shadows: dict[str, tuple[For, Buffer]] = {}
        self.names: dict[Var, str] = {}
        self.accesses: list[Access] = []
        self.functions: list[str] = []
        self.stmt: Stmt = function.body  # the one that is being written, and where it stands
        self.scope = _Scope()
        self.uses: dict[int, int] = {}
        self.pure: set[int] = set()  # index arithmetic on loop variables, which never wraps around
        self.count = 0

    def source(self) -> Source:
        for param in self.function.params:
            self._buffer(param.buffer)
        body = _Lines()
        self._statement(self.function.body, body, _Scope())
        text = "\n\n".join([*self.functions, f"def run():\n{body.text(1)}\n"])
        return Source(text, self.buffers, self.shadows, tuple(self.accesses))

    def _fresh(self, letter: str) -> str:
        self.count += 1
        return f"{letter}{self.count}"

    def _buffer(self, buffer: Buffer) -> str:
        return self.buffers.setdefault(buffer, f"B{len(self.buffers)}")

    def _temporary(self, text: str, lines: _Lines) -> str:
        name = self._fresh("t")
        lines.add(f"{name} = {text}")
        return name

    def _nest(self, outer: _Lines, header: str, inner: _Lines, result: str = "") -> None:
        """A block inside another; as a call where it has become too deep. ``result`` is the name that it assigns."""
        if inner.height >= MAX_NESTING:
            inner = self._called(inner, result)
        outer.add(header)
        outer.lines += [(indent + 1, line) for indent, line in inner.lines or [(0, "pass")]]
        outer.height = max(outer.height, inner.height + 1)

    def _called(self, body: _Lines, result: str) -> _Lines:
        used = {name for _, line in body.lines for name in _NAMES.findall(line)}
        defined = {match.group(1) for _, line in body.lines if (match := _DEFINED.match(line))}
        params = ", ".join(sorted(used - defined))
        name = f"part{len(self.functions)}"
        ending = f"\n    return {result}" if result else ""
        self.functions.append(f"def {name}({params}):\n{body.text(1)}{ending}")
        call = _Lines()
        call.add(f"{result} = {name}({params})" if result else f"{name}({params})")
        return call

    # -- statements --------------------------------------------------------------------------------------------

    def _statement(self, stmt: Stmt, lines: _Lines, scope: _Scope) -> None:
        for inner in in_sequence(stmt):
            self._one(inner, lines, scope)

    def _one(self, stmt: Stmt, lines: _Lines, scope: _Scope) -> None:
        """One statement; an allocation without what it holds."""
        self.stmt, self.scope = stmt, scope
        if isinstance(stmt, (Store, Together, Atomic)):
            self._stores(stores(stmt), lines)
        elif isinstance(stmt, For):
            self._loop(stmt, lines, scope)
        elif isinstance(stmt, If):
            (condition,) = self._values((stmt.condition,), lines)
            for header, branch in ((f"if {condition}:", stmt.then), ("else:", stmt.otherwise)):
                if branch is not None:
                    inside = _Lines()
                    self._statement(branch, inside, scope)
                    self._nest(lines, header, inside)
        elif isinstance(stmt, Intrinsic):
            self._statement(stmt.body, lines, scope)
        elif not isinstance(stmt, Prefetch):
            assert isinstance(stmt, Allocate), stmt
            name = self._buffer(stmt.buffer)
            lines.add(f"{name}[:] = E{name[1:]}")

    def _stores(self, group: tuple[Store, ...], lines: _Lines) -> None:
        """Stores that take effect together: every value and index is known before the first of them."""
        values = self._values([root for store in group for root in (*store.indices, store.value)], lines)
        for store in group:
            count = len(store.indices)
            indices, value, values = values[:count], values[count], values[count + 1 :]
            offset = self._checked("write", store.buffer, indices, lines)
            lines.add(f"{self.buffers[store.buffer]}[{offset}] = {narrowed(value, store.buffer.dtype)}")

    def _loop(self, loop: For, lines: _Lines, scope: _Scope) -> None:
        (extent,) = self._values((loop.extent,), lines)
        if not extent.isidentifier() and not extent.isdigit():
            extent = self._temporary(extent, lines)
        if loop.kind == "vectorize":
            lines.add(f"if {extent} > {loop.lanes}: raise {self._fault('too_wide', 'run', None, extent)}")
        count = _direct_stores(loop.body)
        if count:
            lines.add(f"spend({count} * {extent})")
        var = self.names[loop.var] = self._fresh("v")
        inside = _Lines()
        if loop.kind not in CONCURRENT:
            self._statement(loop.body, inside, _watching(loop, scope))
            self._nest(lines, f"for {var} in range({extent}):", inside)
            return
        base = self._temporary(f"iterations({extent})", lines)
        inside.add(f"{self._iteration(loop)} = {base} + {var}")
        self._statement(loop.body, inside, _watching(loop, scope))
        for shadow in [name for name, (owner, _) in self.shadows.items() if owner is loop]:
            lines.add(f"{shadow}.base = {base}")
        self._nest(lines, f"for {var} in shuffled({extent}):", inside)

    def _iteration(self, loop: For) -> str:
        """The name of a number that no other iteration of any concurrent loop has."""
        return f"k{self.names[loop.var][1:]}"

    # -- accesses ----------------------------------------------------------------------------------------------

    def _fault(self, kind: str, verb: str, buffer: Buffer | None, *arguments: str) -> str:
        variables = "".join(f"{self.names[loop.var]}, " for loop in self.scope.loops)
        return f"{kind}({', '.join([str(self._access(verb, buffer)), f'({variables})', *arguments])})"

    def _access(self, verb: str, buffer: Buffer | None) -> int:
        self.accesses.append(Access(verb, buffer, self.stmt, self.scope.loops))
        return len(self.accesses) - 1

    def _checked(self, verb: str, buffer: Buffer, indices: list[str], lines: _Lines) -> str:
        """The offset of an element, after the checks of its indices and of races."""
        places = [index if index.isalnum() else self._temporary(index, lines) for index in indices]
        given = f"({''.join(f'{place}, ' for place in places)})"
        pairs = list(zip(places, buffer.shape, strict=True))
        tests = [f"0 <= {place} < {size}" for place, size in pairs if not (place.isdigit() and int(place) < size)]
        if tests:
            lines.add(f"if not ({' and '.join(tests)}): raise {self._fault('out_of_bounds', verb, buffer, given)}")
        strides = zip(places, buffer.strides, strict=True)
        text = " + ".join(place if stride == 1 else f"{place} * {stride}" for place, stride in strides) or "0"
        offset = text if text.isalnum() else self._temporary(text, lines)
        name = self._buffer(buffer)
        for loop in self.scope.watched.get(buffer, ()):
            shadow = f"S{name[1:]}_{self.names[loop.var][1:]}"
            self.shadows[shadow] = (loop, buffer)
            access = self._access(verb, buffer)
            touch = "update" if isinstance(self.stmt, Atomic) and self.stmt.store.buffer is buffer else verb
            lines.add(f"{shadow}.{touch}({offset}, {self._iteration(loop)}, {access})")
        return offset

    # -- expressions -------------------------------------------------------------------------------------------

    def _values(self, roots: Any, lines: _Lines) -> list[str]:
        """The texts of expressions; what is not worth its text has been assigned to a temporary."""
        self.uses = {}
        for node in walk(roots):
            for child in node.children:
                self.uses[id(child)] = self.uses.get(id(child), 0) + 1
        known: Known = {}
        return [_completed(self._value(root, lines, known)) for root in roots]

    def _value(self, root: Expr, lines: _Lines, known: Known) -> Task:
        for node in _plan(root, known):
            if isinstance(node, Select):
                text = yield self._select(node, lines, known)
            else:
                text = self._node(node, [known[id(child)] for child in node.children], lines)
                if (self.uses.get(id(node), 0) > 1 or len(text) > MAX_TEXT) and not text.isidentifier():
                    text = self._temporary(text, lines)
            known[id(node)] = text
        return known[id(root)]

    def _select(self, node: Select, lines: _Lines, known: Known) -> Task:
        condition, result = known[id(node.condition)], self._fresh("t")
        for header, arm in ((f"if {condition}:", node.a), ("else:", node.b)):
            inside = _Lines()
            value = yield self._value(arm, inside, dict(known))
            inside.add(f"{result} = {value}")
            self._nest(lines, header, inside, result)
        return result

    def _node(self, node: Expr, v: list[str], lines: _Lines) -> str:
        if isinstance(node, Const):
            return literal(node)
        if isinstance(node, Var):
            self.pure.add(id(node))
            return self.names[node]
        if isinstance(node, Binary):
            return self._binary(node, v)
        if isinstance(node, Compare):
            return f"({v[0]} {_SYMBOLS[node.op]} {v[1]})"
        if isinstance(node, Not):
            return f"(not {v[0]})"
        if isinstance(node, Cast):
            return cast(v[0], node.a.dtype, node.dtype)
        if isinstance(node, Call):
            return rounded(f"call_{node.name}({', '.join(v)})", node.dtype)
        assert isinstance(node, Load), node
        offset = self._checked("read", node.buffer, v, lines)
        name = self._temporary(f"{self.buffers[node.buffer]}[{offset}]", lines)
        lines.add(f"if {name} is None: raise {self._fault('uninitialised', 'read', node.buffer, offset)}")
        return name

    def _binary(self, node: Binary, v: list[str]) -> str:
        a, b = v
        if node.op in ("min", "max"):
            return f"{node.op}imum({a}, {b})" if dtypes.is_float(node.dtype) else f"{node.op}({a}, {b})"
        if dtypes.is_float(node.dtype) and node.op in ("div", "floordiv", "mod"):
            return rounded(f"{node.op}_{computed(node.dtype)}({a}, {b})", node.dtype)
        if node.op in SHIFTS or (node.op in ("floordiv", "mod") and not (isinstance(node.b, Const) and node.b.value)):
            bits = f", {np.iinfo(node.dtype).bits}" if node.op in SHIFTS else ""
            return rounded(f"{node.op}_integer({a}, {b}{bits})", node.dtype)
        text = f"({a} {_SYMBOLS[node.op]} {b})"
        if node.dtype == dtypes.INDEX and all(id(c) in self.pure or isinstance(c, Const) for c in (node.a, node.b)):
            self.pure.add(id(node))
            return text
        return rounded(text, node.dtype) if node.dtype != "bool" else text


def _completed(task: Task) -> str:
    """The value of a task whose operands are tasks themselves, run without recursion."""
    tasks, value = [task], ""
    while tasks:
        try:
            tasks.append(tasks[-1].send(value or None))  # type: ignore[arg-type]
            value = ""
        except StopIteration as finished:
            tasks.pop()
            value = finished.value
    return value


def _plan(root: Expr, known: Known) -> list[Expr]:
    """The nodes to evaluate, operands before users, without what stands in the arms of selects."""
    found: list[Expr] = []
    seen = set(known)
    stack: list[tuple[Expr, bool]] = [(root, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            found.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            operands = (node.condition,) if isinstance(node, Select) else node.children
            stack.extend((child, False) for child in reversed(operands) if id(child) not in seen)
    return found


def _watching(loop: For, scope: _Scope) -> _Scope:
    """The scope inside a loop: a concurrent one watches what it stores to in buffers that outlive an iteration."""
    watched = dict(scope.watched)
    if loop.kind in CONCURRENT:
        stored, inside = set[Buffer](), set[Buffer]()
        stack: list[Stmt] = [loop.body]
        while stack:
            stmt = stack.pop()
            stack += children(stmt)
            stored.update(store.buffer for store in stores(stmt))
            if isinstance(stmt, Allocate):
                inside.add(stmt.buffer)
        for buffer in stored - inside:
            watched[buffer] = (*watched.get(buffer, ()), loop)
    return _Scope((*scope.loops, loop), watched)


def _direct_stores(stmt: Stmt) -> int:
    """How many stores a statement holds outside of loops."""
    count, stack = 0, [stmt]
    while stack:
        inner = stack.pop()
        if not isinstance(inner, For):
            count += len(stores(inner))
            stack += children(inner)
    return count
