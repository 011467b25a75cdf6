"""Rule: blocks run on all threads."""

from __future__ import annotations

from autotune.schedules.sketches.draft import Draft


def parallel_blocks(draft: Draft) -> list[Draft]:
    """Fuse the block loops that nothing is computed between, and share them among threads."""
    if draft.threads == 1 or draft.anchor is None:
        return [draft]
    stage = draft.state.stages[draft.out]
    fused: list[str] = []
    for loop in draft.outer:
        fused.append(loop)
        if draft.state.attached(stage.name, loop):
            break
    # A loop that holds a computation cannot be fused away, but it can be the last one inside the fused loop.
    if draft.state.attached(stage.name, fused[-1]):
        fused = fused[:-1]
    if len(fused) > 1:
        return [draft.step("fuse", stage.name, fused, "blocks").step("parallel", stage.name, "blocks")]
    return [draft.step("parallel", stage.name, fused[0] if fused else draft.outer[0])]
