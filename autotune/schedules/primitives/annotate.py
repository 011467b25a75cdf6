"""How a loop runs: its iterations in vector lanes, as straight-line code, or on several threads."""

from __future__ import annotations

from dataclasses import dataclass

from autotune.errors import ScheduleError
from autotune.schedules.primitives.reorder import check_order
from autotune.schedules.primitives.step import Step, check_no_attached, check_plain, primitive
from autotune.schedules.state import Stage, State


def _refuse_reduction(stage: Stage, axis: str, kind: str) -> None:
    if axis in stage.reduce_loops:
        spatial = ", ".join(loop for loop in stage.loops if loop not in stage.reduce_loops)
        raise ScheduleError(
            f"stage {stage.name!r}: axis {axis!r} is a reduction, whose iterations write one element, and cannot be "
            f"{kind}; its spatial axes are: {spatial or 'none'}"
        )


@primitive("vectorize")
@dataclass(frozen=True, slots=True)
class Vectorize(Step):
    """Run the iterations of ``axis``, which must be innermost, in the lanes of vectors.

    ``vectorize("c", "j")`` ::

        for j in 0..16:             c[i, 0:16] = a[i, 0:16] * 2
            c[i, j] = a[i, j] * 2
    """

    stage: str
    axis: str

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        check_plain(stage, self.axis)
        for loop in stage.loops[stage.loops.index(self.axis) :]:
            check_no_attached(state, stage, loop)
        _refuse_reduction(stage, self.axis, "vectorized")
        other = [loop for loop in stage.loops if stage.kind(loop) == "vectorize"]
        if other:
            raise ScheduleError(
                f"stage {stage.name!r}: axis {other[0]!r} is vectorized already; one axis of a stage can be"
            )
        stage = stage.with_kind(self.axis, "vectorize")
        check_order(stage)
        return state.with_stage(stage)


@primitive("unroll")
@dataclass(frozen=True, slots=True)
class Unroll(Step):
    """Write the iterations of ``axis`` out one after the other.

    ``unroll("c", "i")`` ::

        for i in 0..2:          c[0] = a[0] * 2
            c[i] = a[i] * 2     c[1] = a[1] * 2
    """

    stage: str
    axis: str

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        check_plain(stage, self.axis)
        stage = stage.with_kind(self.axis, "unroll")
        return state.with_stage(stage)


@primitive("parallel")
@dataclass(frozen=True, slots=True)
class Parallel(Step):
    """Share the iterations of ``axis``, the outermost loop of a stage at the root, among threads.

    ``parallel("c", "i")`` ::

        for i in 0..64:             for i in 0..64, on all threads:
            c[i] = a[i] * 2             c[i] = a[i] * 2
    """

    stage: str
    axis: str

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        check_plain(stage, self.axis)
        _refuse_reduction(stage, self.axis, "parallel")
        if stage.attach is not None:
            raise ScheduleError(
                f"stage {stage.name!r}: axis {self.axis!r} cannot be parallel, since the stage is computed inside "
                f"{stage.attach[0]!r} axis {stage.attach[1]!r}; make an axis of that stage parallel"
            )
        if stage.loops[0] != self.axis:
            raise ScheduleError(
                f"stage {stage.name!r}: only the outermost axis can be parallel, not {self.axis!r}; "
                f"its axes are: {', '.join(stage.loops)}"
            )
        return state.with_stage(stage.with_kind(self.axis, "parallel"))
