"""Rule: where there are too few results for all threads, each thread reduces a part of the axis.

The parts (``rfactor``) are combined at the end ::

    parallel for parts ..
      the reduction of this part, as other rules have it
    for parts ..
      their results, combined
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from autotune.schedules.sketches.draft import Draft, work
from autotune.schedules.sketches.rows import ACCUMULATORS, contiguous_axis, in_lanes, row_loops, streams
from autotune.tensor_expr.expr import Reduce

WORTHWHILE = 1 << 15  # points for each thread: what starting threads costs otherwise
TILE = 256  # results of a register tile, or about so many


def across_threads(draft: Draft) -> list[Draft]:
    """The draft and, for a single long reduction to few results, the alternative in parts."""
    names = [name for name, stage in draft.state.stages.items() if isinstance(stage.tensor.body, Reduce)]
    if draft.threads == 1 or len(names) != 1:
        return [draft]
    (name,) = names
    stage = draft.state.stages[name]
    by_rows = streams(stage) and contiguous_axis(stage) is not None
    axis = max(stage.tensor.reduce_axes, key=lambda axis: axis.extent)
    enough = draft.threads * (2 if by_rows else TILE)
    if prod(stage.tensor.shape) >= enough or work(stage) < draft.threads * WORTHWHILE or axis.extent < draft.threads:
        return [draft]
    whole = draft.lanes(name) * ACCUMULATORS if axis.extent > draft.threads * draft.lanes(name) * ACCUMULATORS else 1
    part = -(-axis.extent // (draft.threads * whole)) * whole
    parts = draft.step("split", name, axis.name, [part]).step("rfactor", name, f"{axis.name}.0", True)
    parts = parts.named("in parts")
    along = contiguous_axis(parts.state.stages[f"{name}.rf"]) if by_rows else None
    if along is None:
        return [draft, parts]
    return [draft, *(_streamed(parts, f"{name}.rf", f"{axis.name}.0", along, count) for count in (1, ACCUMULATORS))]


def _streamed(draft: Draft, name: str, part: str, along: str, accumulators: int) -> Draft:
    """One part after the other, in lanes along the axis on which what is read is contiguous."""
    draft = in_lanes(draft, name, along, accumulators).step("parallel", name, part)
    short = {axis.name for axis in draft.state.stages[name].tensor.axes}
    own = [stage for stage in draft.state.stages if stage.startswith(name)]
    for stage in reversed(own[:-1]):
        draft = draft.step("compute_at", stage, name, part)
    for stage in own:
        draft = row_loops(draft, stage, part, short)
    return replace(draft.named(f"{accumulators} accumulators a row"), complete=True)
