"""Variables' values and the addresses that are made of them, hoisted out of the loops that do not change them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from autotune.lowering.ir import Buffer
from autotune.targets.llvm.emitter import Emitter
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.affine import Affine, affine
from autotune.tensor_expr.expr import Binary, Const, Expr, Var


@dataclass(slots=True)
class Lanes:
    """The vectorised variable in force: its vector's width, and the mask of active lanes (None: all)."""

    var: Var
    width: int
    mask: str | None = None


@dataclass(slots=True)
class Place:
    """A flat element index taken apart: a constant, run-time terms, and how far one lane moves it."""

    offset: int
    terms: tuple[tuple[Expr, int], ...]
    lane_step: int


@dataclass(slots=True)
class Addresses:
    """Values of loop variables: constants while unrolled, SSA names (with their scope's depth) at run time."""

    emitter: Emitter
    pointers: dict[Buffer, str] = field(default_factory=dict)
    constants: dict[Var, int] = field(default_factory=dict)
    runtime: dict[Var, tuple[str, int]] = field(default_factory=dict)
    lanes: Lanes | None = None
    _forms: dict[int, tuple[Expr, Affine]] = field(default_factory=dict)
    _flat: dict[tuple[int, ...], tuple[tuple[Expr, ...], Affine]] = field(default_factory=dict)

    def form(self, expr: Expr) -> Affine:
        """The expression's linear form, computed once per node."""
        held = self._forms.get(id(expr))
        if held is None:
            held = self._forms[id(expr)] = (expr, affine(expr))
        return held[1]

    def place(self, buffer: Buffer, indices: tuple[Expr, ...]) -> Place | None:
        """Where an access points; None where a lane's place is not linear (a gather)."""
        key = (id(buffer), *map(id, indices))
        held = self._flat.get(key)
        if held is None:
            total = Affine(0, {})
            for index, stride in zip(indices, buffer.strides, strict=True):
                total = total + self.form(index).scale(stride)
            held = self._flat[key] = (indices, total)
        offset, step = held[1].const, 0
        terms: list[tuple[Expr, int]] = []
        for atom, coefficient in held[1].terms.values():
            if isinstance(atom, Var):
                if atom in self.constants:
                    offset += coefficient * self.constants[atom]
                elif self.lanes is not None and atom is self.lanes.var:
                    step = coefficient
                else:
                    terms.append((atom, coefficient))
            elif self.lanes is not None and self.uses(atom, self.lanes.var):
                return None
            else:
                value = self.constant(atom)
                if value is None:
                    terms.append((atom, coefficient))
                else:
                    offset += coefficient * value
        return Place(offset, tuple(terms), step)

    def uses(self, expr: Expr, var: Var) -> bool:
        """Whether the variable occurs in the expression."""
        stack: list[Expr] = [expr]
        while stack:
            node = stack.pop()
            if node is var:
                return True
            stack.extend(node.children)
        return False

    def constant(self, expr: Expr) -> int | None:
        """The value of an index expression where unrolled variables make it a constant."""
        if isinstance(expr, Const):
            return int(expr.value)
        if isinstance(expr, Var):
            return self.constants.get(expr)
        if not isinstance(expr, Binary):
            return None
        a, b = self.constant(expr.a), self.constant(expr.b)
        if a is None or b is None:
            return None
        return _FOLD[expr.op](a, b)

    def pointer(self, buffer: Buffer, place: Place) -> str:
        """The address of the place's first lane."""
        size = dtypes.itemsize(buffer.dtype)
        base, depth = self.pointers[buffer], 0
        located = sorted(((self.depth(atom), atom, coefficient) for atom, coefficient in place.terms), key=lambda t: t[0])
        for level, atom, coefficient in located:
            depth = max(depth, level)
            value, _ = self.scalar(atom)
            scaled = value if coefficient * size == 1 else self.emitter.pure(depth, f"mul nsw i64 {value}, {coefficient * size}")
            base = self.emitter.pure(depth, f"getelementptr i8, ptr {base}, i64 {scaled}")
        if place.offset:
            base = self.emitter.pure(depth, f"getelementptr i8, ptr {base}, i64 {place.offset * size}")
        return base

    def depth(self, expr: Expr) -> int:
        """The outermost scope in which the expression can be computed."""
        deepest = 0
        stack: list[Expr] = [expr]
        while stack:
            node = stack.pop()
            if isinstance(node, Var) and node in self.runtime:
                deepest = max(deepest, self.runtime[node][1])
            stack.extend(node.children)
        return deepest

    def scalar(self, expr: Expr) -> tuple[str, int]:
        """A scalar index expression as an i64, and the depth at which it stands."""
        folded = self.constant(expr)
        if folded is not None:
            return str(folded), 0
        if isinstance(expr, Var):
            return self.runtime[expr]
        form = self.form(expr)
        if len(form.terms) == 1 and not form.const and next(iter(form.terms.values()))[1] == 1:
            return self._atom(next(iter(form.terms.values()))[0])
        total: str | None = None
        depth, offset = 0, form.const
        for atom, coefficient in form.terms.values():
            value, level = self.scalar(atom)
            if value.lstrip("-").isdigit():
                offset += int(value) * coefficient
                continue
            if coefficient != 1:
                value = self.emitter.pure(level, f"mul nsw i64 {value}, {coefficient}")
            depth = max(depth, level)
            total = value if total is None else self.emitter.pure(depth, f"add nsw i64 {total}, {value}")
        assert total is not None
        return (self.emitter.pure(depth, f"add nsw i64 {total}, {offset}") if offset else total), depth

    def _atom(self, expr: Expr) -> tuple[str, int]:
        if isinstance(expr, Var):
            return self.runtime[expr]
        assert isinstance(expr, Binary), expr
        (a, depth_a), (b, depth_b) = self.scalar(expr.a), self.scalar(expr.b)
        depth = max(depth_a, depth_b)
        return integer_operation(expr.op, a, b, "i64", lambda text: self.emitter.pure(depth, text)), depth


