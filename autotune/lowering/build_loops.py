"""Schedule state -> loop IR.

Loops get exact extents, so that no guard stands inside them:

* A serial loop runs ``min(extent, what is left)`` times.
* An unrolled or vectorised loop needs a constant extent. The loop around it therefore runs over full tiles only, and
what
  is left is peeled: a second copy of what is inside, whose remainder is a constant wherever the extent is.
* A vectorised remainder has fewer active lanes (a mask, or a shorter vector: the generator's choice).
* Only what a fused loop addresses beyond an axis is skipped by a test, where its last part opens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from autotune.lowering.context import Context, Kept
from autotune.lowering.ir import Allocate, Buffer, For, Function, If, Param, Stmt, block
from autotune.lowering.keeping import Keeping
from autotune.lowering.leaves import Leaves
from autotune.lowering.loop_tree import LoopTree
from autotune.lowering.prefetches import Prefetching
from autotune.lowering.regions import Regions
from autotune.lowering.sharing import Sharing
from autotune.lowering.storage import buffers_of, with_windows
from autotune.lowering.tensorized import tensorized
from autotune.schedules.bounds import Bounds
from autotune.schedules.details import Details
from autotune.schedules.layout import Dim, Layout
from autotune.schedules.specializing import specialized
from autotune.schedules.state import Stage, State
from autotune.schedules.tensor_intrinsics import get_tensor_intrinsic
from autotune.targets.facts import Target
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.affine import ZERO, Affine, affine, number
from autotune.tensor_expr.expr import Binary, Compare, Const, Expr, Load, Var, const
from autotune.tensor_expr.ranges import Ranges

MAX_CHUNKS = 16  # vectors of one loop that are written out; of a longer loop they are counted
Continue = Callable[[Context], Stmt]
Body = Callable[[Ranges, Affine], Stmt]


def build_loops(state: State, target: Target, name: str = "kernel") -> Function:
    """The function that a schedule describes; parameters in the order of the operator's inputs, then the outputs."""
    return _Builder(state, target, {}).function(name)


@dataclass(frozen=True, slots=True)
class _Limit:
    """What bounds a loop: ``left`` values remain of something that one iteration moves by ``stride``.

    ``span`` is how many of them the loops inside take in full, where all of those need constant extents (else 0).
    """

    left: Affine
    stride: int
    span: int


