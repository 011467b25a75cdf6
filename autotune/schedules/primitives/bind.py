"""Run a loop's iterations on a GPU's threads."""

from __future__ import annotations

from dataclasses import dataclass

from autotune.errors import ScheduleError
from autotune.schedules.dependences import check_independent
from autotune.schedules.details import THREADS
from autotune.schedules.primitives.step import Step, check_plain, primitive
from autotune.schedules.state import State


@primitive("bind")
@dataclass(frozen=True, slots=True)
class Bind(Step):
    """Give each iteration of loop ``axis`` to a block or thread of a GPU.

    ``bind("c", "i.0", "blockIdx.x").bind("c", "i.1", "threadIdx.x")`` ::

        for i.0 in 0..8:                          blockIdx.x for i.0 in 0..8:
            for i.1 in 0..32:                         threadIdx.x for i.1 in 0..32:
                c[i.0 * 32 + i.1] = ...     ->            c[i.0 * 32 + i.1] = ...

    ``thread`` is ``blockIdx`` or ``threadIdx`` with ``.x``, ``.y`` or ``.z``, or ``vthread``. Targets without such
    threads refuse when building.
    """

    stage: str
    axis: str
    thread: str

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        check_plain(stage, self.axis)
        if self.thread not in THREADS:
            raise ScheduleError(
                f"stage {stage.name!r}, axis {self.axis!r}: unknown thread {self.thread!r}; "
                f"the threads are: {', '.join(THREADS)}"
            )
        check_independent(stage, self.axis, self.thread)
        taken = [loop for loop in stage.loops if stage.kind(loop) == self.thread != "vthread"]
        if taken:
            raise ScheduleError(f"stage {stage.name!r}: axis {taken[0]!r} is bound to {self.thread} already")
        return state.with_stage(stage.with_kind(self.axis, self.thread))
