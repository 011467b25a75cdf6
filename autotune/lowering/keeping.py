"""Stages of which one iteration leaves something to the next: sliding windows and double buffers.

A window ::

    for y in 0..8:                          a = buffer float32[4, 16]
        a = buffer float32[3, 16]           for y in 0..8:
        for i in 0..3:                          for i in (0 if y == 0 else 2)..3:
            a[i] = f(y + i)           ->            a[(y + i) % 4] = f(y + i)
        b[y] = a[0] + a[1] + a[2]               b[y] = a[y % 4] + a[(y + 1) % 4] + a[(y + 2) % 4]

Two buffers ::

    for y in 0..8:                          a = buffer float32[2, 16]
        a = buffer float32[16]              a[0] = f(0)
        a[:] = f(y)                         for y in 0..8:
        b[y] = g(a)                   ->        if y + 1 < 8: a[(y + 1) % 2] = f(y + 1)
                                                b[y] = g(a[y % 2])

Source of the sliding window: Ragan-Kelley et al., Halide, PLDI 2013, section 4.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from autotune.lowering.context import Context, Kept
from autotune.lowering.ir import If, Stmt, block
from autotune.lowering.regions import Regions
from autotune.schedules.state import Stage
from autotune.tensor_expr.affine import ZERO, Affine
from autotune.tensor_expr.expr import Compare

Compute = Callable[[Stage, Context], Stmt]


@dataclass(frozen=True, slots=True)
class Keeping:
    """Computes such stages; ``compute`` builds a stage's loops for the region that a context holds."""

    regions: Regions
    compute: Compute

    def before(self, stage: Stage, context: Context) -> Stmt:
        """What stands before the loop: the first iteration's data, where there are two buffers."""
        if not stage.details.double_buffered:
            return block()
        count = context.kept[stage.name].count
        return _under("gt", count, ZERO, context, lambda inner: self._fill(stage, inner, ZERO))

    def within(self, stage: Stage, context: Context) -> tuple[Stmt, Context]:
        """What an iteration computes, and what holds for those who read the stage after that."""
        return self._ahead(stage, context) if stage.details.double_buffered else self._window(stage, context)

    def _fill(self, stage: Stage, context: Context, value: Affine) -> Stmt:
        """The stage as the loop's iteration ``value`` needs it, into the buffer that belongs to it."""
        return self.compute(stage, self._slot(stage, context, value))

    def _slot(self, stage: Stage, context: Context, value: Affine) -> Context:
        assert stage.attach is not None
        bases, limits = self.regions.of(stage, context.pin(*stage.attach, value))
        kept = Kept(context.kept[stage.name].count, None, context.ranges.mod(value, 2))
        return context.enter(stage.name, limits, bases).keeping(stage.name, kept)

    def _ahead(self, stage: Stage, context: Context) -> tuple[Stmt, Context]:
        assert stage.attach is not None
        holder, loop = stage.attach
        value, count = context.pins[holder][loop], context.kept[stage.name].count
        following = value.shifted(1)
        stmt = _under("lt", following, count, context, lambda inner: self._fill(stage, inner, following))
        return stmt, self._slot(stage, context, value)

    def _window(self, stage: Stage, context: Context) -> tuple[Stmt, Context]:
        assert stage.attach is not None and stage.details.folded is not None
        (holder, loop), dim = stage.attach, stage.details.folded[0]
        value, axis = context.pins[holder][loop], stage.tensor.axes[dim].name
        bases, limits = self.regions.of(stage, context)
        origins = tuple(ZERO if place == dim else base for place, base in enumerate(bases))
        kept = Kept(context.kept[stage.name].count, origins)
        whole = context.enter(stage.name, limits, bases).keeping(stage.name, kept)

        def only_new(inner: Context) -> Stmt:
            ranges = inner.ranges
            past_bases, past_limits = self.regions.of(stage, inner.pin(holder, loop, value.shifted(-1)))
            start = ranges.maximum(bases[dim], past_bases[dim] + past_limits[axis])
            left = ranges.maximum(bases[dim] + limits[axis] - start, ZERO)
            begun = (*bases[:dim], start, *bases[dim + 1 :])
            return self.compute(stage, inner.enter(stage.name, {**limits, axis: left}, begun))

        def all_of_it(inner: Context) -> Stmt:
            begun, lengths = self.regions.of(stage, inner.pin(holder, loop, ZERO))
            return self.compute(stage, inner.enter(stage.name, lengths, begun))

        return _under("le", value, ZERO, whole, all_of_it, only_new), whole


def _under(
    op: str,
    a: Affine,
    b: Affine,
    context: Context,
    then: Callable[[Context], Stmt],
    otherwise: Callable[[Context], Stmt] | None = None,
) -> Stmt:
    """``then`` where the comparison holds, else ``otherwise``; without a test where that is certain."""
    ranges = context.ranges
    certain = ranges.decide(op, a, b)
    ordered = {"le": (a - b, 0), "lt": (a - b, -1), "gt": (b - a, -1)}
    form, bound = ordered[op]
    fails = otherwise(context.with_ranges(ranges.with_fact(form.scale(-1), -bound - 1))) if otherwise else None
    if certain is False:
        return fails or block()
    holds = then(context.with_ranges(ranges.with_fact(form, bound)))
    return holds if certain else If(Compare("bool", op, a.to_expr(), b.to_expr()), holds, fails)
