"""Schedule state -> loop IR.

Loops get exact extents, so that no guard stands inside them:

* A serial loop runs ``min(extent, what is left)`` times.
* An unrolled or vectorised loop needs a constant extent. The loop around it therefore runs over full tiles only, and what
  is left is peeled: a second copy of what is inside, whose remainder is a constant wherever the extent is.
* A vectorised remainder has fewer active lanes (a mask, or a shorter vector: the generator's choice).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from autotune.lowering.context import Context
from autotune.lowering.ir import Allocate, Buffer, For, Function, If, Param, Stmt, Store, block
from autotune.lowering.ranges import Ranges
from autotune.schedules.bounds import Bounds, StageBounds, accesses, physical_shape
from autotune.schedules.layout import Dim, Layout
from autotune.schedules.state import Fuse, Split, Stage, State
from autotune.targets.facts import Target
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.affine import affine
from autotune.tensor_expr.expr import REDUCERS, Axis, Binary, Const, Expr, Load, Read, Reduce, Var, const, rewrite

Continue = Callable[[Context], Stmt]


def build_loops(state: State, target: Target, name: str = "kernel") -> Function:
    """The function that a schedule describes; parameters in the order of the operator's inputs, then the output."""
    return _Builder(state, target).function(name)


def _zero() -> Expr:
    return const(0, dtypes.INDEX)


@dataclass(frozen=True)
class _Chain:
    """Where a loop stands: ``top`` is the axis or fused loop that it is cut from, ``stride`` how far it moves that."""

    top: str
    stride: int


