"""Run a loop's iterations in vector lanes."""

from __future__ import annotations

from dataclasses import dataclass

from autotune.errors import ScheduleError
from autotune.schedules.dependences import check_atomic, check_independent
from autotune.schedules.primitives.reorder import check_order
from autotune.schedules.primitives.step import Step, check_no_attached, check_plain, primitive
from autotune.schedules.state import State


@primitive("vectorize")
@dataclass(frozen=True, slots=True)
class Vectorize(Step):
    """Run the iterations of ``axis``, which must be innermost, in the lanes of vectors.

    ``vectorize("c", "j")`` ::

        for j in 0..16:             c[i, 0:16] = a[i, 0:16] * 2
            c[i, j] = a[i, j] * 2
    """

    stage: str
    axis: str

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        check_plain(stage, self.axis)
        for loop in stage.loops[stage.loops.index(self.axis) :]:
            check_no_attached(state, stage, loop)
        check_independent(stage, self.axis, "vectorize")
        other = [loop for loop in stage.loops if stage.kind(loop) == "vectorize"]
        if other:
            raise ScheduleError(
                f"stage {stage.name!r}: axis {other[0]!r} is vectorized already; one axis of a stage can be"
            )
        stage = stage.with_kind(self.axis, "vectorize")
        check_order(stage)
        if stage.atomic:
            check_atomic(stage)
        return state.with_stage(stage)
