"""Checks that a lowered function means something: scopes, dtypes, loop kinds, and accesses in bounds.

An access is in bounds where interval analysis, with the conditions around it, proves so. What a condition on data
guards, or what data addresses, cannot be decided here and is left to the interpreter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from autotune.errors import AutotuneError
from autotune.lowering.analysis import function_ranges
from autotune.lowering.ir import Allocate, Buffer, For, Function, If, Stmt, Store, children, expressions
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.affine import affine
from autotune.tensor_expr.expr import Binary, Cast, Compare, Const, Expr, Load, Not, Select, Var, walk
from autotune.tensor_expr.ranges import Ranges

KINDS = ("serial", "parallel", "unroll", "vectorize")


class VerifyError(AutotuneError):
    """A pass has produced a function that means nothing; the sentence names the statement."""


def verify(function: Function) -> Function:
    """The function, or ``VerifyError`` saying what is wrong with it."""
    buffers = frozenset(param.buffer for param in function.params)
    _check(function.body, _Scope(frozenset(), buffers, (), function_ranges(function)))
    return function


@dataclass(frozen=True, slots=True)
class _Scope:
    """What is in force where a statement stands."""

    variables: frozenset[Var]
    buffers: frozenset[Buffer]
    kinds: tuple[str, ...]
    ranges: Ranges


def _check(stmt: Stmt, scope: _Scope) -> None:
    for root in expressions(stmt):
        _check_expression(root, scope)
    if isinstance(stmt, For):
        _check_loop(stmt, scope)
        inner = _Scope(scope.variables | {stmt.var}, scope.buffers, (*scope.kinds, stmt.kind), scope.ranges)
        _check(stmt.body, inner)
    elif isinstance(stmt, Allocate):
        if stmt.buffer in scope.buffers or stmt.buffer.role != "local":
            raise VerifyError(f"buffer {stmt.buffer.name!r} is allocated twice, or is a parameter")
        _check(stmt.body, _Scope(scope.variables, scope.buffers | {stmt.buffer}, scope.kinds, scope.ranges))
    elif isinstance(stmt, If):
        _require(stmt.condition.dtype == "bool", "a condition", "bool", stmt.condition.dtype)
        holds = _Scope(scope.variables, scope.buffers, scope.kinds, _knowing(scope.ranges, stmt.condition, True))
        fails = _Scope(scope.variables, scope.buffers, scope.kinds, _knowing(scope.ranges, stmt.condition, False))
        if not _refuted(scope.ranges, stmt.condition, True):
            _check(stmt.then, holds)
        if stmt.otherwise is not None and not _refuted(scope.ranges, stmt.condition, False):
            _check(stmt.otherwise, fails)
    else:
        if isinstance(stmt, Store):
            _require(stmt.value.dtype == stmt.buffer.dtype, stmt.buffer.name, stmt.buffer.dtype, stmt.value.dtype)
            _check_access("stores to", stmt.buffer, stmt.indices, scope)
            if stmt.buffer.role in ("input", "constant"):
                raise VerifyError(f"{stmt.buffer.name!r} is stored to, but it is the caller's {stmt.buffer.role}")
        for child in children(stmt):
            _check(child, scope)


def _check_loop(loop: For, scope: _Scope) -> None:
    if loop.kind not in KINDS or loop.var in scope.variables:
        raise VerifyError(f"loop {loop.var.name!r} is {loop.kind}, or its variable is taken")
    if loop.kind == "parallel" and scope.kinds and set(scope.kinds) & {"parallel", "vectorize"}:
        raise VerifyError(f"parallel loop {loop.var.name!r} stands inside a {scope.kinds[-1]} loop")
    if loop.kind == "vectorize":
        if "vectorize" in scope.kinds:
            raise VerifyError(f"vectorized loop {loop.var.name!r} stands inside a vectorized loop")
        if isinstance(loop.extent, Const) and not 1 <= int(loop.extent.value) <= loop.lanes:
            raise VerifyError(f"vectorized loop {loop.var.name!r} has {loop.extent.value} of {loop.lanes} lanes")
    if loop.kind == "unroll" and not isinstance(loop.extent, Const):
        raise VerifyError(f"unrolled loop {loop.var.name!r} has no constant extent")
    _require(loop.extent.dtype == dtypes.INDEX, f"the extent of {loop.var.name}", dtypes.INDEX, loop.extent.dtype)


def _check_expression(root: Expr, scope: _Scope) -> None:
    """Scopes and dtypes of all nodes, then the bounds of loads, each under the conditions that guard it."""
    for node in walk([root]):
        if isinstance(node, Var) and node not in scope.variables:
            raise VerifyError(f"variable {node.name!r} is used outside of its loop")
        if isinstance(node, Load) and node.dtype != node.buffer.dtype:
            _require(False, f"a load of {node.buffer.name}", node.buffer.dtype, node.dtype)
        if isinstance(node, (Binary, Compare)):
            _require(node.a.dtype == node.b.dtype, f"the operands of {node.op}", node.a.dtype, node.b.dtype)
        if isinstance(node, Select):
            _require(node.condition.dtype == "bool", "a condition", "bool", node.condition.dtype)
            _require(
                node.a.dtype == node.b.dtype == node.dtype, "a select", node.dtype, f"{node.a.dtype} and {node.b.dtype}"
            )
        if isinstance(node, (Binary, Cast)) and node.dtype not in dtypes.DTYPES:
            _require(False, "a value", "a known dtype", node.dtype)
    seen: set[tuple[int, int]] = set()
    stack: list[tuple[Expr, Ranges]] = [(root, scope.ranges)]
    while stack:
        node, ranges = stack.pop()
        if (id(node), id(ranges)) in seen:
            continue
        seen.add((id(node), id(ranges)))
        if isinstance(node, Load):
            _check_access(
                "loads from", node.buffer, node.indices, _Scope(scope.variables, scope.buffers, scope.kinds, ranges)
            )
        if isinstance(node, Select):
            stack.append((node.condition, ranges))
            for arm, chosen in ((node.a, True), (node.b, False)):
                if not _refuted(ranges, node.condition, chosen):
                    stack.append((arm, _knowing(ranges, node.condition, chosen)))
        else:
            stack.extend((child, ranges) for child in node.children)


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
