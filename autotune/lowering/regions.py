"""Which part of a stage is computed where it stands: the first element, and how many follow, per axis."""

from __future__ import annotations

from collections.abc import Mapping

from autotune.lowering.context import Context
from autotune.lowering.loop_tree import LoopTree
from autotune.schedules.bounds import Bounds, accesses
from autotune.schedules.state import Stage
from autotune.tensor_expr.affine import ZERO, Affine, affine, number, weighted_sum
from autotune.tensor_expr.expr import Axis, Expr
from autotune.tensor_expr.ranges import Ranges

Values = Mapping[Axis, Affine]
Ends = tuple[Affine, Affine]


class Regions:
    """Regions of all stages; how large their buffers are is ``Bounds``' business, and never less than what is here."""

    def __init__(self, bounds: Bounds, trees: Mapping[str, LoopTree]) -> None:
        self.bounds = bounds
        self.trees = trees
        self._held: dict[tuple[str, str], list[tuple[Expr, int] | None]] = {}

    def of(
        self, stage: Stage, context: Context, at: tuple[str, str] | None = None
    ) -> tuple[tuple[Affine, ...], dict[str, Affine]]:
        """Per dimension, where the region begins that is read from where the context stands; per axis, its length.

        ``at`` is the loop whose present iteration counts: the one inside which the stage is computed, unless given.
        """
        limits = {axis.name: number(axis.extent) for axis in (*stage.tensor.axes, *stage.tensor.reduce_axes)}
        bases: list[Affine] = [ZERO] * len(stage.tensor.axes)
        at = at or stage.attach
        readers = self.bounds.readers(stage.name, *at) if at is not None else []
        if at is None or not readers:
            return tuple(bases), limits
        ranges = context.ranges
        for dim, (axis, ends) in enumerate(
            zip(stage.tensor.axes, self._ends(stage, readers, at, context), strict=True)
        ):
            if ends is None:
                continue
            # Reads beyond the tensor are under a condition that does not hold there: nothing is computed for them.
            first = ranges.maximum(ends[0], ZERO)
            last = ranges.minimum(ends[1], number(axis.extent - 1))
            bases[dim] = first
            limits[axis.name] = ranges.maximum((last - first).shifted(1), ZERO)
        return tuple(bases), limits

    def _ends(self, stage: Stage, readers: list[Stage], at: tuple[str, str], context: Context) -> list[Ends | None]:
        """Per dimension, the first and the last index that is read; None where that may be any."""
        if len(readers) > 1:
            return self._hull(stage.name, at, context, {})
        lowest, highest = self._corners(readers[0], at, context)
        found: list[Ends | None] = []
        for access in self._accesses(readers[0], stage.name):
            if access is None:
                found.append(None)
            else:
                first, last = _ends(access[0], lowest, highest, context.ranges)
                found.append((first, last.shifted(access[1])))
        return found

    def _hull(
        self, name: str, at: tuple[str, str], context: Context, known: dict[str, list[Ends | None]]
    ) -> list[Ends | None]:
        """What several readers read of a tensor, where ``Bounds.spans`` knows its length: not clipped on the way."""
        if name in known:
            return known[name]
        spans, ranges = self.bounds.spans(name, *at), context.ranges
        hull: list[Ends | None] = [None] * len(spans)
        for reader in self.bounds.readers(name, *at):
            lowest, highest = self._reach(reader, at, context, known)
            for dim, access in enumerate(self._accesses(reader, name)):
                if access is None or spans[dim] is None:
                    continue
                first, last = _ends(access[0], lowest, highest, ranges)
                last, held = last.shifted(access[1]), hull[dim]
                hull[dim] = (ranges.minimum(held[0], first), ranges.maximum(held[1], last)) if held else (first, last)
        known[name] = hull
        return hull

    def _reach(
        self, reader: Stage, at: tuple[str, str], context: Context, known: dict[str, list[Ends | None]]
    ) -> tuple[Values, Values]:
        """The lowest and the highest value of each axis of a reader; what any index may take on counts as all."""
        if reader.name == at[0]:
            return self._corners(reader, at, context)
        axes = (*reader.tensor.axes, *reader.tensor.reduce_axes)
        lowest = {axis: ZERO for axis in axes}
        highest = {axis: number(axis.extent - 1) for axis in axes}
        for axis, ends in zip(reader.tensor.axes, self._hull(reader.name, at, context, known), strict=True):
            if ends is not None:
                lowest[axis], highest[axis] = ends
        return lowest, highest

    def _accesses(self, reader: Stage, name: str) -> list[tuple[Expr, int] | None]:
        key = (reader.name, name)
        if key not in self._held:
            self._held[key] = accesses(reader, self.bounds.state.stages[name])
        return self._held[key]

    def _corners(self, reader: Stage, at: tuple[str, str], context: Context) -> tuple[Values, Values]:
        """The lowest and the highest value of each axis of a stage in the present iteration of a loop."""
        axes = (*reader.tensor.axes, *reader.tensor.reduce_axes)
        ranges = context.ranges
        if reader.name == at[0]:
            bases, limits = context.bases[reader.name], context.limits[reader.name]
            covers, pins = self.bounds.covers(reader.name, *at), context.pins[reader.name]
            first = {axis: self.trees[reader.name].value(axis.name, pins, ranges) for axis in axes}
            counts = {axis: number(int(covers[axis.name])) for axis in axes}
            last = {axis: first[axis] + ranges.minimum(counts[axis], limits[axis.name] - first[axis]) for axis in axes}
        else:
            bases, limits = self.of(reader, context, at)
            first = {axis: ZERO for axis in axes}
            last = {axis: limits[axis.name] for axis in axes}
        offsets = dict(zip(reader.tensor.axes, bases, strict=True))
        lowest = {axis: offsets.get(axis, ZERO) + first[axis] for axis in axes}
        highest = {axis: (offsets.get(axis, ZERO) + last[axis]).shifted(-1) for axis in axes}
        return lowest, highest


def _ends(index: Expr, lowest: Values, highest: Values, ranges: Ranges) -> tuple[Affine, Affine]:
    """The lowest and highest value of a monotone index."""
    form = affine(index)
    if all(isinstance(atom, Axis) for atom, _ in form.terms.values()):
        terms = [(atom, coefficient) for atom, coefficient in form.terms.values() if isinstance(atom, Axis)]
        first = weighted_sum([((lowest if c > 0 else highest)[atom], c) for atom, c in terms], form.const)
        last = weighted_sum([((highest if c > 0 else lowest)[atom], c) for atom, c in terms], form.const)
        return first, last
    return ranges.linear(index, lowest), ranges.linear(index, highest)
