"""Rule: operands lie in memory as the register tile reads them."""

from __future__ import annotations

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
        order = {loop.rsplit(".", 1)[0]: position for position, loop in enumerate(stage.loops) if loop.endswith(".0")}
        rest.sort(key=lambda other: min((order.get(axis, -1) for axis in axes_of(stage, read, other)), default=0))
        factor = tile_factor(draft, draft.vector)
        draft = draft.step(
            "transform_layout", source.name, [[dim, factor]], [f"{dim}.outer", *map(str, rest), f"{dim}.inner"]
        )
    return [draft]


def _packed(draft: Draft) -> set[str]:
    return {name for name, stage in draft.state.stages.items() if stage.layout is not None}
