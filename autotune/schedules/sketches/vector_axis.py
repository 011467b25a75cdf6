"""Rule: which axis of the anchor runs in vector lanes."""

from __future__ import annotations

from dataclasses import replace

from autotune.schedules.sketches.draft import Draft, axes_of, lane_step
from autotune.schedules.state import reads
from autotune.tensor_expr.expr import Read


def vector_axis(draft: Draft) -> list[Draft]:
    """One alternative per spatial axis along which each operand is contiguous, invariant, or can be packed.

    Where an axis is not the output's innermost one, the register tile is transposed as it is stored. Where each
    would need copies, every second element will do, too: generators pick them out of whole vectors.
    """
    if draft.anchor is None or draft.vector is not None:
        return [draft]
    stage = draft.anchor_stage
    operands, axes = reads(stage.tensor), [axis.name for axis in stage.tensor.axes if axis.extent > 1]
    found = [axis for axis in axes if all(lies_along(read, axis) or packable(draft, read, axis) for read in operands)]
    copied = [read for read in operands if not read.tensor.constant]
    if not any(all(lies_along(read, axis) for read in copied) for axis in found):
        found += [axis for axis in axes if all(lane_step(read, axis) in (0, 1, 2) for read in operands)]
    return [replace(draft, vector=axis).named(f"vector {axis}") for axis in found] or [draft]


def lies_along(read: Read, axis: str) -> bool:
    """Whether neighbours along the axis are one element, or neighbours in memory."""
    return lane_step(read, axis) in (0, 1)


def packable(draft: Draft, read: Read, axis: str) -> bool:
    """Whether a packed copy of the operand can lie along the axis: one of its dimensions is indexed by the axis alone,
    and it is constant, or an input that is read at one place only."""
    stage, source = draft.anchor_stage, draft.state.stages[read.tensor.name].tensor
    same = [other for other in reads(stage.tensor) if other.tensor.name == source.name]
    alone = all(any(axes_of(stage, other, dim) == {axis} for dim in range(len(source.shape))) for other in same)
    return alone and (source.constant or (source.is_placeholder and len(same) == 1))
