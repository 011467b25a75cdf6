"""Leave gaps between the rows of a stage's buffer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autotune.errors import ScheduleError
from autotune.schedules.primitives.step import (
    Factor,
    Step,
    check_factors,
    check_own_buffer,
    invariant,
    is_whole,
    primitive,
)
from autotune.schedules.state import Stage, State


@primitive("storage_align")
@dataclass(frozen=True, slots=True)
class StorageAlign(Step):
    """Lay neighbours along dimension ``dim`` of ``stage`` a multiple of ``factor`` plus ``offset`` elements apart.

    ``storage_align("a", 0, 16, 1)`` ::

        a = buffer float32[8, 16]     ->    a = buffer float32[8, 16] strides [17, 1]

    An offset spreads the elements of a column over the sets of a cache. The dimensions are those of the stage's layout.
    """

    stage: str
    dim: int
    factor: Factor
    offset: Factor = 0

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        check_own_buffer(state, stage)
        check_factors(stage, self.dim, (self.factor,))
        if not is_whole(self.offset) or not np.all(self.offset >= 0):  # type: ignore[operator]
            raise ScheduleError(f"stage {stage.name!r}: offset {self.offset!r} must be a whole number, 0 or more")
        return state.with_stage(stage.with_details(aligned=(self.dim, self.factor, self.offset)))


@invariant
def _dimension_exists(state: State, stage: Stage) -> None:
    if stage.details.aligned is None:
        return
    dim, rank = stage.details.aligned[0], len(stage.layout or stage.tensor.shape)
    if not isinstance(dim, int) or not 0 <= dim < rank:
        raise ScheduleError(
            f"stage {stage.name!r} has dimensions 0 to {rank - 1} in memory; storage_align names {dim!r}"
        )
