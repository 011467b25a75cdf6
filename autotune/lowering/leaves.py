"""A stage's body where all of its loops are open: one store, its indices and loads in normal form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autotune.lowering.context import Context
from autotune.lowering.ir import Stmt, Store
from autotune.lowering.loop_tree import LoopTree
from autotune.schedules.state import Stage, State
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.affine import Affine, affine, weighted_sum
from autotune.tensor_expr.expr import REDUCERS, Axis, Binary, Compare, Const, Expr, Load, Read, Reduce, Select, walk
from autotune.tensor_expr.ranges import Ranges

Values = Mapping[Axis, Affine]


@dataclass(frozen=True, slots=True)
class _Body:
    """A stage's expression, operands before users, without what stands inside of indices and index comparisons."""

    nodes: tuple[Expr, ...]
    forms: Mapping[int, Affine | None]  # linear forms of indices and of compared indices; None where not linear


class Leaves:
    """Stores of all stages of a state."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._bodies: dict[str, _Body] = {}

    def store(self, tree: LoopTree, context: Context, initial: bool) -> Stmt:
        """The store of one element; for a reduction its identity if ``initial``, else its update."""
        stage, ranges = tree.stage, context.ranges
        tensor, body = stage.tensor, stage.tensor.body
        assert body is not None
        pins, bases = context.pins[stage.name], context.bases[stage.name]
        local = [tree.value(axis.name, pins, ranges) for axis in tensor.axes]
        buffer = context.buffers[stage.name]
        indices = self._located(stage, local, ranges)
        if isinstance(body, Reduce) and initial:
            return Store(buffer, indices, body.identity)
        values = {axis: base + value for axis, value, base in zip(tensor.axes, local, bases, strict=True)}
        values.update({axis: tree.value(axis.name, pins, ranges) for axis in tensor.reduce_axes})
        value = self._value(stage, values, context)
        if isinstance(body, Reduce):
            value = Binary(tensor.dtype, REDUCERS[body.kind], Load(tensor.dtype, buffer, indices), value)
        return Store(buffer, indices, value, stage.details.streamed)

    def _body(self, stage: Stage) -> _Body:
        held = self._bodies.get(stage.name)
        if held is None:
            root = stage.tensor.body.body if isinstance(stage.tensor.body, Reduce) else stage.tensor.body
            assert root is not None
            held = self._bodies[stage.name] = _outlined(root)
        return held

    def _value(self, stage: Stage, values: Values, context: Context) -> Expr:
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
                done[id(node)] = Load(node.dtype, context.buffers[source.name], self._located(source, local, ranges))
            elif isinstance(node, Compare) and id(node.a) in body.forms and id(node.b) in body.forms:
                a, b = form(node.a), form(node.b)
                certain = ranges.decide(node.op, a, b)
                done[id(node)] = (
                    Compare("bool", node.op, a.to_expr(), b.to_expr()) if certain is None else Const("bool", certain)
                )
            else:
                done[id(node)] = _folded(node, [done[id(child)] for child in node.children])
        return done[id(body.nodes[-1])]

    def _computed(self, expr: Expr, values: Values, done: Mapping[int, Expr], context: Context) -> Affine:
        """The form of an index that is not linear; what it reads has been lowered already."""
        forms: dict[int, Affine] = {}
        for node in walk([expr]):
            if id(node) in done and not isinstance(node, (Axis, Const)):
                forms[id(node)] = affine(done[id(node)])
            elif all(id(child) in forms for child in node.children):
                forms[id(node)] = context.ranges.applied(node, [forms[id(child)] for child in node.children], values)
        return forms[id(expr)]

    def _located(self, stage: Stage, local: list[Affine], ranges: Ranges) -> tuple[Expr, ...]:
        """Physical indices, in the stage's layout, of an element at indices from the region's base."""
        if stage.layout is None:
            return tuple(index.to_expr() for index in local)
        physical = []
        for dim in stage.layout:
            index = ranges.floordiv(local[dim.logical], int(dim.divisor))
            physical.append((ranges.mod(index, int(dim.modulus)) if int(dim.modulus) else index).to_expr())
        return tuple(physical)


def _outlined(root: Expr) -> _Body:
    """The nodes of a body that are lowered one by one; index arithmetic on axes alone is kept whole."""
    pure: dict[int, bool] = {}
    for node in walk([root]):
        arithmetic = isinstance(node, (Axis, Const, Binary)) and node.dtype == dtypes.INDEX
        pure[id(node)] = arithmetic and all(pure[id(child)] for child in node.children)
    nodes: list[Expr] = []
    forms: dict[int, Affine | None] = {}
    seen: set[int] = set()
    stack: list[tuple[Expr, bool]] = [(root, False)]
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
    return _Body(tuple(nodes), forms)


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
