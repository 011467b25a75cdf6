"""Where a reduction's result is initialised."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autotune.errors import ScheduleError
from autotune.schedules.primitives.step import Step, primitive
from autotune.schedules.state import State


@primitive("decompose_reduction")
@dataclass(frozen=True, slots=True)
class DecomposeReduction(Step):
    """Initialise the result of ``stage`` in a loop nest of its own just before loop ``axis``.

    ``decompose_reduction("c", "i")`` ::

        for i in 0..8:                  for i in 0..8:
            c[i] = 0                        c[i] = 0
            for k in 0..8:        ->    for i in 0..8:
                c[i] += a[i, k]             for k in 0..8:
                                                c[i] += a[i, k]

    Without this step the result is initialised just before the outermost reduction loop.
    """

    stage: str
    axis: str

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        position = stage.require_loop(self.axis)
        reducing = [number for number, loop in enumerate(stage.loops) if loop in stage.reduce_loops]
        if not reducing:
            raise ScheduleError(f"stage {stage.name!r} is not a reduction; its axes are: {', '.join(stage.loops)}")
        if position > reducing[0]:
            allowed = ", ".join(stage.loops[: reducing[0] + 1])
            raise ScheduleError(
                f"stage {stage.name!r}: axis {self.axis!r} is inside the reduction, and initialising there would "
                f"discard sums; allowed axes are: {allowed}"
            )
        return state.with_stage(replace(stage, init_at=self.axis))
