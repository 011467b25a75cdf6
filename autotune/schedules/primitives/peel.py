"""Take the first and the last iterations out of a loop."""

from __future__ import annotations

from dataclasses import dataclass

from autotune.errors import ScheduleError
from autotune.schedules.primitives.partition import cut
from autotune.schedules.primitives.step import Factor, Step, check_factors, primitive
from autotune.schedules.state import State


@primitive("peel")
@dataclass(frozen=True, slots=True)
class Peel(Step):
    """Run the ``first`` and the ``last`` iterations of loop ``axis`` in loops of their own; 0 leaves an end alone.

    ``peel("b", "i")`` ::

        for i in 0..8:                              b[0] = 0
            b[i] = select(i > 0, a[i - 1], 0) ->    for i in 0..6:
                                                        b[i + 1] = a[i]
                                                    b[7] = a[6]
    """

    stage: str
    axis: str
    first: Factor = 1
    last: Factor = 1

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        stage.require_loop(self.axis)
        points = []
        for count, sign in ((self.first, 1), (self.last, -1)):
            if isinstance(count, int) and count == 0:
                continue
            check_factors(stage, self.axis, (count,), "count")
            points.append(count * sign)  # type: ignore[operator]
        if not points:
            raise ScheduleError(f"stage {stage.name!r}, axis {self.axis!r}: peel of 0 and 0 iterations changes nothing")
        return state.with_stage(cut(stage, self.axis, tuple(points)))
