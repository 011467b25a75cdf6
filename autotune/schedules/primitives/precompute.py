"""Compute a stage before the kernel runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType

from autotune.errors import ScheduleError
from autotune.schedules.dependences import producers
from autotune.schedules.primitives.step import Step, primitive
from autotune.schedules.state import Stage, State
from autotune.tensor_expr.tensor import Tensor


@primitive("precompute")
@dataclass(frozen=True, slots=True)
class Precompute(Step):
    """Compute ``stage``, which depends on nothing but one constant, ahead of time: when the constant is packed.

    Transformed weights ``t[o, i] = w[o, i] * 2`` with ``precompute("t")`` ::

        t[o, i] = w[o, i] * 2          ->    y[o] = sum(x[i] * t[o, i])      (t is what w is packed as)
        y[o] = sum(x[i] * t[o, i])

    The stage takes the constant's place among the kernel's arrays: calling a kernel computes it each time, ``bind``
    once. Nothing else may read the constant, or what is computed of it on the way. Floating point is evaluated in
    float64, and rounded once.
    """

    stage: str

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        if stage.name == state.output or len(stage.tensor.dtypes) > 1 or stage.is_scheduled or stage.layout is not None:
            raise ScheduleError(
                f"stage {stage.name!r}: what is computed ahead is one array, not the output, and no step's so far"
            )
        made_of = producers(state, stage.name)
        sources = [name for name in made_of if state.stages[name].tensor.is_placeholder]
        inputs = [name for name in sources if not state.stages[name].tensor.constant]
        if inputs or len(sources) != 1 or state.stages[sources[0]].layout is not None:
            raise ScheduleError(
                f"stage {stage.name!r} is made of {', '.join(map(repr, inputs or sources)) or 'nothing'}; what is "
                "computed ahead is made of one plain constant"
            )
        for name in made_of:
            for reader in state.consumers(name):
                if reader.name not in made_of and reader.name != stage.name:
                    raise ScheduleError(f"stage {stage.name!r}: {name!r} is read by {reader.name!r}, too")
        known = Tensor(stage.name, stage.tensor.shape, stage.tensor.dtype, constant=True)
        stages: dict[str, Stage] = {}
        for name, existing in state.stages.items():
            if name == sources[0]:
                stages[stage.name] = Stage(known, ahead=stage.tensor)
            elif name not in made_of and name != stage.name:
                stages[name] = existing
        return replace(state, stages=MappingProxyType(stages))
