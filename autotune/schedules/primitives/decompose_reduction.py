"""Where a reduction's result is initialised."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autotune.schedules.dependences import check_before_reduction
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
        check_before_reduction(stage, self.axis)
        return state.with_stage(replace(stage, init_at=self.axis))
