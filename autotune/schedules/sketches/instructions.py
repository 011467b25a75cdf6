"""Rule: where the target has an instruction for what the anchor computes, register tiles are made of it.

A dot product of four bytes adds to a lane what otherwise takes four widened multiplications ::

    reduction loops ..
      some steps, and the register tile: unrolled
        the instruction: lanes of the vector axis, and the steps of the reduction that it adds up

Its operand along the vectors is a constant, packed so that what an instruction reads lies together. The other operand
lies in memory along the reduction.
"""

from __future__ import annotations

from dataclasses import replace

from autotune.schedules.sketches.draft import Draft, Grouped, axes_of, lane_step
from autotune.schedules.tensor_intrinsics import TensorIntrinsic, tensor_intrinsics
from autotune.schedules.tensor_intrinsics.matching import match
from autotune.tensor_expr.expr import Read, Reduce


def instructions(draft: Draft) -> list[Draft]:
    """The draft, and one alternative per instruction that computes the anchor along its vector axis."""
    if draft.anchor is None or draft.vector is None or draft.outer:
        return [draft]
    drafts = [draft]
    for intrinsic in tensor_intrinsics().values():
        axis = _grouped_axis(draft, intrinsic)
        if axis is not None:
            grouped = Grouped(intrinsic.name, axis, intrinsic.axes[-1].extent)
            drafts.append(replace(draft, grouped=grouped).named(intrinsic.name))
    return drafts


def _grouped_axis(draft: Draft, intrinsic: TensorIntrinsic) -> str | None:
    """The reduction axis of the anchor, steps of which the target's instruction adds up; None where there is none."""
    stage = draft.anchor_stage
    has = any(set(instruction.features) <= set(draft.target.features) for instruction in intrinsic.instructions)
    body = stage.tensor.body
    fits = intrinsic.lanes == draft.lanes(stage.name) and len(intrinsic.axes) == 2
    full = any(a.name == draft.vector and a.extent >= intrinsic.axes[0].extent for a in stage.tensor.axes)
    if not (has and fits and full and isinstance(body, Reduce) and body.kind == intrinsic.reduction.kind):
        return None
    for way in match(intrinsic.reduction.operands[0], body.operands[0]).ways:
        found = [read for read in way.values() if isinstance(read, Read)]
        along = [read for read in found if draft.vector in axes_of(stage, read)]
        across = [read for read in found if draft.vector not in axes_of(stage, read)]
        for axis in stage.tensor.reduce_axes:
            enough = axis.extent >= intrinsic.axes[-1].extent
            packed = len(along) == 1 and _packable(draft, along[0], axis.name)
            if enough and packed and all(lane_step(read, axis.name) == 1 for read in across):
                return axis.name
    return None


def _packable(draft: Draft, read: Read, axis: str) -> bool:
    """Whether the operand is a constant that has a dimension for the reduction axis, and one for the vectors."""
    stage, source = draft.anchor_stage, draft.state.stages[read.tensor.name].tensor
    alone = [axes_of(stage, read, dim) for dim in range(len(source.shape))]
    return source.constant and {axis} in alone and {draft.vector} in alone
