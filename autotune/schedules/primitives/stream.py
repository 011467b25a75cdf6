"""Write a stage's results past the caches."""

from __future__ import annotations

from dataclasses import dataclass

from autotune.errors import ScheduleError
from autotune.schedules.dependences import carried
from autotune.schedules.primitives.step import Step, primitive
from autotune.schedules.state import State


@primitive("stream")
@dataclass(frozen=True, slots=True)
class Stream(Step):
    """Store the elements of ``stage`` by non-temporal stores, which leave the caches to data that is read again.

    ``stream("c")`` ::

        for i in 0..64:                     for i in 0..64:
            c[i] = a[i] * 2           ->        c[i] = a[i] * 2  # non-temporal

    Arrays of any alignment are written correctly; vectors at unaligned addresses get plain stores.
    """

    stage: str

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        if carried(stage):
            raise ScheduleError(
                f"stage {stage.name!r} is a reduction or a scan, which reads its results again; "
                f"cache_write it and stream the copy"
            )
        return state.with_stage(stage.with_details(streamed=True))
