"""Loops that are one hardware instruction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autotune.errors import ScheduleError
from autotune.schedules.bounds import Bounds
from autotune.schedules.primitives.reorder import check_order
from autotune.schedules.primitives.step import Step, check_no_attached, check_plain, invariant, primitive
from autotune.schedules.state import Stage, State
from autotune.schedules.tensor_intrinsics import TensorIntrinsic, get_tensor_intrinsic
from autotune.schedules.tensor_intrinsics.matching import match
from autotune.tensor_expr.expr import Reduce


@primitive("tensorize")
@dataclass(frozen=True, slots=True)
class Tensorize(Step):
    """Compute the loops from ``axis`` inward by an instruction: ``intrinsic`` names its declaration.

    ``tensorize("c", "j.1", "vpdpbusd_16")`` ::

        for r.0 in 0..8:                                for r.0 in 0..8:
            for j.1 in 0..16:                               vpdpbusd_16:
                for r.1 in 0..4:                  ->            vectorize for j.1 in 0..16:
                    c[j] += int32(a[r])                             unroll for r.1 in 0..4:
                          * int32(b[r.0, j, r.1])                       c[j] += ...

    The stage's expression must be the declared one, up to the order of commutative operands and what the loops outside
    move; the loops from ``axis`` inward must be the declared axes, of the declared extents. How far operands lie apart
    is checked when lowering, since layouts decide it. Partial tiles run as plain loops, and so do all on targets that
    lack the instruction.
    """

    stage: str
    axis: str
    intrinsic: str

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        position = stage.require_loop(self.axis)
        declared = get_tensor_intrinsic(self.intrinsic)
        for loop in stage.loops[position:]:
            check_plain(stage, loop)
            check_no_attached(state, stage, loop)
        tensorized = stage.with_details(tensorized=(self.axis, declared.name))
        _check_declared(state.with_stage(tensorized), tensorized)
        vectorized = [loop for loop in stage.loops if stage.kind(loop) == "vectorize"]
        if vectorized:
            raise ScheduleError(f"stage {stage.name!r}: axis {vectorized[0]!r} is vectorized already")
        for loop in stage.loops[position:]:
            tensorized = tensorized.with_kind(loop, "unroll" if loop in stage.reduce_loops else "vectorize")
        check_order(tensorized)
        return state.with_stage(tensorized)


@invariant
def _check_declared(state: State, stage: Stage) -> None:
    if stage.details.tensorized is None:
        return
    axis, name = stage.details.tensorized
    declared = get_tensor_intrinsic(name)
    difference = _loop_difference(state, stage, axis, declared) or _body_difference(stage, declared)
    if difference:
        raise ScheduleError(f"stage {stage.name!r}, axis {axis!r}: this is not {name}: {difference}")


def _loop_difference(state: State, stage: Stage, axis: str, declared: TensorIntrinsic) -> str:
    loops, axes = stage.loops[stage.require_loop(axis) :], declared.axes
    extents = Bounds(state).stages[stage.name].extents
    for loop, wanted in zip(loops, axes, strict=False):
        kind = "a reduction" if wanted.reduce else "spatial"
        if (loop in stage.reduce_loops) != wanted.reduce:
            return f"its axis {wanted.name!r} is {kind}, but {loop!r} is not"
        if np.any(extents[loop] != wanted.extent):
            return f"its axis {wanted.name!r} has {wanted.extent} iterations, but {loop!r} has {extents[loop]}"
    if len(loops) != len(axes):
        sizes = ", ".join(f"{wanted.name} ({wanted.extent})" for wanted in axes)
        return f"its axes are {sizes}, but the loops are {', '.join(loops)}"
    return ""


def _body_difference(stage: Stage, declared: TensorIntrinsic) -> str:
    body = stage.tensor.body
    if not isinstance(body, Reduce) or body.kind != declared.reduction.kind or len(stage.tensor.bodies) != 1:
        return f"it is a {declared.reduction.kind} over reduction axes, and the stage is not"
    found = match(declared.reduction.operands[0], body.operands[0])
    return "" if found.ways else found.difference
