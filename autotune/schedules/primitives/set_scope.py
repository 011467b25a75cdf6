"""Say where a stage's buffer lives."""

from __future__ import annotations

from dataclasses import dataclass

from autotune.errors import ScheduleError
from autotune.schedules.details import SCOPES
from autotune.schedules.primitives.step import Step, check_own_buffer, primitive
from autotune.schedules.state import State


@primitive("set_scope")
@dataclass(frozen=True, slots=True)
class SetScope(Step):
    """Keep the buffer of ``stage`` in ``scope``.

    ``set_scope("a", "stack")`` ::

        a = buffer float32[8]     ->    a = buffer float32[8] in stack

    ``stack``, ``workspace`` (memory that the caller hands in), ``register`` (refused when lowered if an access does not
    allow it), ``shared`` and ``local`` (a GPU's; targets without them refuse when building), or ``auto``, which takes
    registers where all accesses allow it, else the stack for up to 16 KiB.
    """

    stage: str
    scope: str

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        if self.scope not in SCOPES:
            raise ScheduleError(
                f"stage {stage.name!r}: unknown scope {self.scope!r}; the scopes are: {', '.join(SCOPES)}"
            )
        check_own_buffer(state, stage)
        return state.with_stage(stage.with_details(scope=self.scope))
