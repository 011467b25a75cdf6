"""Write a loop's iterations out as straight-line code."""

from __future__ import annotations

from dataclasses import dataclass

from autotune.schedules.primitives.step import Step, check_plain, primitive
from autotune.schedules.state import State


@primitive("unroll")
@dataclass(frozen=True, slots=True)
class Unroll(Step):
    """Write the iterations of ``axis`` out one after the other.

    ``unroll("c", "i")`` ::

        for i in 0..2:          c[0] = a[0] * 2
            c[i] = a[i] * 2     c[1] = a[1] * 2
    """

    stage: str
    axis: str

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        check_plain(stage, self.axis)
        stage = stage.with_kind(self.axis, "unroll")
        return state.with_stage(stage)
