"""Compute a stage nowhere of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

from autotune.errors import ScheduleError
from autotune.schedules.dependences import check_attachments
from autotune.schedules.primitives.step import Step, primitive
from autotune.schedules.rewriting import expanded
from autotune.schedules.state import Stage, State, reads
from autotune.tensor_expr.expr import Accumulation, Reduce


@primitive("compute_inline")
@dataclass(frozen=True, slots=True)
class ComputeInline(Step):
    """Replace every read of ``stage`` by its expression; the stage is gone.

    ``compute_inline("a")`` ::

        for i in 0..8:
            a[i] = x[i] + 1     ->  for i in 0..8:
        for i in 0..8:                  b[i] = (x[i] + 1) * 2
            b[i] = a[i] * 2

    A tuple of stages is inlined at once, which takes much less time than one after the other where there are hundreds.
    """

    stage: str | tuple[str, ...]

    def apply(self, state: State) -> State:
        names = self.stage if isinstance(self.stage, tuple) else (self.stage,)
        inlined = {name: _inlinable(state, name).tensor for name in names}
        stages: dict[str, Stage] = {}
        for name, stage in state.stages.items():
            if name in inlined:
                continue
            if any(read.tensor.name in inlined for read in reads(stage.tensor)):
                stage = replace(stage, tensor=expanded(stage.tensor, inlined))
            stages[name] = stage
        return check_attachments(replace(state, stages=MappingProxyType(stages)))


def _inlinable(state: State, name: str) -> Stage:
    stage = state.compute_stage(name)
    if stage.name == state.output:
        raise ScheduleError(f"stage {stage.name!r} is the output and cannot be inlined")
    if isinstance(stage.tensor.body, Accumulation):
        kind = "reduction" if isinstance(stage.tensor.body, Reduce) else "scan"
        raise ScheduleError(f"stage {stage.name!r} is a {kind} and cannot be inlined")
    if stage.is_scheduled:
        raise ScheduleError(f"stage {stage.name!r} has been scheduled already; inline it before that")
    return stage
