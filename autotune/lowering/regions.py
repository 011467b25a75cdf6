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
        if at is None or len(readers) != 1:
            return tuple(bases), limits
        lowest, highest = self._corners(readers[0], at, context)
        ranges = context.ranges
        for dim, (axis, access) in enumerate(zip(stage.tensor.axes, self._accesses(readers[0], stage), strict=True)):
            if access is None:
                continue
            index, spread = access
            first, last = _ends(index, lowest, highest, ranges)
            # Reads beyond the tensor are under a condition that does not hold there.
            first = ranges.minimum(ranges.maximum(first, ZERO), number(axis.extent - 1))
            last = ranges.minimum(last.shifted(spread), number(axis.extent - 1))
            bases[dim] = first
            limits[axis.name] = ranges.maximum((last - first).shifted(1), ZERO)
        return tuple(bases), limits

    def _accesses(self, reader: Stage, stage: Stage) -> list[tuple[Expr, int] | None]:
        key = (reader.name, stage.name)
        if key not in self._held:
            self._held[key] = accesses(reader, stage.name)
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
