"""Rule: stages that no other rule has scheduled."""

from __future__ import annotations

from autotune.schedules.sketches.draft import Draft
from autotune.schedules.sketches.staging import simple_loops


def remaining(draft: Draft) -> list[Draft]:
    """Vectorise, and share among threads, every stage at the root whose loops are as they were."""
    for name, stage in draft.state.stages.items():
        if (
            not stage.tensor.is_placeholder
            and stage.loops == stage.axis_names
            and not stage.kinds
            and stage.attach is None
        ):
            draft = simple_loops(draft, name, parallel=True)
    return [draft]
