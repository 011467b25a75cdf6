"""Rule: element-wise stages that feed others are computed where they are read."""

from __future__ import annotations

from autotune.schedules.sketches.draft import Draft, is_pointwise


def inline(draft: Draft) -> list[Draft]:
    """Inline every pointwise stage but the output."""
    for name, stage in draft.state.stages.items():
        if name != draft.state.output and is_pointwise(stage):
            draft = draft.step("compute_inline", name)
    return [draft]
