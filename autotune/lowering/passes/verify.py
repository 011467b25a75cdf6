"""Checks that a lowered function means something: scopes, dtypes, loop kinds, definitions before uses, and bounds.

An access is in bounds where interval analysis, with the conditions around it, proves so. What a condition on data
guards, or what data addresses, cannot be decided here and is left to the interpreter; so are races, other than those of
a store that every iteration of a parallel or vectorised loop makes to one and the same element.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from autotune.errors import AutotuneError
from autotune.lowering.analysis import function_ranges
from autotune.lowering.ir import (
    Allocate,
    Atomic,
    Block,
    Buffer,
    For,
    Function,
    If,
    Intrinsic,
    Prefetch,
    Stmt,
    Store,
    children,
    expressions,
    loads,
    statements,
    stores,
)
from autotune.lowering.passes.verify_values import indices_problem, value_problem
from autotune.lowering.python_source import CONCURRENT
from autotune.lowering.races import shared_store
from autotune.schedules.state import KINDS
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.affine import affine
from autotune.tensor_expr.expr import Binary, Compare, Const, Expr, Load, Not, Select, Var, walk
from autotune.tensor_expr.ranges import Ranges


class VerifyError(AutotuneError):
    """A pass has produced a function that means nothing; the sentence names the statement."""


def verify(function: Function) -> Function:
    """The function, or ``VerifyError`` saying what is wrong with it."""
    _check_once(function)
    parameters = frozenset(param.buffer for param in function.params)
    written = {param.buffer for param in function.params if param.buffer.role != "output"}
    _check(function.body, _Scope(frozenset(), parameters, (), function_ranges(function), written))
    for buffer in parameters - written:
        raise VerifyError(f"output {buffer.name!r} is never stored to")
    return function


def _check_once(function: Function) -> None:
    """Parameters are distinct and as large as their layouts say; a loop's variable and a buffer exist in one place."""
    buffers = [param.buffer for param in function.params]
    for param in function.params:
        shape = param.shape if param.layout is None else param.layout.shape(param.shape)
        if param.buffer.shape != shape or param.buffer.role == "local" or buffers.count(param.buffer) > 1:
            raise VerifyError(f"parameter {param.buffer.name!r} is {list(param.buffer.shape)}, but holds {list(shape)}")
    seen: set[Var | Buffer] = set(buffers)
    for stmt in statements(function.body):
        if isinstance(stmt, (For, Allocate)):
            made: Var | Buffer = stmt.var if isinstance(stmt, For) else stmt.buffer
            if made in seen:
                what = "loop variable" if isinstance(made, Var) else "buffer"
                raise VerifyError(f"{what} {made.name!r} exists twice")
            seen.add(made)


@dataclass(frozen=True, slots=True)
class _Scope:
    """What is in force where a statement stands. ``written`` grows as statements are checked in their order."""

    variables: frozenset[Var]
    buffers: frozenset[Buffer]
    loops: tuple[For, ...]
    ranges: Ranges
    written: set[Buffer]
    conditional: bool = False


def _check(stmt: Stmt, scope: _Scope) -> None:
    stack = [(stmt, scope)]
    while stack:
        inner, known = stack.pop()
        if isinstance(inner, Block):
            stack.extend((part, known) for part in reversed(inner.statements))
        elif isinstance(inner, Allocate):
            if inner.buffer.role != "local":
                raise VerifyError(f"buffer {inner.buffer.name!r} is allocated, but it is no local one")
            stack.append((inner.body, replace(known, buffers=known.buffers | {inner.buffer})))
        else:
            _check_one(inner, known)


