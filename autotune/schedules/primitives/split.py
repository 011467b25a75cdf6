"""Cut one loop into several."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autotune.errors import ScheduleError
from autotune.schedules.primitives.step import (
    Factor,
    Step,
    check_factors,
    check_name,
    check_no_attached,
    check_plain,
    name_taken,
    primitive,
)
from autotune.schedules.state import Split as Relation
from autotune.schedules.state import Stage, State


@primitive("split")
@dataclass(frozen=True, slots=True)
class Split(Step):
    """Cut ``axis`` into ``len(factors) + 1`` loops; ``factors`` are the extents of all but the outermost.

    ``split("c", "i", [8])`` ::

        for i in 0..100:            for i.0 in 0..13:
            body(i)         ->          for i.1 in 0..8:        # the last tile runs 0..4
                                            body(i.0 * 8 + i.1)

    The factor need not divide the extent. ``names`` replaces the names ``axis.0``, ``axis.1``, ...
    """

    stage: str
    axis: str
    factors: tuple[Factor, ...]
    names: tuple[str, ...] = ()

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        check_plain(stage, self.axis)
        check_no_attached(state, stage, self.axis)
        if not self.factors:
            raise ScheduleError(
                f"stage {stage.name!r}, axis {self.axis!r}: split takes a list of factors, got {self.factors!r}"
            )
        check_factors(stage, self.axis, self.factors)
        return state.with_stage(split_loop(stage, self.axis, self.factors, self.names))


def split_loop(stage: Stage, axis: str, factors: tuple[Factor, ...], names: tuple[str, ...]) -> Stage:
    """The stage with ``axis`` cut; the new loops take its place."""
    count = len(factors) + 1
    children = names or tuple(f"{axis}.{number}" for number in range(count))
    if len(children) != count:
        raise ScheduleError(
            f"stage {stage.name!r}, axis {axis!r}: {len(factors)} factors make {count} loops, got names {children}"
        )
    position = stage.loops.index(axis)
    for child in children:
        if children.count(child) > 1:
            raise name_taken(stage, child)
        check_name(stage, child)
    return replace(
        stage,
        loops=(*stage.loops[:position], *children, *stage.loops[position + 1 :]),
        relations=(*stage.relations, Relation(axis, children, factors)),  # type: ignore[arg-type]
    )
