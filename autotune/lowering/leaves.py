"""A stage's bodies where all of its loops are open: stores, their indices and loads in normal form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autotune.lowering.context import Context
from autotune.lowering.ir import Atomic, Buffer, If, Stmt, Store, Together, block, loads
from autotune.lowering.loop_tree import LoopTree
from autotune.schedules.dependences import updates_at_once
from autotune.schedules.state import Stage, State
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.affine import ZERO, Affine, affine, weighted_sum
from autotune.tensor_expr.expr import (
    Accumulation,
    Axis,
    Binary,
    Compare,
    Const,
    Expr,
    Load,
    Read,
    Reduce,
    Select,
    walk,
)
from autotune.tensor_expr.ranges import Ranges

Values = Mapping[Axis, Affine]


@dataclass(frozen=True, slots=True)
class _Body:
    """A stage's expressions, operands before users, without what stands inside of indices and index comparisons.

    ``roots`` are the values to compute: of a reduction its operands, else one per component.
    """

    roots: tuple[Expr, ...]
    nodes: tuple[Expr, ...]
    forms: Mapping[int, Affine | None]  # linear forms of indices and of compared indices; None where not linear


class Leaves:
    """Stores of all stages of a state."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._bodies: dict[str, _Body] = {}

    def store(self, tree: LoopTree, context: Context, initial: bool) -> Stmt:
        """The stores of one point; for a reduction its identity if ``initial``, else its update."""
        stage, ranges = tree.stage, context.ranges
        tensor = stage.tensor
        pins, bases = context.pins[stage.name], context.bases[stage.name]
        local = [tree.value(axis.name, pins, ranges) for axis in tensor.axes]
        buffers = context.buffers[stage.name]
        indices = self.placed(stage, local, context)
        if initial:
            return _stores(buffers, indices, [body.identity for body in tensor.bodies if isinstance(body, Reduce)])
        values = {axis: base + value for axis, value, base in zip(tensor.axes, local, bases, strict=True)}
        values.update({axis: tree.value(axis.name, pins, ranges) for axis in tensor.reduce_axes})
        results = self._values(stage, values, context)
        if tensor.reduce_axes:
            held = [Load(buffer.dtype, buffer, indices) for buffer in buffers]
            results = _merged(tensor.bodies, held, results)
            if updates_at_once(stage):
                updates = [Store(buffer, indices, value) for buffer, value in zip(buffers, results, strict=True)]
                return block(*map(Atomic, updates))
        if tensor.scan_dim is not None:
            return self._scanned(stage, tensor.scan_dim, local, context, results)
        return _stores(buffers, indices, results, stage.details.streamed)

    def _scanned(self, stage: Stage, dim: int, local: list[Affine], context: Context, values: list[Expr]) -> Stmt:
        """The stores of one point of a scan, whose region begins at 0: the first point takes the values as they are."""
        tensor, buffers, ranges = stage.tensor, context.buffers[stage.name], context.ranges
        place = local[dim]
        indices = self.placed(stage, local, context)
        before = self.placed(stage, [*local[:dim], place.shifted(-1), *local[dim + 1 :]], context)
        held = [Load(buffer.dtype, buffer, before) for buffer in buffers]
        first, following = (
            _stores(buffers, indices, values),
            _stores(buffers, indices, _merged(tensor.bodies, held, values)),
        )
        certain = ranges.decide("gt", place, ZERO)
        if certain is not None:
            return following if certain else first
        return If(Compare("bool", "gt", place.to_expr(), Const(dtypes.INDEX, 0)), following, first)

    def _body(self, stage: Stage) -> _Body:
        held = self._bodies.get(stage.name)
        if held is None:
            held = self._bodies[stage.name] = _outlined(_roots(stage.tensor.bodies))
        return held

    def _values(self, stage: Stage, values: Values, context: Context) -> list[Expr]:
        body, ranges = self._body(stage), context.ranges
        done: dict[int, Expr] = {}

        def form(expr: Expr) -> Affine:
            known = body.forms.get(id(expr))
            if known is None:
                return self._computed(expr, values, done, context)
            return weighted_sum(
                [(values[atom], c) for atom, c in known.terms.values() if isinstance(atom, Axis)], known.const
            )

        for node in body.nodes:
            if isinstance(node, Axis):
                done[id(node)] = values[node].to_expr()
            elif isinstance(node, Read):
                source = self.state.stages[node.tensor.name]
                local = [form(i) - base for i, base in zip(node.indices, context.bases[source.name], strict=True)]
                buffer = context.buffers[source.name][node.component]
                done[id(node)] = Load(node.dtype, buffer, self.placed(source, local, context))
            elif isinstance(node, Compare) and id(node.a) in body.forms and id(node.b) in body.forms:
                a, b = form(node.a), form(node.b)
                certain = ranges.decide(node.op, a, b)
                done[id(node)] = (
                    Compare("bool", node.op, a.to_expr(), b.to_expr()) if certain is None else Const("bool", certain)
                )
            else:
                done[id(node)] = _folded(node, [done[id(child)] for child in node.children])
        return [done[id(root)] for root in body.roots]

    def _computed(self, expr: Expr, values: Values, done: Mapping[int, Expr], context: Context) -> Affine:
        """The form of an index that is not linear; what it reads has been lowered already."""
        forms: dict[int, Affine] = {}
        for node in walk([expr]):
            if id(node) in done and not isinstance(node, (Axis, Const)):
                forms[id(node)] = affine(done[id(node)])
            elif all(id(child) in forms for child in node.children):
                forms[id(node)] = context.ranges.applied(node, [forms[id(child)] for child in node.children], values)
        return forms[id(expr)]

    def placed(self, stage: Stage, local: list[Affine], context: Context) -> tuple[Expr, ...]:
        """Indices into the stage's buffer of an element at indices from where computing begins."""
        kept = context.kept.get(stage.name) if context.kept else None
        if kept is None:
            return self._located(stage, local, context.ranges)
        if kept.origins is not None:
            shifts = zip(local, context.bases[stage.name], kept.origins, strict=True)
            local = [index + base - origin for index, base, origin in shifts]
        indices = self._located(stage, local, context.ranges)
        return indices if kept.slot is None else (kept.slot.to_expr(), *indices)

    def _located(self, stage: Stage, local: list[Affine], ranges: Ranges) -> tuple[Expr, ...]:
        """Physical indices, in the stage's layout, of an element at indices from the region's base."""
        if stage.layout is None:
            return tuple(index.to_expr() for index in local)
        physical = []
        for dim in stage.layout:
            index = ranges.floordiv(local[dim.logical], int(dim.divisor))
            physical.append((ranges.mod(index, int(dim.modulus)) if int(dim.modulus) else index).to_expr())
        return tuple(physical)


