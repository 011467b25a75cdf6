"""Ask for data before it is read."""

from __future__ import annotations

from dataclasses import dataclass

from autotune.errors import ScheduleError
from autotune.schedules.primitives.step import Factor, Step, check_factors, invariant, primitive
from autotune.schedules.state import Stage, State, reads


@primitive("prefetch")
@dataclass(frozen=True, slots=True)
class Prefetch(Step):
    """In each iteration of loop ``axis`` of ``stage``, prefetch what the one ``distance`` later reads of ``tensor``.

    ``prefetch("c", "a", "i", 2)`` ::

        for i in 0..64:                     for i in 0..64:
            for j in 0..32:                     for a.1 in 0..2:
                c[i] += a[i, j]       ->            prefetch a[i + 2, a.1 * 16]
                                                for j in 0..32:
                                                    c[i] += a[i, j]

    There is one prefetch for each cache line of 64 bytes; what the last iterations ask for need not exist.
    """

    stage: str
    tensor: str
    axis: str
    distance: Factor = 1

    def apply(self, state: State) -> State:
        stage, source = state.compute_stage(self.stage), state.stage(self.tensor)
        stage.require_loop(self.axis)
        check_factors(stage, self.axis, (self.distance,), "distance")
        asked = (*stage.details.prefetches, (source.name, self.axis, self.distance))
        return state.with_stage(stage.with_details(prefetches=asked))


@invariant
def _prefetched_tensors_are_there(state: State, stage: Stage) -> None:
    for tensor, loop, _ in stage.details.prefetches:
        around = stage.loops[: stage.loops.index(loop) + 1]
        if any(stage.kind(at) == "vectorize" for at in around):
            raise ScheduleError(f"stage {stage.name!r}: axis {loop!r} runs in vector lanes and cannot prefetch")
        inside = [s for s in state.stages.values() if s is stage or state.nested_in(s.name, stage.name, loop)]
        if not any(read.tensor.name == tensor for s in inside for read in reads(s.tensor)):
            raise ScheduleError(
                f"stage {stage.name!r}: nothing inside axis {loop!r} reads {tensor!r}, which it prefetches"
            )
        if state.nested_in(tensor, stage.name, loop):
            raise ScheduleError(
                f"stage {stage.name!r}: {tensor!r} is computed inside axis {loop!r}: there is nothing to prefetch"
            )
