"""Run a loop as several loops over consecutive ranges."""

from __future__ import annotations

from dataclasses import dataclass

from autotune.errors import ScheduleError
from autotune.schedules.primitives.step import Factor, Step, check_factors, primitive
from autotune.schedules.state import Number, Stage, State


@primitive("partition")
@dataclass(frozen=True, slots=True)
class Partition(Step):
    """Cut the range of loop ``axis`` at ``points``: one loop per part, in order.

    ``partition("b", "i", [1, 7])`` ::

        for i in 0..8:                                      b[0] = 0
            b[i] = select(i > 0 and i < 7, a[i], 0)   ->    for i in 0..6:
                                                                b[i + 1] = a[i + 1]
                                                            b[7] = 0

    What a part's range decides is decided when lowering, so that the inside of a padded stencil has no test.
    """

    stage: str
    axis: str
    points: tuple[Factor, ...]

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        stage.require_loop(self.axis)
        if not self.points:
            raise ScheduleError(
                f"stage {stage.name!r}, axis {self.axis!r}: partition takes a list of points, got {self.points!r}"
            )
        check_factors(stage, self.axis, self.points, "point")
        return state.with_stage(cut(stage, self.axis, self.points))  # type: ignore[arg-type]


def cut(stage: Stage, axis: str, points: tuple[Number, ...]) -> Stage:
    """The stage with a loop cut at further points; those below 0 count from the loop's end."""
    cuts = dict(stage.details.partitions)
    cuts[axis] = (*cuts.get(axis, ()), *points)
    return stage.with_details(partitions=tuple(cuts.items()))
