"""Rule: which axis of the anchor runs in vector lanes."""

from __future__ import annotations

from dataclasses import replace

from autotune.schedules.sketches.draft import Draft, axes_of, lane_step
from autotune.schedules.state import reads


def vector_axis(draft: Draft) -> list[Draft]:
    """One alternative per spatial axis along which each operand is contiguous, invariant, or can be packed.

    Where an axis is not the output's innermost one, the register tile is transposed as it is stored.
    """
    if draft.anchor is None:
        return [draft]
    stage = draft.anchor_stage
    found = []
    for axis in stage.tensor.axes:
        if axis.extent == 1:
            continue
        fits = True
        for read in reads(stage.tensor):
            source = draft.state.stages[read.tensor.name].tensor
            step = lane_step(read, axis.name)
            fits = fits and (step in (0, 1) or packable(draft, read.tensor.name, axis.name))
            # A constant that moves with the lanes is packed; everything else must already lie along them.
            fits = fits and (
                source.constant or axis.name not in axes_of(stage, read) or step == 1 or not source.is_placeholder
            )
        if fits:
            found.append(replace(draft, vector=axis.name).named(f"vector {axis.name}"))
    return found or [draft]


def packable(draft: Draft, tensor: str, axis: str) -> bool:
    """Whether a packed copy of the operand could lie along the axis: a constant indexed by the axis alone somewhere."""
    stage, source = draft.anchor_stage, draft.state.stages[tensor].tensor
    if not source.constant:
        return False
    return all(
        any(axes_of(stage, read, dim) == {axis} for dim in range(len(source.shape)))
        for read in reads(stage.tensor)
        if read.tensor.name == tensor
    )
