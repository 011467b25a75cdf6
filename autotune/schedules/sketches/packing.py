"""Rule: operands lie in memory as the register tile reads them."""

from __future__ import annotations

from typing import Any

from autotune.schedules.sketches.draft import Draft, axes_of, tile_factor
from autotune.schedules.state import reads


def pack_constants(draft: Draft) -> list[Draft]:
    """Pack a constant operand ahead of time: register tiles one after the other, inside each the reduction in its
    loops' order, the tile's vectors innermost."""
    if draft.anchor is None or draft.vector is None:
        return [draft]
    stage = draft.anchor_stage
    for read in reads(stage.tensor):
        source = draft.state.stages[read.tensor.name].tensor
        if not source.constant or source.name in _packed(draft):
            continue
        dims = [dim for dim in range(len(source.shape)) if axes_of(stage, read, dim) == {draft.vector}]
        if not dims:
            continue
        dim = dims[0]
        rest = [other for other in range(len(source.shape)) if other != dim]
        places = {loop.rsplit(".", 1)[0]: position for position, loop in enumerate(stage.loops) if loop.endswith(".0")}
        rest.sort(key=lambda other: min((places.get(axis, -1) for axis in axes_of(stage, read, other)), default=0))
        blocks: list[list[Any]] = [[dim, tile_factor(draft, draft.vector)]]
        order = list(map(str, rest))
        if draft.grouped is not None:
            group = next(other for other in rest if axes_of(stage, read, other) == {draft.grouped.axis})
            blocks.append([group, draft.grouped.steps])
            order = [f"{group}.outer" if other == str(group) else other for other in order]
        inner = [f"{block[0]}.inner" for block in blocks]
        draft = draft.step("transform_layout", source.name, blocks, [f"{dim}.outer", *order, *inner])
    return [draft]


def _packed(draft: Draft) -> set[str]:
    return {name for name, stage in draft.state.stages.items() if stage.layout is not None}
