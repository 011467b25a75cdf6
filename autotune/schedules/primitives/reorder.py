"""Change the order of loops."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autotune.errors import ScheduleError
from autotune.schedules.dependences import check_permutable
from autotune.schedules.primitives.step import Step, primitive
from autotune.schedules.state import Stage, State


@primitive("reorder")
@dataclass(frozen=True, slots=True)
class Reorder(Step):
    """Put ``axes`` into the given order, outermost first, in the places that they hold among the loops.

    ``reorder("c", ["k", "j"])`` ::

        for i in 0..8:                  for i in 0..8:
            for j in 0..8:        ->        for k in 0..8:
                for k in 0..8:                  for j in 0..8:
                    body(i, j, k)                   body(i, j, k)
    """

    stage: str
    axes: tuple[str, ...]

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        for axis in self.axes:
            stage.require_loop(axis)
            inside = state.attached(stage.name, axis)
            if inside:
                raise ScheduleError(
                    f"stage {stage.name!r}: {inside[0].name!r} is computed inside axis {axis!r}; "
                    f"reorder before compute_at"
                )
        if len(set(self.axes)) != len(self.axes):
            raise ScheduleError(f"stage {stage.name!r}: reorder names an axis twice: {', '.join(self.axes)}")
        following = iter(self.axes)
        moved = set(self.axes)
        before = stage
        stage = replace(stage, loops=tuple(next(following) if loop in moved else loop for loop in stage.loops))
        check_permutable(before, stage.loops)
        check_order(stage)
        return state.with_stage(stage)


def check_order(stage: Stage) -> None:
    """A vectorised loop is the innermost one, unrolled loops excepted; a parallel one is the outermost."""
    for loop in stage.loops:
        if stage.kind(loop) == "parallel" and loop != stage.loops[0]:
            raise ScheduleError(
                f"stage {stage.name!r}: parallel axis {loop!r} must stay outermost; "
                f"its axes are: {', '.join(stage.loops)}"
            )
        if stage.kind(loop) == "vectorize":
            inside = [other for other in stage.loops[stage.loops.index(loop) + 1 :] if stage.kind(other) != "unroll"]
            if inside:
                raise ScheduleError(
                    f"stage {stage.name!r}: vectorized axis {loop!r} must be innermost, but {inside[0]!r} is "
                    f"inside it; its axes are: {', '.join(stage.loops)}"
                )
