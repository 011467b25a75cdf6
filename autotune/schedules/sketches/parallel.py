"""Rule: blocks run on all threads."""

from __future__ import annotations

from itertools import takewhile

from autotune.schedules.sketches.draft import Draft


def parallel_blocks(draft: Draft) -> list[Draft]:
    """Fuse the block loops that nothing is computed between, and share them among threads."""
    if draft.threads == 1 or draft.anchor is None:
        return [draft]
    stage = draft.state.stages[draft.out]
    if stage.attach is not None:  # blocks of what is computed of it
        return [_shared(draft, *stage.attach)]
    fused: list[str] = []
    for loop in takewhile(lambda loop: loop not in stage.reduce_loops, draft.outer):
        fused.append(loop)
        if draft.state.attached(stage.name, loop):
            break
    # A loop that holds a computation cannot be fused away, but it can be the last one inside the fused loop.
    if draft.state.attached(stage.name, fused[-1]):
        fused = fused[:-1]
    if len(fused) > 1:
        return [draft.step("fuse", stage.name, fused, "blocks").step("parallel", stage.name, "blocks")]
    return [draft.step("parallel", stage.name, fused[0] if fused else draft.outer[0])]


def _shared(draft: Draft, reader: str, last: str) -> Draft:
    """The reader's loops down to the one that holds the anchor, of which that cannot be fused away."""
    loops = draft.state.stages[reader].loops
    outer = list(loops[: loops.index(last)]) or [last]
    if len(outer) > 1:
        return draft.step("fuse", reader, outer, "blocks").step("parallel", reader, "blocks")
    return draft.step("parallel", reader, outer[0])
