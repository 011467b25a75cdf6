"""Rule: what depends on one constant alone is computed when that is packed."""

from __future__ import annotations

from autotune.errors import ScheduleError
from autotune.schedules.dependences import producers
from autotune.schedules.sketches.draft import Draft


def precompute_constants(draft: Draft) -> list[Draft]:
    """Precompute the last stages of those that only constants go into; what two constants go into stays."""
    state = draft.state
    known = {
        name
        for name, stage in state.stages.items()
        if (sources := producers(state, name)) and not stage.tensor.is_placeholder
        if all(state.stages[source].tensor.constant for source in sources if state.stages[source].tensor.is_placeholder)
    }
    for name in state.stages:
        if name in known and name != state.output and not all(reader.name in known for reader in state.consumers(name)):
            try:
                draft = draft.step("precompute", name)
            except ScheduleError:
                continue
    return [draft]
