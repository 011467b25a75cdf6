"""A loop of one iteration."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autotune.schedules.primitives.reorder import check_order
from autotune.schedules.primitives.step import Step, check_name, primitive
from autotune.schedules.state import State, Unit


@primitive("add_unit_loop")
@dataclass(frozen=True, slots=True)
class AddUnitLoop(Step):
    """Put a loop of one iteration around loop ``before`` and what is inside it, called ``name`` (default: ``unit``).

    ``add_unit_loop("c", "i")`` ::

        for i in 0..8:              for unit in 0..1:
            c[i] = a[i] * 2   ->        for i in 0..8:
                                            c[i] = a[i] * 2

    The loop is a place: a stage computed at it is computed once, just before the loops inside. No code is made for it.
    """

    stage: str
    before: str
    unit: str = "unit"

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        position = stage.require_loop(self.before)
        check_name(stage, self.unit)
        loops = (*stage.loops[:position], self.unit, *stage.loops[position:])
        stage = replace(stage, loops=loops, relations=(*stage.relations, Unit(self.unit)))
        check_order(stage)
        return state.with_stage(stage)
