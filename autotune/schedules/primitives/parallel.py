"""Share a loop's iterations among threads."""

from __future__ import annotations

from dataclasses import dataclass

from autotune.errors import ScheduleError
from autotune.schedules.dependences import check_atomic, check_independent
from autotune.schedules.primitives.step import Step, check_plain, primitive
from autotune.schedules.state import State


@primitive("parallel")
@dataclass(frozen=True, slots=True)
class Parallel(Step):
    """Share the iterations of ``axis``, the outermost loop of a stage at the root, among threads.

    ``parallel("c", "i")`` ::

        for i in 0..64:             for i in 0..64, on all threads:
            c[i] = a[i] * 2             c[i] = a[i] * 2

    The loop may be a fused one. A loop of a reduction needs ``atomic``, or ``rfactor``.
    """

    stage: str
    axis: str

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        check_plain(stage, self.axis)
        check_independent(stage, self.axis, "parallel")
        if stage.attach is not None:
            raise ScheduleError(
                f"stage {stage.name!r}: axis {self.axis!r} cannot be parallel, since the stage is computed inside "
                f"{stage.attach[0]!r} axis {stage.attach[1]!r}; make an axis of that stage parallel"
            )
        if stage.loops[0] != self.axis:
            raise ScheduleError(
                f"stage {stage.name!r}: only the outermost axis can be parallel, not {self.axis!r}; "
                f"its axes are: {', '.join(stage.loops)}"
            )
        stage = stage.with_kind(self.axis, "parallel")
        if stage.atomic:
            check_atomic(stage)
        return state.with_stage(stage)
