"""Compute a stage for the next iteration while the present one reads it."""

from __future__ import annotations

from dataclasses import dataclass

from autotune.errors import ScheduleError
from autotune.schedules.dependences import producers
from autotune.schedules.primitives.step import Step, invariant, primitive
from autotune.schedules.state import Stage, State
from autotune.schedules.windows import check_kept


@primitive("double_buffer")
@dataclass(frozen=True, slots=True)
class DoubleBuffer(Step):
    """Give ``stage`` two buffers in turn: an iteration of the loop around it fills the one that the next will read.

    ``compute_at("a", "b", "i").double_buffer("a")`` ::

        for i in 0..8:                a = buffer[2, 16]
            a = buffer[16]            a[0, :] = f(0)
            a[:] = f(i)         ->    for i in 0..8:
            b[i] = g(a)                   if i + 1 < 8:
                                              a[(i + 1) % 2, :] = f(i + 1)
                                          b[i] = g(a[i % 2])

    The loop must be serial, and what ``stage`` reads must be there before it.
    """

    stage: str

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        check_kept(state, stage, "double_buffer")
        return state.with_stage(stage.with_details(double_buffered=True))


@invariant
def _next_can_be_computed(state: State, stage: Stage) -> None:
    if not stage.details.double_buffered:
        return
    holder, loop = check_kept(state, stage, "double_buffer")
    if stage.details.folded is not None:
        raise ScheduleError(
            f"stage {stage.name!r} keeps a window (fold_storage), which double_buffer cannot hold twice"
        )
    for name in producers(state, stage.name):
        inside = state.nested_in(name, holder, loop) and not state.nested_in(name, stage.name, stage.loops[0])
        if inside:
            raise ScheduleError(
                f"stage {stage.name!r}: double_buffer computes it an iteration of {loop!r} ahead, "
                f"but it reads {name!r}, which is computed in that loop"
            )
