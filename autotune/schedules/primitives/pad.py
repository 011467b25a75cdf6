"""Compute a stage over an extent that tiles divide."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from autotune.errors import ScheduleError
from autotune.schedules.bounds import ceildiv
from autotune.schedules.dependences import check_attachments
from autotune.schedules.primitives.step import Step, check_factors, primitive
from autotune.schedules.rewriting import copied_from, guarded, renamed
from autotune.schedules.state import State, fresh_stage


@primitive("pad")
@dataclass(frozen=True, slots=True)
class Pad(Step):
    """Compute ``stage`` with the extent of ``axis`` rounded up to a multiple, in a new stage ``<stage>.padded``, of
    which ``stage`` becomes a copy without what was added.

    ``pad("c", "i", 4)`` ::

        for i in 0..13:                 for i in 0..16:
            c[i] = a[i] * 2       ->        c.padded[i] = select(i < 13, a[i] * 2, 0)
                                        for i in 0..13:
                                            c[i] = c.padded[i]

    Nothing is read for what was added: it is 0, or, in a reduction, what changes nothing. The axis may be a reduction
    axis, whose added part changes nothing either. The stage must not have been scheduled yet.
    """

    stage: str
    axis: str
    multiple: int

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        stage.require_loop(self.axis)
        if stage.is_scheduled:
            raise ScheduleError(
                f"stage {stage.name!r} has been scheduled already; pad comes before its loops are changed "
                f"(its axes are: {', '.join(stage.loops)})"
            )
        check_factors(stage, self.axis, (self.multiple,), "multiple")
        if isinstance(self.multiple, np.ndarray):
            raise ScheduleError(f"stage {stage.name!r}, axis {self.axis!r}: pad needs a number for the multiple")
        tensor = stage.tensor
        (size,) = (axis.extent for axis in (*tensor.axes, *tensor.reduce_axes) if axis.name == self.axis)
        rounded = int(ceildiv(size, self.multiple)) * int(self.multiple)
        padded = renamed(tensor, f"{stage.name}.padded", {self.axis: rounded})
        if rounded > size:
            (axis,) = (axis for axis in (*padded.axes, *padded.reduce_axes) if axis.name == self.axis)
            padded = padded.with_bodies([guarded(body, axis < size) for body in padded.bodies])
        state = state.with_stage(replace(fresh_stage(copied_from(tensor, padded)), layout=stage.layout))
        return check_attachments(state.with_stage_before(fresh_stage(padded), stage.name))
