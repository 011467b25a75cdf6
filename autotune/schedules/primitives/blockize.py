"""Make the inner loops of a stage one indivisible block."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autotune.errors import ScheduleError
from autotune.schedules.primitives.step import Step, check_no_attached, primitive
from autotune.schedules.state import State


@primitive("blockize")
@dataclass(frozen=True, slots=True)
class Blockize(Step):
    """Make the loops of ``stage`` from ``axis`` inward one indivisible block, which later steps leave as it is.

    ``blockize("c", "i.1")`` ::

        for i.0 in 0..4:                for i.0 in 0..4:
            for i.1 in 0..4:                block c:
                for j in 0..16:   ->            for i.1 in 0..4:
                    c[i, j] = ...                   for j in 0..16:
                                                        c[i, j] = ...

    The loops outside may still be split, reordered, fused or hold other stages; what is inside is one unit of work,
    such as an instruction computes. The code stays the same.
    """

    stage: str
    axis: str

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        position = stage.require_loop(self.axis)
        if stage.block is not None:
            raise ScheduleError(
                f"stage {stage.name!r} has a block already, which begins at axis {stage.block!r}; a stage has one"
            )
        for loop in stage.loops[position:]:
            check_no_attached(state, stage, loop)
        return state.with_stage(replace(stage, block=self.axis))