class _Builder:
    def __init__(self, state: State, target: Target) -> None:
        self.state = state
        self.target = target
        self.bounds = Bounds(state)
        self.counter: dict[str, int] = {}

    def function(self, name: str) -> Function:
        context = Context()
        params: list[Param] = []
        for stage in self.state.stages.values():
            tensor = stage.tensor
            if tensor.is_placeholder or stage.name == self.state.output:
                role = "output" if not tensor.is_placeholder else "constant" if tensor.constant else "input"
                buffer = Buffer(tensor.name, tensor.dtype, self._shape(stage, list(tensor.shape)), role)
                layout = Layout(tuple(Dim(*map(int, (d.logical, d.divisor, d.modulus))) for d in stage.layout)) if stage.layout else None
                params.append(Param(buffer, tensor.shape, layout))
                context = context.with_buffer(tensor.name, buffer)
                context = context.enter(tensor.name, {}, tuple(_zero() for _ in tensor.shape))
        roots = [s for s in self.state.stages.values() if not s.tensor.is_placeholder and s.attach is None]
        params.sort(key=lambda param: param.buffer.role == "output")
        return Function(name, tuple(params), self._produce(roots, context, lambda _: block()))

    def _shape(self, stage: Stage, logical: list[int]) -> tuple[int, ...]:
        return tuple(int(size) for size in physical_shape(stage, list(logical)))  # type: ignore[arg-type]

    # -- stages ------------------------------------------------------------------------------------------------

    def _produce(self, stages: list[Stage], context: Context, rest: Continue) -> Stmt:
        """Compute the stages in order, then the rest, each stage's buffer alive to the end."""
        if not stages:
            return rest(context)
        stage, later = stages[0], stages[1:]
        bounds = self.bounds.stages[stage.name]
        extents = [int(bounds.axes[axis.name]) for axis in stage.tensor.axes]
        if stage.name == self.state.output:
            limits = {name: const(int(bounds.axes[name]), dtypes.INDEX) for name in stage.axis_names}
            inner = context.enter(stage.name, limits, tuple(_zero() for _ in extents))
            return block(self._nest(bounds, 0, inner, "all"), self._produce(later, context, rest))
        buffer = Buffer(stage.name, stage.tensor.dtype, self._shape(stage, extents))
        bases = self._region_base(stage, context)
        limits = {}
        for axis, base, extent in zip(stage.tensor.axes, bases, extents, strict=True):
            limits[axis.name] = context.ranges.simplify(
                Binary(dtypes.INDEX, "min", const(extent, dtypes.INDEX), axis.extent - base)
            )
        limits.update({axis.name: const(axis.extent, dtypes.INDEX) for axis in stage.tensor.reduce_axes})
        inner = context.enter(stage.name, limits, bases).with_buffer(stage.name, buffer)
        return Allocate(buffer, block(self._nest(bounds, 0, inner, "all"), self._produce(later, inner, rest)))

    def _region_base(self, stage: Stage, context: Context) -> tuple[Expr, ...]:
        """Where the region of a stage begins that is read where the context stands."""
        shape = stage.tensor.shape
        if stage.attach is None:
            return tuple(_zero() for _ in shape)
        readers = self.bounds.readers(stage.name, *stage.attach)
        if len(readers) != 1:
            return tuple(_zero() for _ in shape)
        reader = readers[0]
        covers = self.bounds.covers(reader.name, *stage.attach)
        origin = self._origin(reader, context)
        bases = []
        for access in accesses(reader, stage.name):
            if access is None:
                bases.append(_zero())
                continue
            index = access[0]
            highest = {
                atom for atom, coefficient in affine(index).terms.values() if isinstance(atom, Axis) and coefficient < 0
            }

            def place(node: Expr, highest: set[Axis] = highest) -> Expr | None:  # type: ignore[assignment]
                if isinstance(node, Axis) and node.name in origin:
                    return origin[node.name] + (int(covers[node.name]) - 1) if node in highest else origin[node.name]
                return None

            bases.append(context.ranges.simplify(rewrite(index, place)))
        return tuple(bases)

    def _origin(self, stage: Stage, context: Context) -> dict[str, Expr]:
        """The lowest value of each axis of a stage that is open, or will run inside where the context stands."""
        if stage.name in context.pins:
            values = context.values(self.bounds.stages[stage.name])
            bases = dict(zip((a.name for a in stage.tensor.axes), context.bases[stage.name], strict=True))
            return {name: values[name] + bases[name] if name in bases else values[name] for name in stage.axis_names}
        bases = dict(zip((a.name for a in stage.tensor.axes), self._region_base_inside(stage, context), strict=True))
        return {name: bases.get(name, _zero()) for name in stage.axis_names}

    def _region_base_inside(self, stage: Stage, context: Context) -> tuple[Expr, ...]:
        return self._region_base(stage, context)

    # -- loops -------------------------------------------------------------------------------------------------

    def _nest(self, bounds: StageBounds, position: int, context: Context, phase: str) -> Stmt:
        """The loops of a stage from ``position`` on. ``phase``: ``init`` and ``update`` of a reduction, or ``all``."""
        stage = bounds.stage
        reducing = stage.reduce_loops
        if phase == "all" and reducing and position == self._init_position(stage):
            return block(self._nest(bounds, position, context, "init"), self._nest(bounds, position, context, "update"))
        if position == len(stage.loops):
            return self._leaf(bounds, context, phase)
        loop = stage.loops[position]
        if phase == "init" and loop in reducing:
            return self._nest(bounds, position + 1, context, phase)

        def inside(inner: Context) -> Stmt:
            attached = self.state.attached(stage.name, loop) if phase != "init" else []
            return self._guard(
                bounds, loop, inner, lambda c: self._produce(attached, c, lambda d: self._nest(bounds, position + 1, d, phase))
            )

        return self._open(bounds, loop, context, inside)

    def _init_position(self, stage: Stage) -> int:
        first = min(number for number, loop in enumerate(stage.loops) if loop in stage.reduce_loops)
        return min(first, stage.loops.index(stage.init_at)) if stage.init_at in stage.loops else first

    def _chain(self, bounds: StageBounds, loop: str) -> _Chain:
        stride = 1
        top = loop
        for relation in reversed(bounds.stage.relations):
            if isinstance(relation, Split) and top in relation.children:
                stride *= int(bounds.strides[top])
                top = relation.parent
        return _Chain(top, stride)

    def _limit(self, bounds: StageBounds, top: str, context: Context) -> Expr:
        limits = context.limits[bounds.stage.name]
        return limits[top] if top in limits else const(int(bounds.extents[top]), dtypes.INDEX)

    def _open(self, bounds: StageBounds, loop: str, context: Context, inside: Continue) -> Stmt:
        """One loop around ``inside``, or two where its last iteration is partial and what it holds needs constants."""
        stage, name = bounds.stage, bounds.stage.name
        chain = self._chain(bounds, loop)
        kind = stage.kind(loop)
        extent = int(bounds.extents[loop])
        ranges = context.ranges
        limit = self._limit(bounds, chain.top, context)
        left = affine(limit) - affine(context.values(bounds)[chain.top])  # values from here to the end

        def body(ranges: Ranges, value: Expr) -> Stmt:
            return inside(context.with_ranges(ranges).pin(name, loop, value))

        fixed_inside = [
            other
            for other in stage.loops[stage.loops.index(loop) + 1 :]
            if self._chain(bounds, other).top == chain.top
        ]
        all_fixed = bool(fixed_inside) and all(stage.kind(other) in ("unroll", "vectorize") for other in fixed_inside)
        span = 1 + sum((int(bounds.extents[o]) - 1) * self._chain(bounds, o).stride for o in fixed_inside)
        full = ranges.at_least(left, (extent - 1) * chain.stride + (span if all_fixed else 1))
        if full:
            return self._loop(kind, loop, const(extent, dtypes.INDEX), ranges, body)
        if kind in ("serial", "parallel") and all_fixed and span == chain.stride:
            return self._peel(bounds, loop, kind, extent, span, left, context, inside)
        remaining = ranges.simplify((left + affine(const(chain.stride - 1, dtypes.INDEX))).to_expr() // chain.stride)
        return self._loop(kind, loop, self._at_most(remaining, extent, ranges), ranges, body)

    def _at_most(self, value: Expr, bound: int, ranges: Ranges) -> Expr:
        return ranges.simplify(Binary(dtypes.INDEX, "min", const(bound, dtypes.INDEX), value))

    def _peel(
        self, bounds: StageBounds, loop: str, kind: str, extent: int, span: int, left: object, context: Context, inside: Continue
    ) -> Stmt:
        """Full tiles in a loop, then the partial one with the loop's variable at its last value."""
        name, ranges = bounds.stage.name, context.ranges
        top = self._chain(bounds, loop).top
        before = affine(context.values(bounds)[top])
        limit = affine(self._limit(bounds, top, context))
        tiles = ranges.simplify((limit - before).to_expr() // span)
        main_extent = self._at_most(tiles, extent, ranges)
        rest = ranges.simplify((limit - before - affine(tiles).scale(span)).to_expr())

        def main(inner: Ranges, value: Expr) -> Stmt:
            here = before + affine(value).scale(span)
            if limit.is_const:
                inner = inner.with_fact(here, limit.const - span)
            return inside(context.with_ranges(inner).pin(name, loop, value))

        loops = self._loop(kind, loop, main_extent, ranges, main)
        if isinstance(rest, Const) and rest.value == 0:
            return loops
        tail = inside(context.pin(name, loop, tiles))
        if isinstance(tiles, Const) and isinstance(rest, Const):
            return block(loops if int(tiles.value) else None, tail)
        exists = ranges.simplify(
            Binary("bool", "and", affine(tiles).to_expr() < extent, rest > 0) if not isinstance(rest, Const) else tiles < extent
        )
        return block(loops, tail if isinstance(exists, Const) and exists.value else If(exists, tail))

    def _guard(self, bounds: StageBounds, loop: str, context: Context, inside: Continue) -> Stmt:
        """Skip what a fused loop's variable addresses beyond an axis, and peel fixed loops that only it precedes."""
        stage = bounds.stage
        if self._chain(bounds, loop).top in stage.axis_names:
            return inside(context)
        values = context.values(bounds)
        condition: Expr | None = None
        for axis in stage.axis_names:
            limit = self._limit(bounds, axis, context)
            if not context.ranges.at_least(affine(limit) - affine(values[axis]), 1):
                test = values[axis] < limit
                condition = test if condition is None else condition & test
        if condition is not None:
            return If(condition, inside(context))
        return self._split_fused(bounds, loop, context, inside)

    def _split_fused(self, bounds: StageBounds, loop: str, context: Context, inside: Continue) -> Stmt:
        """Where unrolled or vectorised loops follow a fused one on an axis that they do not divide: full tile, or tail."""
        stage, position = bounds.stage, bounds.stage.loops.index(loop)
        for part in self._fused_parts(stage, loop):
            chain = self._chain(bounds, part)
            after = [other for other in stage.loops[position + 1 :] if self._chain(bounds, other).top == chain.top]
            if not after or any(stage.kind(other) not in ("unroll", "vectorize") for other in after):
                continue
            span = 1 + sum((int(bounds.extents[o]) - 1) * self._chain(bounds, o).stride for o in after)
            limit, value = affine(self._limit(bounds, chain.top, context)), affine(context.values(bounds)[chain.top])
            if part in context.pins[stage.name] or context.ranges.at_least(limit - value, span) or not limit.is_const:
                continue
            if span != chain.stride:
                continue
            condition = context.ranges.simplify(value.to_expr() + span <= limit.const)
            full = context.with_ranges(context.ranges.with_fact(value, limit.const - span))
            # In the tail the axis stands at its last tile. What the part contributes follows from the other loops.
            own = affine(context.values(bounds)[part]).scale(chain.stride)
            last = affine(const(limit.const // span * span, dtypes.INDEX)) - (value - own)
            tail_value = context.ranges.simplify(last.to_expr() // chain.stride)
            tail = context.pin(stage.name, part, tail_value)
            return If(
                condition,
                self._split_fused(bounds, loop, full, inside),
                self._split_fused(bounds, loop, tail, inside),
            )
        return inside(context)

    def _fused_parts(self, stage: Stage, loop: str) -> list[str]:
        parts, pending = [], [self._chain(self.bounds.stages[stage.name], loop).top]
        while pending:
            current = pending.pop()
            fusions = [r for r in stage.relations if isinstance(r, Fuse) and r.child == current]
            if fusions:
                pending += [fusions[0].outer, fusions[0].inner]
            else:
                parts.append(current)
        return parts

    def _fresh(self, name: str) -> Var:
        self.counter[name] = self.counter.get(name, 0) + 1
        suffix = f"_{self.counter[name]}" if self.counter[name] > 1 else ""
        return Var(dtypes.INDEX, name + suffix)

    def _loop(self, kind: str, name: str, extent: Expr, ranges: Ranges, body: Callable[[Ranges, Expr], Stmt]) -> Stmt:
        """A loop of a known or run-time extent; a single iteration needs none."""
        if isinstance(extent, Const) and int(extent.value) <= 1 and kind != "vectorize":
            return body(ranges, _zero()) if int(extent.value) == 1 else block()
        if kind == "vectorize":
            return self._vector_loop(name, extent, ranges, body)
        if kind == "unroll" and not isinstance(extent, Const):
            # Inside a run-time remainder: an extent in terms of unrolled variables would do, any other needs a loop.
            kind = "serial"
        var = self._fresh(name)
        high = ranges.interval(affine(extent))[1]
        inner = ranges.with_var(var, 0, int(high) - 1 if high != float("inf") else 2**40)
        if not isinstance(extent, Const):
            inner = inner.with_fact(affine(var) - affine(extent), -1)
        return For(var, extent, kind, body(inner, var))

    def _vector_loop(self, name: str, extent: Expr, ranges: Ranges, body: Callable[[Ranges, Expr], Stmt]) -> Stmt:
        """Whole vectors of the target's lanes, then one with what is left."""
        lanes = self.lanes
        parts: list[Stmt] = []

        def vector(start: Expr, active: Expr, inner: Ranges) -> Stmt:
            var = self._fresh(name)
            high = int(inner.interval(affine(active))[1])
            inner = inner.with_var(var, 0, high - 1)
            if not isinstance(active, Const):
                inner = inner.with_fact(affine(var) - affine(active), -1)
            value = (affine(start) + affine(var)).to_expr()
            constant = isinstance(active, Const)
            kind = "vectorize" if constant or self.target.masked else "serial"
            return For(var, active, kind, body(inner, value), lanes if kind == "vectorize" else 0)

        if isinstance(extent, Const):
            whole, rest = divmod(int(extent.value), lanes)
            if whole == 1:
                parts.append(vector(_zero(), const(lanes, dtypes.INDEX), ranges))
            elif whole > 1:
                chunk = self._fresh(name + ".v")
                inner = ranges.with_var(chunk, 0, whole - 1)
                parts.append(For(chunk, const(whole, dtypes.INDEX), "unroll", vector(chunk * lanes, const(lanes, dtypes.INDEX), inner)))
            if rest:
                parts.append(vector(const(whole * lanes, dtypes.INDEX), const(rest, dtypes.INDEX), ranges))
            return block(*parts)
        chunks = ranges.simplify(extent // lanes)
        if not (isinstance(chunks, Const) and int(chunks.value) == 0):
            chunk = self._fresh(name + ".v")
            inner = ranges.with_var(chunk, 0, int(ranges.interval(affine(chunks))[1]) - 1)
            inner = inner.with_fact(affine(chunk) - affine(chunks), -1)
            parts.append(For(chunk, chunks, "serial", vector(chunk * lanes, const(lanes, dtypes.INDEX), inner)))
        rest_expr = ranges.simplify(extent - chunks * lanes)
        parts.append(If(rest_expr > 0, vector(chunks * lanes, rest_expr, ranges)))
        return block(*parts)

    # -- leaves ------------------------------------------------------------------------------------------------

    @property
    def lanes(self) -> int:
        """Lanes of the widest element type that the operator computes with."""
        widest = max(dtypes.itemsize(s.tensor.dtype) for s in self.state.stages.values())
        return self.target.lanes(widest)

    def _leaf(self, bounds: StageBounds, context: Context, phase: str) -> Stmt:
        stage = bounds.stage
        tensor = stage.tensor
        relative = context.values(bounds)
        bases = context.bases[stage.name]
        buffer = context.buffers[stage.name]
        indices = self._locate(stage, tuple(relative[axis.name] for axis in tensor.axes), context)
        body = tensor.body
        assert body is not None
        if phase == "init":
            assert isinstance(body, Reduce)
            return Store(buffer, indices, body.identity)
        axis_values: dict[Axis, Expr] = {
            axis: context.ranges.simplify(relative[axis.name] + base)
            for axis, base in zip(tensor.axes, bases, strict=True)
        }
        axis_values.update({axis: relative[axis.name] for axis in tensor.reduce_axes})

        def lower(node: Expr) -> Expr | None:
            if isinstance(node, Axis):
                return axis_values[node]
            if isinstance(node, Read):
                source = self.state.stages[node.tensor.name]
                local = tuple(
                    index - base for index, base in zip(node.indices, context.bases[source.name], strict=True)
                )
                return Load(node.dtype, context.buffers[source.name], self._locate(source, local, context))
            return None

        value = rewrite(body.body if isinstance(body, Reduce) else body, lower)
        value = rewrite(value, context.ranges._rule)
        if isinstance(body, Reduce):
            value = Binary(tensor.dtype, REDUCERS[body.kind], Load(tensor.dtype, buffer, indices), value)
        return Store(buffer, indices, value)

    def _locate(self, stage: Stage, local: tuple[Expr, ...], context: Context) -> tuple[Expr, ...]:
        """Physical indices, in the stage's layout, of an element at indices from the region's base."""
        simplify = context.ranges.simplify
        if stage.layout is None:
            return tuple(simplify(index) for index in local)
        physical = []
        for dim in stage.layout:
            index = local[dim.logical]
            if int(dim.divisor) > 1:
                index = index // int(dim.divisor)
            if int(dim.modulus):
                index = index % int(dim.modulus)
            physical.append(simplify(index))
        return tuple(physical)


def total_bytes(function: Function) -> int:
    """Bytes of all parameters."""
    return sum(prod(p.buffer.shape) * dtypes.itemsize(p.buffer.dtype) for p in function.params)
