"""Keep what a reduction adds up to in registers while its loops run.

Before and after, where ``c`` is in memory and ``r`` does not occur in its index ::

    for r in 0..64:                                     c.sum = buffer float32[4, 16]
        unroll for i in 0..4:                           unroll for i in 0..4:
            vectorize for j in 0..16:                       vectorize for j in 0..16:
                c[i, j] = c[i, j] + a[i, r] * b[r, j]           c.sum[i, j] = c[i, j]
                                                        for r in 0..64:
                                                            unroll for i in 0..4:
                                                                vectorize for j in 0..16:
                                                                    c.sum[i, j] = c.sum[i, j] + a[i, r] * b[r, j]
                                                        unroll for i in 0..4:
                                                            vectorize for j in 0..16:
                                                                c[i, j] = c.sum[i, j]

Only where nothing else in those loops touches ``c``, and the tile fits the target's registers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from itertools import combinations
from math import prod

from autotune.lowering.analysis import function_ranges
from autotune.lowering.ir import (
    Allocate,
    Buffer,
    For,
    Function,
    If,
    Stmt,
    Store,
    block,
    children,
    loads,
    replace_outermost,
    rewrite_statements,
    statements,
    stores,
)
from autotune.lowering.registers import register_buffers
from autotune.targets.facts import Target
from autotune.tensor_expr.affine import affine
from autotune.tensor_expr.expr import Binary, Const, Expr, Load, Var, substitute
from autotune.tensor_expr.ranges import Ranges

OPERANDS = 3  # registers that the update's own operands need


def promote_accumulators(function: Function, target: Target) -> Function:
    """The function with reductions held in register buffers where that is possible."""
    updated = {stmt.buffer for stmt in statements(function.body) if isinstance(stmt, Store) and _is_update(stmt)}
    if any(buffer.role == "local" for buffer in updated):
        updated -= register_buffers(function).keys()
    if not updated:
        return function
    promotion = _Promotion(function_ranges(function), updated, target.vector_registers - OPERANDS)
    body = replace_outermost(function.body, promotion.promoted)
    return function if body is function.body else Function(function.name, function.params, body)


@dataclass(frozen=True, slots=True)
class _Update:
    """A store ``buffer[indices] = op(buffer[indices], ...)``, and the loops with constant extents around it."""

    store: Store
    tile: tuple[For, ...]

    @property
    def cells(self) -> int:
        return prod(_extent(loop) for loop in self.tile if loop.kind == "unroll")


class _Promotion:
    def __init__(self, ranges: Ranges, candidates: Set[Buffer], registers: int) -> None:
        self.ranges = ranges
        self.candidates = candidates
        self.registers = registers

    def promoted(self, stmt: Stmt) -> Stmt | None:
        """Promote at the outermost loops that allow it; a buffer inside of a vectorised loop would be one per lane."""
        if isinstance(stmt, For) and stmt.kind == "vectorize":
            return stmt
        if isinstance(stmt, For) and stmt.kind == "serial":
            updates = self._updates(stmt)
            if updates:
                return _promoted(stmt, updates)
        return None

    def _updates(self, loop: For) -> list[_Update]:
        """The updates to promote at a loop: all that it stores to one buffer, or nothing."""
        stored = [store.buffer for stmt in statements(loop) for store in stores(stmt)]
        inside = {stmt.buffer for stmt in statements(loop) if isinstance(stmt, Allocate)}
        for buffer in dict.fromkeys(buffer for buffer in stored if buffer in self.candidates):
            updates = list(_found(loop, buffer, (), frozenset()))
            whole = len(updates) == stored.count(buffer) and buffer not in inside
            if whole and sum(update.cells for update in updates) <= self.registers and self._apart(updates):
                return updates
        return []

    def _apart(self, updates: list[_Update]) -> bool:
        """Whether no two updates touch the same element."""
        for one, other in combinations(updates, 2):
            forms = [(affine(a), affine(b)) for a, b in zip(one.store.indices, other.store.indices, strict=True)]
            if not any(self.ranges.at_least(b - a, 1) or self.ranges.at_least(a - b, 1) for a, b in forms):
                return False
        return True


def _extent(loop: For) -> int:
    assert isinstance(loop.extent, Const)
    return int(loop.extent.value)


def _found(stmt: Stmt, buffer: Buffer, fixed: tuple[For, ...], moving: frozenset[Var]) -> Iterator[_Update]:
    """The updates of a buffer that may be promoted; ``moving`` are serial loops that must not move the element."""
    if isinstance(stmt, For):
        if stmt.kind == "parallel":
            return
        if stmt.kind != "serial" and isinstance(stmt.extent, Const):
            yield from _found(stmt.body, buffer, (*fixed, stmt), moving)
        else:
            yield from _found(stmt.body, buffer, fixed, moving | {stmt.var})
    elif isinstance(stmt, Store):
        if stmt.buffer is buffer and _is_update(stmt):
            atoms = {atom for index in stmt.indices for atom, _ in affine(index).terms.values()}
            nonlinear = any(not isinstance(atom, Var) for atom in atoms)
            if not nonlinear and not atoms & moving:
                yield _Update(stmt, tuple(loop for loop in fixed if loop.var in atoms))
    elif not isinstance(stmt, If):
        for child in children(stmt):
            yield from _found(child, buffer, fixed, moving)


def _is_update(store: Store) -> bool:
    """Whether the store combines the element with a value that does not depend on the buffer."""
    value = store.value
    if not (isinstance(value, Binary) and isinstance(value.a, Load) and value.a.indices is store.indices):
        return False
    return [load for load in loads(store) if load.buffer is store.buffer] == [value.a]


def _promoted(loop: For, updates: list[_Update]) -> Stmt:
    buffer = updates[0].store.buffer
    before: list[Stmt] = []
    after: list[Stmt] = []
    held: list[Buffer] = []
    replaced: dict[int, Store] = {}
    for update in updates:
        store, tile = update.store, update.tile
        sums = Buffer(f"{buffer.name}.sum", buffer.dtype, tuple(_extent(around) for around in tile) or (1,))
        cell: tuple[Expr, ...] = tuple(around.var for around in tile) or (Const("int64", 0),)
        held.append(sums)
        replaced[id(store)] = Store(
            sums, cell, substitute(store.value, {_accumulator(store): Load(sums.dtype, sums, cell)})
        )
        before.append(_copy(tile, sums, cell, buffer, store.indices))
        after.append(_copy(tile, buffer, store.indices, sums, cell))

    def replace(stmt: Stmt) -> Stmt | None:
        return replaced.get(id(stmt))

    result = block(*before, rewrite_statements(loop, replace), *after)
    for sums in held:
        result = Allocate(sums, result)
    return result


def _accumulator(store: Store) -> Expr:
    """The load of the element that an update adds to."""
    assert isinstance(store.value, Binary)
    return store.value.a


def _copy(tile: tuple[For, ...], target: Buffer, to: tuple[Expr, ...], source: Buffer, at: tuple[Expr, ...]) -> Stmt:
    """``target[to] = source[at]`` over a tile, in loops of its own."""
    fresh: Mapping[Expr, Expr] = {loop.var: Var(loop.var.dtype, loop.var.name) for loop in tile}
    moved = [tuple(substitute(index, dict(fresh)) for index in indices) for indices in (to, at)]
    stmt: Stmt = Store(target, moved[0], Load(source.dtype, source, moved[1]))
    for loop in reversed(tile):
        var = fresh[loop.var]
        assert isinstance(var, Var)
        stmt = For(var, loop.extent, loop.kind, stmt, loop.lanes)
    return stmt