def _check_one(stmt: Stmt, scope: _Scope) -> None:
    for root in expressions(stmt):
        _check_expression(root, scope)
    if isinstance(stmt, For):
        _check_loop(stmt, scope)
        _check(stmt.body, replace(scope, variables=scope.variables | {stmt.var}, loops=(*scope.loops, stmt)))
    elif isinstance(stmt, If):
        _require(stmt.condition.dtype == "bool", "a condition", "bool", stmt.condition.dtype)
        for branch, holds in ((stmt.then, True), (stmt.otherwise, False)):
            if branch is not None and not _refuted(scope.ranges, stmt.condition, holds):
                known = _knowing(scope.ranges, stmt.condition, holds)
                _check(branch, replace(scope, ranges=known, conditional=True))
    else:
        for store in stores(stmt):
            _check_store(store, scope)
        if isinstance(stmt, Atomic):
            _check_update(stmt.store)
        if len({store.buffer for store in stores(stmt)}) < len(stores(stmt)):
            first = stores(stmt)[0].buffer.name
            raise VerifyError(f"{first!r} and what is stored with it are not all different buffers")
        if isinstance(stmt, Prefetch) and stmt.buffer not in scope.buffers:
            raise VerifyError(f"a statement prefetches {stmt.buffer.name!r}, which does not exist there")
        if isinstance(stmt, Intrinsic) and sum(isinstance(inner, Store) for inner in statements(stmt)) != 1:
            raise VerifyError(f"instruction {stmt.name!r} stands for a body of one store")
        for child in children(stmt):
            _check(child, scope)


def _check_store(store: Store, scope: _Scope) -> None:
    _require(store.value.dtype == store.buffer.dtype, store.buffer.name, store.buffer.dtype, store.value.dtype)
    _check_access("stores to", store.buffer, store.indices, scope)
    _refuse(indices_problem(f"of a store to {store.buffer.name}", store.indices))
    if store.buffer.role in ("input", "constant"):
        raise VerifyError(f"{store.buffer.name!r} is stored to, but it is the caller's {store.buffer.role}")
    scope.written.add(store.buffer)


def _check_update(store: Store) -> None:
    value = store.value
    element = value.a if isinstance(value, Binary) else value
    same = isinstance(element, Load) and element.buffer is store.buffer and element.indices == store.indices
    if not same or [load.buffer for load in loads(store)].count(store.buffer) != 1:
        raise VerifyError(f"an atomic update of {store.buffer.name!r} is not one operation on the element and a value")


def _check_loop(loop: For, scope: _Scope) -> None:
    kinds, name = [around.kind for around in scope.loops], loop.var.name
    if loop.kind not in KINDS:
        raise VerifyError(f"loop {name!r} is {loop.kind}; loops are {', '.join(KINDS)}")
    if loop.kind == "parallel" and set(kinds) & {"parallel", "vectorize"}:
        raise VerifyError(f"parallel loop {name!r} stands inside a {kinds[-1]} loop")
    if loop.kind == "vectorize":
        if "vectorize" in kinds:
            raise VerifyError(f"vectorized loop {name!r} stands inside a vectorized loop")
        if isinstance(loop.extent, Const) and not 1 <= int(loop.extent.value) <= loop.lanes:
            raise VerifyError(f"vectorized loop {name!r} has {loop.extent.value} of {loop.lanes} lanes")
    if loop.kind == "unroll" and not isinstance(loop.extent, Const):
        raise VerifyError(f"unrolled loop {name!r} has no constant extent")
    _require(loop.extent.dtype == dtypes.INDEX, f"the extent of {name}", dtypes.INDEX, loop.extent.dtype)
    lanes = {around.var for around in scope.loops if around.kind == "vectorize"}
    if any(isinstance(node, Var) and node in lanes for node in walk([loop.extent])):
        raise VerifyError(f"lanes of a vectorized loop differ in how often loop {name!r} runs")
    if loop.kind in CONCURRENT and scope.ranges.interval(affine(loop.extent))[1] > 1:
        store = shared_store(loop)
        if store is not None:
            raise VerifyError(
                f"race: every iteration of the {loop.kind} loop {name!r} stores to one element of "
                f"{store.buffer.name!r}, which outlives the iteration"
            )


