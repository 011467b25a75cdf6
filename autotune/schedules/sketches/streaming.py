"""Rule: an output that memory is the limit of is stored through the caches, or past them."""

from __future__ import annotations

from math import prod

from autotune.schedules.dependences import carried
from autotune.schedules.sketches.draft import Draft
from autotune.tensor_expr import dtypes


def streaming(draft: Draft) -> list[Draft]:
    """Non-temporal stores as an alternative, where there is no register tile and the output does not fit the L2.

    They save fetching each line before it is written, and leave the cache to what is read.
    """
    stage = draft.state.stages[draft.state.output]
    bytes_written = prod(stage.tensor.shape) * dtypes.itemsize(stage.tensor.dtype)
    if draft.anchor is not None or carried(stage) or bytes_written <= draft.target.caches.l2:
        return [draft]
    return [draft, draft.step("stream", stage.name).named("streamed")]
