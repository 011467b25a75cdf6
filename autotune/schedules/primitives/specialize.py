"""A second copy of a stage for a value that an input often has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autotune.errors import ScheduleError
from autotune.schedules.primitives.step import Step, invariant, primitive
from autotune.schedules.specializing import within
from autotune.schedules.state import Stage, State, reads
from autotune.tensor_expr import dtypes


@primitive("specialize")
@dataclass(frozen=True, slots=True)
class Specialize(Step):
    """Where the only element of ``tensor`` is ``value``, run a copy of ``stage`` in which it is that constant.

    ``specialize("b", "scale", 1)`` ::

        for i in 0..8:                      if scale[0] == 1:
            b[i] = a[i] * scale[0]    ->        for i in 0..8:
                                                    b[i] = a[i]
                                            else:
                                                for i in 0..8:
                                                    b[i] = a[i] * scale[0]

    What is computed inside the loops of ``stage`` knows the constant, too. ``tensor`` is an input of one element.
    """

    stage: str
    tensor: str
    value: int | float

    def apply(self, state: State) -> State:
        stage, source = state.compute_stage(self.stage), state.stage(self.tensor).tensor
        if not source.is_placeholder or set(source.shape) != {1}:
            raise ScheduleError(
                f"stage {stage.name!r}: specialize needs an input of one element; {source.name!r} is a {source!r}"
            )
        if not _holds(source.dtype, self.value):
            raise ScheduleError(f"stage {stage.name!r}: {source.name!r} is {source.dtype} and never {self.value!r}")
        arms = stage.details.specialized
        return state.with_stage(stage.with_details(specialized=(*arms, (source.name, self.value))))


def _holds(dtype: str, value: object) -> bool:
    """Whether a value of the dtype can be equal to this one."""
    if not isinstance(value, (bool, int, float)) or value != value:
        return False
    if dtypes.is_float(dtype):
        return True
    if dtype == "bool":
        return value in (0, 1)
    return int(value) == value and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max


@invariant
def _known_tensors_are_read(state: State, stage: Stage) -> None:
    for tensor, _ in stage.details.specialized:
        if not any(read.tensor.name == tensor for s in within(state, stage.name) for read in reads(s.tensor)):
            raise ScheduleError(f"stage {stage.name!r} does not read {tensor!r}, for which it is specialized")
