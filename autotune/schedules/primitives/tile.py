"""Cut several loops and gather the inner parts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autotune.errors import ScheduleError
from autotune.schedules.dependences import check_permutable
from autotune.schedules.primitives.reorder import check_order
from autotune.schedules.primitives.split import split_loop
from autotune.schedules.primitives.step import Factor, Step, check_factors, check_no_attached, check_plain, primitive
from autotune.schedules.state import State


@primitive("tile")
@dataclass(frozen=True, slots=True)
class Tile(Step):
    """Cut each of ``axes`` by its factor and put the inner loops, in order, directly inside the outer ones.

    ``tile("c", ["i", "j"], [4, 16])`` ::

        for i in 0..64:                 for i.0 in 0..16:
            for j in 0..64:       ->        for j.0 in 0..4:
                body(i, j)                      for i.1 in 0..4:
                                                    for j.1 in 0..16:
                                                        body(i.0 * 4 + i.1, j.0 * 16 + j.1)
    """

    stage: str
    axes: tuple[str, ...]
    factors: tuple[Factor, ...]

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        if len(self.axes) != len(self.factors) or not self.axes:
            raise ScheduleError(
                f"stage {stage.name!r}: tile takes one factor per axis, got {self.axes} and {self.factors}"
            )
        for axis in self.axes:
            check_plain(stage, axis)
            check_no_attached(state, stage, axis)
        positions = sorted(stage.loops.index(axis) for axis in self.axes)
        if len(set(positions)) < len(positions) or positions[-1] - positions[0] != len(positions) - 1:
            raise ScheduleError(
                f"stage {stage.name!r}: tile needs axes that are next to each other, got {', '.join(self.axes)}; "
                f"its axes are: {', '.join(stage.loops)}"
            )
        check_factors(stage, ", ".join(self.axes), self.factors)
        before, after = stage.loops[: positions[0]], stage.loops[positions[-1] + 1 :]
        for axis, factor in zip(self.axes, self.factors, strict=True):
            stage = split_loop(stage, axis, (factor,), ())
        tiled = (*(f"{axis}.0" for axis in self.axes), *(f"{axis}.1" for axis in self.axes))
        order = (*before, *tiled, *after)
        check_permutable(stage, order)
        stage = replace(stage, loops=order)
        check_order(stage)
        return state.with_stage(stage)
