"""Merge two or more adjacent loops into one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autotune.errors import ScheduleError
from autotune.schedules.dependences import check_fusable
from autotune.schedules.primitives.step import Step, check_name, check_no_attached, check_plain, primitive
from autotune.schedules.state import Fuse as Relation
from autotune.schedules.state import State


@primitive("fuse")
@dataclass(frozen=True, slots=True)
class Fuse(Step):
    """Merge adjacent loops, outermost first, into one called ``name`` (default: their names joined by ``+``).

    ``fuse("c", ["i", "j"])`` ::

        for i in 0..6:              for i+j in 0..24:
            for j in 0..4:    ->        body(i+j // 4, i+j % 4)
                body(i, j)
    """

    stage: str
    axes: tuple[str, ...]
    fused: str = ""

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        if len(self.axes) < 2:
            raise ScheduleError(
                f"stage {stage.name!r}: fuse takes two or more axes, got {', '.join(self.axes) or 'none'}"
            )
        for axis in self.axes:
            check_plain(stage, axis)
            check_no_attached(state, stage, axis)
        position = stage.loops.index(self.axes[0])
        if stage.loops[position : position + len(self.axes)] != self.axes:
            raise ScheduleError(
                f"stage {stage.name!r}: {', '.join(self.axes)} are not next to each other in this order; "
                f"its axes are: {', '.join(stage.loops)}"
            )
        check_fusable(stage, self.axes)
        if self.fused:
            check_name(stage, self.fused)
        relations, outer = [], self.axes[0]
        for number, axis in enumerate(self.axes[1:], 2):
            last = number == len(self.axes)
            child = self.fused if self.fused and last else "+".join(self.axes[:number])
            relations.append(Relation(outer, axis, child))
            outer = child
        loops = (*stage.loops[:position], outer, *stage.loops[position + len(self.axes) :])
        return state.with_stage(replace(stage, loops=loops, relations=(*stage.relations, *relations)))