def _roots(bodies: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """What is computed at each point before it is combined with what was there."""
    operands = (body.operands[body.component] if isinstance(body, Accumulation) else body for body in bodies)
    return tuple(operands)


def _merged(bodies: tuple[Expr, ...], held: Sequence[Expr], values: Sequence[Expr]) -> list[Expr]:
    """What reducers make of the values that are there and new ones; a reducer's components stand side by side."""
    results: list[Expr] = []
    for number, body in enumerate(bodies):
        if isinstance(body, Accumulation) and body.component == 0:
            own = slice(number, number + len(body.operands))
            results += body.reducer.combine(held[own], values[own])
    return results


def _stores(
    buffers: Sequence[Buffer], indices: tuple[Expr, ...], values: Sequence[Expr], nontemporal: bool = False
) -> Stmt:
    """One point of every component: at once where a value reads what another store changes."""
    made = [Store(buffer, indices, value, nontemporal) for buffer, value in zip(buffers, values, strict=True)]
    crossing = any(
        load.buffer in buffers and load.buffer is not store.buffer for store in made for load in loads(store)
    )
    return Together(tuple(made)) if crossing else block(*made)


def _outlined(roots: tuple[Expr, ...]) -> _Body:
    """The nodes of bodies that are lowered one by one; index arithmetic on axes alone is kept whole."""
    pure: dict[int, bool] = {}
    for node in walk(roots):
        arithmetic = isinstance(node, (Axis, Const, Binary)) and node.dtype == dtypes.INDEX
        pure[id(node)] = arithmetic and all(pure[id(child)] for child in node.children)
    nodes: list[Expr] = []
    forms: dict[int, Affine | None] = {}
    seen: set[int] = set()
    stack: list[tuple[Expr, bool]] = [(root, False) for root in reversed(roots)]
    while stack:
        node, ready = stack.pop()
        if ready:
            nodes.append(node)
            continue
        if id(node) in seen:
            continue
        seen.add(id(node))
        stack.append((node, True))
        whole = isinstance(node, Read) or (
            isinstance(node, Compare) and all(pure[id(child)] for child in node.children)
        )
        for child in reversed(node.children):
            if whole:
                linear = affine(child)
                only_axes = all(isinstance(atom, Axis) for atom, _ in linear.terms.values())
                forms[id(child)] = linear if only_axes else None
            if not (whole and pure[id(child)]):
                stack.append((child, False))
    return _Body(roots, tuple(nodes), forms)


def _folded(node: Expr, operands: list[Expr]) -> Expr:
    """The node over lowered operands, where constant conditions have decided it."""
    if isinstance(node, Binary) and node.dtype == "bool" and node.op in ("and", "or"):
        for one, other in (operands, reversed(operands)):
            if isinstance(one, Const):
                return other if bool(one.value) == (node.op == "and") else one
    if isinstance(node, Select) and isinstance(operands[0], Const):
        return operands[1] if operands[0].value else operands[2]
    same = all(a is b for a, b in zip(operands, node.children, strict=True))
    return node if same else node.with_children(operands)
