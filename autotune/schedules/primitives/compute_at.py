"""Compute a stage inside a loop of its consumer."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autotune.errors import ScheduleError
from autotune.schedules.dependences import check_attachments, check_holds
from autotune.schedules.primitives.step import Step, primitive
from autotune.schedules.state import State

_DONE = {"vectorize": "vectorized", "unroll": "unrolled"}


@primitive("compute_at")
@dataclass(frozen=True, slots=True)
class ComputeAt(Step):
    """Compute of ``stage``, in each iteration of ``axis`` of ``consumer``, just what that iteration reads.

    ``compute_at("a", "b", "i")`` ::

        for i in 0..8:                      for i in 0..8:
            for j in 0..8:                      for j in 0..8:
                a[i, j] = x[i, j] + 1     ->        a[j] = x[i, j] + 1
        for i in 0..8:                          for j in 0..8:
            for j in 0..8:                          b[i, j] = a[j] * 2
                b[i, j] = a[i, j] * 2

    All that read ``stage`` must run inside that iteration.
    """

    stage: str
    consumer: str
    axis: str

    def apply(self, state: State) -> State:
        stage, consumer = state.compute_stage(self.stage), state.compute_stage(self.consumer)
        position = consumer.require_loop(self.axis)
        if stage.name == state.output:
            raise ScheduleError(
                f"stage {stage.name!r} is the output: nothing reads it, so it cannot be computed at {self.axis!r}"
            )
        around = consumer.loops[: position + 1]
        if consumer.kind(self.axis) == "unroll" or any(consumer.kind(loop) == "vectorize" for loop in around):
            fixed = next(loop for loop in around if consumer.kind(loop) in ("vectorize", "unroll"))
            outside = ", ".join(consumer.loops[: consumer.loops.index(fixed)])
            raise ScheduleError(
                f"stage {consumer.name!r}: axis {fixed!r} is {_DONE[consumer.kind(fixed)]}; "
                f"compute {stage.name!r} at an axis outside it: {outside or 'none'}"
            )
        if any(stage.kind(loop) == "parallel" for loop in stage.loops):
            raise ScheduleError(f"stage {stage.name!r} has a parallel axis and must stay at the root")
        check_holds(state, stage, consumer, self.axis)
        return check_attachments(state.with_stage(replace(stage, attach=(consumer.name, self.axis))))