class _Builder:
    def __init__(self, state: State, target: Target, counter: dict[str, int]) -> None:
        self.target = target
        self.state = state = with_windows(state)
        bounds = Bounds(state)
        self.trees = {name: LoopTree(stage) for name, stage in bounds.stages.items()}
        self.regions = Regions(bounds, self.trees)
        self.leaves = Leaves(state)
        self.attached: dict[tuple[str, str], list[Stage]] = {}
        for stage in state.stages.values():
            if stage.attach is not None:
                self.attached.setdefault(stage.attach, []).append(stage)
        self.sharing = Sharing(state)
        self.keeping = Keeping(self.regions, self._computed)
        self.counter = counter  # how often each name of a loop has been taken
        self.prefetching = Prefetching(self.regions, self.leaves, self._loop)
        widest = max(dtypes.computed_size(dtype) for stage in state.stages.values() for dtype in stage.tensor.dtypes)
        self.lanes = target.lanes(widest)

    def function(self, name: str) -> Function:
        context = Context()
        params: list[Param] = []
        for stage in self.state.stages.values():
            tensor = stage.tensor
            if tensor.is_placeholder or stage.name == self.state.output:
                role = "output" if not tensor.is_placeholder else "constant" if tensor.constant else "input"
                buffers = buffers_of(stage, tensor.shape, role)
                dims = tuple(Dim(*map(int, (d.logical, d.divisor, d.modulus))) for d in stage.layout or ())
                params += [
                    Param(buffer, tensor.shape, Layout(dims) if dims else None, stage.ahead) for buffer in buffers
                ]
                context = context.with_buffers(tensor.name, buffers)
                context = context.enter(tensor.name, {}, (ZERO,) * len(tensor.shape))
        roots = [s for s in self.state.stages.values() if not s.tensor.is_placeholder and s.attach is None]
        params.sort(key=lambda param: param.buffer.role == "output")
        return Function(name, tuple(params), self._produce(roots, context, lambda _: block()))

    # -- stages ------------------------------------------------------------------------------------------------

    def _produce(self, stages: list[Stage], context: Context, rest: Continue) -> Stmt:
        """Compute the stages in order, then the rest, each stage's buffer alive to the end."""
        parts: list[tuple[tuple[Buffer, ...], Stmt]] = []
        while stages:
            group, stages = self.sharing.first(stages)
            stage = group[0]
            if stage.name in context.kept:
                computed, context = self.keeping.within(stage, context)
                parts.append(((), computed))
                continue
            made: list[Buffer] = []
            inner = context
            for member in group:
                bases, limits = self.regions.of(member, context)
                inner = inner.enter(member.name, limits, bases)
                if member.name != self.state.output:
                    inner = inner.with_buffers(member.name, self._buffers(member))
                    made += inner.buffers[member.name]
            context = inner
            parts.append((tuple(made), self._computed(stage, context)))
        stmt = rest(context)
        for buffers, computed in reversed(parts):
            stmt = _allocated(buffers, block(computed, stmt))
        return stmt

    def _buffers(self, stage: Stage) -> tuple[Buffer, ...]:
        axes = self.trees[stage.name].bounds.axes
        return buffers_of(stage, [int(axes[axis.name]) for axis in stage.tensor.axes])

    def _computed(self, stage: Stage, context: Context) -> Stmt:
        """All loops of a stage whose region the context holds; a copy for each value that it is specialised for."""
        stmt = self._nest(self.trees[stage.name], 0, context, "all")
        for tensor, value in reversed(stage.details.specialized):
            state = specialized(self.state, stage.name, tensor, value)
            (given,) = context.buffers[tensor]
            only = Load(given.dtype, given, (Const(dtypes.INDEX, 0),) * len(given.shape))
            test = Compare("bool", "eq", only, const(value, given.dtype))
            knowing = _Builder(state, self.target, self.counter)
            stmt = If(test, knowing._computed(state.stages[stage.name], context), stmt)
        return stmt

    # -- loops -------------------------------------------------------------------------------------------------

    def _nest(self, tree: LoopTree, position: int, context: Context, phase: str) -> Stmt:
        """The loops of a stage from ``position`` on. ``phase``: ``init`` and ``update`` of a reduction, or ``all``."""
        stage = tree.stage
        if phase == "all" and position == tree.init_position:
            return block(self._nest(tree, position, context, "init"), self._nest(tree, position, context, "update"))
        if position == len(stage.loops):
            return self.leaves.store(tree, context, initial=phase == "init")
        loop, tensor_op = stage.loops[position], stage.details.tensorized
        if tensor_op is not None and loop == tensor_op[0] and phase == "update":
            return tensorized(self._loop_nest(tree, position, context, phase), stage.name, tensor_op[1])
        return self._loop_nest(tree, position, context, phase)

    def _loop_nest(self, tree: LoopTree, position: int, context: Context, phase: str) -> Stmt:
        """The loop at a position and those inside it."""
        stage, loop = tree.stage, tree.stage.loops[position]
        if phase == "init" and loop in tree.reduce_loops:
            return self._nest(tree, position + 1, context, phase)

        attached = self.attached.get((stage.name, loop), []) if phase != "init" else []
        guests = self.sharing.at(stage, position) if self.sharing.guests and phase != "init" else []
        for guest in guests:
            attached += self.state.attached(guest.name, guest.loops[position])

        def inside(inner: Context) -> Stmt:
            for guest in guests:
                inner = inner.pin(guest.name, guest.loops[position], inner.pins[stage.name][loop])
            following = lambda c: self._following(tree, position, c, phase)  # noqa: E731
            return self._completed(tree, position, inner, lambda c: self._produce(attached, c, following))

        kept = [other for other in attached if other.details.is_kept]
        if kept:
            return self._keep(kept, tree, position, context, inside)
        return self._open(tree, position, context, inside)

    def _following(self, tree: LoopTree, position: int, context: Context, phase: str) -> Stmt:
        """What an iteration of a loop does once the stages that are computed in it are there."""
        stage, loop = tree.stage, tree.stage.loops[position]
        inner = self._nest(tree, position + 1, context, phase)
        for guest in self.sharing.at(stage, position) if self.sharing.guests and phase != "init" else ():
            if self.sharing.depth(guest) == position:
                own = self.trees[guest.name]
                after = lambda c, own=own: self._nest(own, position + 1, c, "all")  # noqa: E731
                inner = block(inner, self._completed(own, position, context, after))
        if phase == "init" or not stage.details.prefetches:
            return inner
        ahead = [
            self.prefetching.ahead(self.state.stages[tensor], (stage.name, loop), int(distance), context)
            for tensor, at, distance in stage.details.prefetches
            if at == loop
        ]
        return block(*ahead, inner)

    def _keep(self, stages: list[Stage], tree: LoopTree, position: int, context: Context, inside: Continue) -> Stmt:
        """A loop around which the buffers of some stages computed in it are alive."""
        count = self._count(tree, position, context)
        before: list[Stmt] = []
        for stage in stages:
            context = context.with_buffers(stage.name, self._buffers(stage)).keeping(stage.name, Kept(count))
            before.append(self.keeping.before(stage, context))
        stmt = block(*before, self._open(tree, position, context, inside))
        for stage in reversed(stages):
            stmt = _allocated(context.buffers[stage.name], stmt)
        return stmt

    def _limits(self, tree: LoopTree, position: int, context: Context) -> list[_Limit]:
        """What may end a loop before its extent."""
        loop, ranges = tree.stage.loops[position], context.ranges
        levels = [(level.name, level.stride) for level in tree.levels(loop)] or [(loop, 1)]
        limits = [
            _Limit(self._left(tree, level, context), stride, tree.fixed_span(position + 1, level))
            for level, stride in levels
        ]
        full = tree.extents[loop] - 1
        return [limit for limit in limits if not ranges.at_least(limit.left, full * limit.stride + max(limit.span, 1))]

    def _count(self, tree: LoopTree, position: int, context: Context) -> Affine:
        """How often a loop runs."""
        count = number(tree.extents[tree.stage.loops[position]])
        for limit in self._limits(tree, position, context):
            count = context.ranges.minimum(count, context.ranges.ceildiv(limit.left, limit.stride))
        return count

    def _open(self, tree: LoopTree, position: int, context: Context, inside: Continue) -> Stmt:
        """One loop around ``inside``, or two where its last iteration is partial and what it holds needs constants."""
        loop, ranges = tree.stage.loops[position], context.ranges
        kind, extent, name = tree.stage.kind(loop), tree.extents[loop], tree.stage.name
        short = self._limits(tree, position, context)

        def body(inner: Ranges, value: Affine) -> Stmt:
            return inside(context.with_ranges(inner).pin(name, loop, value))

        count = number(extent)
        for limit in short:
            count = ranges.minimum(count, ranges.ceildiv(limit.left, limit.stride))
        peeled = [limit for limit in short if limit.span == limit.stride]
        if kind == "vectorize" and any(limit.span not in (0, limit.stride) for limit in short):
            kind = "serial"  # lanes would differ in how often the loops inside run
        details = tree.stage.details
        if not peeled:
            return self._parts(details, kind, loop, count, ranges, body)
        fits = ranges.floordiv(peeled[0].left, peeled[0].stride)  # whole tiles that are left, beyond this loop too
        for limit in peeled[1:]:
            fits = ranges.minimum(fits, ranges.floordiv(limit.left, limit.stride))
        whole = ranges.minimum(number(extent), fits)

        def main(inner: Ranges, value: Affine) -> Stmt:
            for limit in peeled:
                inner = inner.with_fact(value.scale(limit.stride) - limit.left, -limit.span)
            return body(inner, value)

        tail_exists = ranges.decide("lt", whole, count)
        if tail_exists is False:
            return self._parts(details, kind, loop, whole, ranges, main)
        tail = body(ranges, fits)  # where there is a tail, the tiles that fit are fewer than this loop's
        if tail_exists is None:
            tail = If(Compare("bool", "lt", whole.to_expr(), count.to_expr()), tail)
        return block(self._parts(details, kind, loop, whole, ranges, main), tail)

    def _parts(self, details: Details, kind: str, loop: str, count: Affine, ranges: Ranges, body: Body) -> Stmt:
        """A loop, in parts that follow each other where ``partition`` cuts it (points below 0 count from its end)."""
        points = dict(details.partitions).get(loop, ())
        hints = tuple((key, int(value)) for at, key, value in details.pragmas if at == loop)
        lanes = get_tensor_intrinsic(details.tensorized[1]).lanes if details.tensorized is not None else 0
        if not points:
            return self._loop(kind, loop, count, ranges, body, hints, lanes)
        ends = [ranges.minimum(number(int(p)), count) if p >= 0 else count.shifted(int(p)) for p in points]
        edges = [ZERO]
        for end in [*sorted(ends, key=lambda end: ranges.interval(end)[1]), count]:
            edges.append(ranges.maximum(edges[-1], end))
        parts = []
        for start, end in pairwise(edges):
            shifted = lambda inner, value, start=start: body(inner, start + value)  # noqa: E731
            parts.append(self._loop(kind, loop, end - start, ranges, shifted, hints, lanes))
        return block(*parts)

    def _left(self, tree: LoopTree, name: str, context: Context) -> Affine:
        """How many values of an axis or loop remain from where the open loops stand."""
        return self._limit(tree, name, context) - tree.value(name, context.pins[tree.stage.name], context.ranges)

    def _limit(self, tree: LoopTree, name: str, context: Context) -> Affine:
        limit = context.limits[tree.stage.name].get(name)
        return number(tree.extents[name]) if limit is None else limit

    def _completed(self, tree: LoopTree, position: int, context: Context, inside: Continue) -> Stmt:
        """Where the last part of a fused loop opens: skip what lies beyond an axis, and set partial tiles apart."""
        pins, ranges = context.pins[tree.stage.name], context.ranges
        parts = tree.completed(tree.stage.loops[position], pins)
        if not parts:
            return inside(context)
        # A part that no split made is an axis itself, of which a region at the border may hold less.
        levels = dict.fromkeys(name for part in parts for name in ([v.name for v in tree.levels(part)] or [part]))
        condition: Expr | None = None
        for name in levels:
            left = self._left(tree, name, context)
            if ranges.at_most(left, 0):
                return block()
            if not ranges.at_least(left, 1):
                value, limit = tree.value(name, pins, ranges), self._limit(tree, name, context)
                test = Compare("bool", "lt", value.to_expr(), limit.to_expr())
                condition = test if condition is None else Binary("bool", "and", condition, test)
                ranges = ranges.with_fact(left.scale(-1), -1)
        stmt = self._apart(tree, position, context.with_ranges(ranges), parts, inside)
        return stmt if condition is None else If(condition, stmt)

    def _apart(self, tree: LoopTree, position: int, context: Context, parts: list[str], inside: Continue) -> Stmt:
        """Full tiles and the tail apart, where unrolled or vectorised loops follow on an axis they do not divide."""
        ranges, stage = context.ranges, tree.stage.name
        for place, part in enumerate(parts):
            for level in tree.levels(part)[-1:]:
                left, span = self._left(tree, level.name, context), tree.fixed_span(position + 1, level.name)
                if span != level.stride or ranges.at_least(left, span):
                    continue
                # In the tail, the part stands at its last value, which is a constant where nothing else moves the axis.
                own = tree.value(part, context.pins[stage], ranges)
                last = ranges.floordiv(left + own.scale(span), span)
                full = context.with_ranges(ranges.with_fact(left.scale(-1), -span))
                later = parts[place + 1 :]
                return If(
                    Compare("bool", "ge", left.to_expr(), Const(dtypes.INDEX, span)),
                    self._apart(tree, position, full, later, inside),
                    self._apart(tree, position, context.pin(stage, part, last), later, inside),
                )
        return inside(context)

    def _fresh(self, name: str) -> Var:
        self.counter[name] = self.counter.get(name, 0) + 1
        suffix = f"_{self.counter[name]}" if self.counter[name] > 1 else ""
        return Var(dtypes.INDEX, name + suffix)

    def _loop(
        self,
        kind: str,
        name: str,
        count: Affine,
        ranges: Ranges,
        body: Body,
        pragmas: tuple[tuple[str, int], ...] = (),
        lanes: int = 0,
    ) -> Stmt:
        """A loop of a known or run-time extent; a single iteration needs none."""
        if kind == "vectorize":
            return self._vector_loop(name, count, ranges, body, lanes or self.lanes)
        if count.is_const and count.const <= 1:
            return body(ranges, ZERO) if count.const == 1 else block()
        if kind == "unroll" and not count.is_const:
            kind = "serial"
        var, inner = self._variable(name, count, ranges)
        return For(var, count.to_expr(), kind, body(inner, affine(var)), pragmas=pragmas)

    def _variable(self, name: str, count: Affine, ranges: Ranges) -> tuple[Var, Ranges]:
        """A new loop variable, and the ranges in its loop."""
        var = self._fresh(name)
        inner = ranges.with_var(var, 0, int(ranges.interval(count)[1]) - 1)
        return var, inner if count.is_const else inner.with_fact(affine(var) - count, -1)

    def _vector_loop(self, name: str, count: Affine, ranges: Ranges, body: Body, lanes: int) -> Stmt:
        """Whole vectors of so many lanes, then one with what is left."""
        if not count.is_const and ranges.at_most(count, 1):
            return self._loop("serial", name, count, ranges, body)
        whole, rest = ranges.floordiv(count, lanes), ranges.mod(count, lanes)

        def vector(start: Affine, active: Affine, outer: Ranges) -> Stmt:
            kind = "vectorize" if active.is_const or self.target.masked else "serial"
            if outer.at_most(active, 1):  # here there is at least one, so that a loop would say no more
                return body(outer, start)
            var, inner = self._variable(name, active, outer)
            return For(
                var, active.to_expr(), kind, body(inner, start + affine(var)), lanes if kind == "vectorize" else 0
            )

        def chunks(inner: Ranges, chunk: Affine) -> Stmt:
            return vector(chunk.scale(lanes), number(lanes), inner)

        main = self._loop(
            "unroll" if whole.is_const and whole.const <= MAX_CHUNKS else "serial", f"{name}.v", whole, ranges, chunks
        )
        if rest.is_const:
            return block(main, vector(whole.scale(lanes), rest, ranges) if rest.const else None)
        some = ranges.with_fact(rest.scale(-1), -1)
        return block(
            main,
            If(Compare("bool", "gt", rest.to_expr(), Const(dtypes.INDEX, 0)), vector(whole.scale(lanes), rest, some)),
        )


def _allocated(buffers: tuple[Buffer, ...], stmt: Stmt) -> Stmt:
    """The statement with the buffers alive around it."""
    for buffer in reversed(buffers):
        stmt = Allocate(buffer, stmt)
    return stmt
