"""Hints to the generator about a loop."""

from __future__ import annotations

from dataclasses import dataclass

from autotune.errors import ScheduleError
from autotune.schedules.primitives.step import Factor, Step, check_factors, invariant, primitive
from autotune.schedules.state import Stage, State

KEYS = {"parallel_chunk": "how many iterations of a parallel loop a thread takes at once"}


@primitive("pragma")
@dataclass(frozen=True, slots=True)
class Pragma(Step):
    """Tell the generator ``key`` = ``value`` about loop ``axis``.

    ``pragma("c", "i", "parallel_chunk", 8)`` ::

        parallel for i in 0..64:          parallel for i in 0..64:  # parallel_chunk = 8
            c[i] = a[i] * 2         ->        c[i] = a[i] * 2

    ``parallel_chunk``: how many iterations of a parallel loop a thread takes at once (default 1).
    """

    stage: str
    axis: str
    key: str
    value: Factor

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        stage.require_loop(self.axis)
        if self.key not in KEYS:
            known = ", ".join(f"{key} ({meaning})" for key, meaning in KEYS.items())
            raise ScheduleError(
                f"stage {stage.name!r}, axis {self.axis!r}: unknown pragma {self.key!r}; the pragmas are: {known}"
            )
        check_factors(stage, self.axis, (self.value,), "value")
        others = tuple(pragma for pragma in stage.details.pragmas if pragma[:2] != (self.axis, self.key))
        return state.with_stage(stage.with_details(pragmas=(*others, (self.axis, self.key, self.value))))


@invariant
def _chunks_of_parallel_loops(state: State, stage: Stage) -> None:
    for loop, key, _ in stage.details.pragmas:
        if key == "parallel_chunk" and stage.kind(loop) != "parallel":
            raise ScheduleError(
                f"stage {stage.name!r}: axis {loop!r} is {stage.kind(loop)}; {key} is for parallel axes"
            )