_FOLD: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "floordiv": lambda a, b: a // b,
    "mod": lambda a, b: a % b,
    "min": min,
    "max": max,
}


def integer_operation(op: str, a: str, b: str, kind: str, emit: Callable[[str], str]) -> str:
    """Integer arithmetic with Python's rounding of ``//`` and ``%`` towards minus infinity."""
    if op in ("add", "sub", "mul"):
        return emit(f"{op} {kind} {a}, {b}")
    if op in ("min", "max"):
        comparison = emit(f"icmp {'slt' if op == 'min' else 'sgt'} {kind} {a}, {b}")
        return emit(f"select {_bools(kind)} {comparison}, {kind} {a}, {kind} {b}")
    if b.isdigit() and int(b) & (int(b) - 1) == 0 and int(b) > 0:
        if op == "floordiv":
            return emit(f"ashr {kind} {a}, {int(b).bit_length() - 1}")
        return emit(f"and {kind} {a}, {int(b) - 1}")
    quotient, remainder = emit(f"sdiv {kind} {a}, {b}"), emit(f"srem {kind} {a}, {b}")
    zero = "0" if not kind.startswith("<") else "zeroinitializer"
    inexact = emit(f"icmp ne {kind} {remainder}, {zero}")
    signs = emit(f"xor {kind} {remainder}, {b}")
    opposite = emit(f"icmp slt {kind} {signs}, {zero}")
    adjust = emit(f"and {_bools(kind)} {inexact}, {opposite}")
    if op == "floordiv":
        step = emit(f"sext {_bools(kind)} {adjust} to {kind}")
        return emit(f"add {kind} {quotient}, {step}")
    moved = emit(f"add {kind} {remainder}, {b}")
    return emit(f"select {_bools(kind)} {adjust}, {kind} {moved}, {kind} {remainder}")


def _bools(kind: str) -> str:
    return f"<{kind.split()[0][1:]} x i1>" if kind.startswith("<") else "i1"