def _check_expression(root: Expr, scope: _Scope) -> None:
    """Scopes and dtypes of all nodes, then the loads, each under the conditions that guard it."""
    for node in walk([root]):
        _refuse(value_problem(node))
        if isinstance(node, Var) and node not in scope.variables:
            raise VerifyError(f"variable {node.name!r} is used outside of its loop")
    seen: dict[tuple[int, int], Ranges] = {}  # the ranges stay alive, so that no other ones get their id
    stack: list[tuple[Expr, Ranges, bool]] = [(root, scope.ranges, scope.conditional)]
    while stack:
        node, ranges, conditional = stack.pop()
        if (id(node), id(ranges)) in seen:
            continue
        seen[id(node), id(ranges)] = ranges
        if isinstance(node, Load):
            _check_access("loads from", node.buffer, node.indices, replace(scope, ranges=ranges))
            if node.buffer not in scope.written and not conditional:
                raise VerifyError(f"a statement loads from {node.buffer.name!r} before anything is stored there")
        if isinstance(node, Select):
            stack.append((node.condition, ranges, conditional))
            for arm, chosen in ((node.a, True), (node.b, False)):
                if not _refuted(ranges, node.condition, chosen):
                    stack.append((arm, _knowing(ranges, node.condition, chosen), True))
        else:
            stack.extend((child, ranges, conditional) for child in node.children)


def _check_access(verb: str, buffer: Buffer, indices: tuple[Expr, ...], scope: _Scope) -> None:
    if buffer not in scope.buffers:
        raise VerifyError(f"a statement {verb} {buffer.name!r}, which does not exist there")
    if len(indices) != len(buffer.shape):
        raise VerifyError(f"a statement {verb} {buffer.name!r} with {len(indices)} of {len(buffer.shape)} indices")
    for dim, (index, size) in enumerate(zip(indices, buffer.shape, strict=True)):
        form = affine(index)
        low, high = scope.ranges.interval(form)
        # Certain to miss. Less is no proof of an error, and an empty interval belongs to a loop that never runs.
        if low <= high and (high < 0 or low >= size):
            raise VerifyError(
                f"a statement {verb} {buffer.name!r} out of bounds: index {dim} is {low} to {high} of {size}"
            )


def _knowing(ranges: Ranges, condition: Expr, holds: bool) -> Ranges:
    """The ranges where a condition holds, or does not."""
    for test, truth in _tests(condition, holds):
        if isinstance(test, Compare) and test.a.dtype == dtypes.INDEX and test.op in _BOUNDS:
            below = (test.op in ("lt", "le")) == truth
            form = affine(test.a) - affine(test.b)
            strict = (test.op in ("lt", "gt")) == truth
            ranges = ranges.with_fact(form if below else form.scale(-1), -1 if strict else 0)
    return ranges


def _refuted(ranges: Ranges, condition: Expr, holds: bool) -> bool:
    """Whether a condition can never hold, or never fail: what it guards is dead."""
    return any(
        ranges.decide(test.op, affine(test.a), affine(test.b)) is (not truth)
        for test, truth in _tests(condition, holds)
        if isinstance(test, Compare) and test.a.dtype == dtypes.INDEX
    )


_BOUNDS = ("lt", "le", "gt", "ge")


def _tests(condition: Expr, holds: bool) -> Iterable[tuple[Expr, bool]]:
    stack = [(condition, holds)]
    while stack:
        node, truth = stack.pop()
        if isinstance(node, Not):
            stack.append((node.a, not truth))
        elif isinstance(node, Binary) and node.op == ("and" if truth else "or"):
            stack += [(node.a, truth), (node.b, truth)]
        else:
            yield node, truth


def _require(holds: bool, what: str, expected: str, got: str) -> None:
    if not holds:
        raise VerifyError(f"{what} should be {expected}, but is {got}")


def _refuse(problem: str) -> None:
    if problem:
        raise VerifyError(problem)
