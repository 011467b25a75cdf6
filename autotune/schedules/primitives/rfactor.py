"""Split a reduction into parts that are computed independently."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from autotune.errors import ScheduleError
from autotune.schedules.bounds import StageBounds
from autotune.schedules.dependences import REDUCTION, carried, check_attachments
from autotune.schedules.primitives.step import Step, primitive
from autotune.schedules.rewriting import factored, reduced_from
from autotune.schedules.state import Fuse, Split, Stage, State, fresh_stage
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import Axis, Expr, all_of


@primitive("rfactor")
@dataclass(frozen=True, slots=True)
class Rfactor(Step):
    """Factor the reduction of ``stage`` along ``loop``: each iteration of it reduces into an element of its own, in a
    new stage ``<stage>.rf``, whose elements ``stage`` then reduces.

    ``split("c", "k", [16])``, then ``rfactor("c", "k.1")`` ::

        for i in 0..8:                          for i in 0..8:
            c[i] = 0                                for k.1 in 0..16:
            for k.0 in 0..4:                            c.rf[i, k.1] = 0
                for k.1 in 0..16:         ->            for k.0 in 0..4:
                    c[i] += a[i, k.0 * 16 + k.1]            c.rf[i, k.1] += a[i, k.0 * 16 + k.1]
                                                for i in 0..8:
                                                    c[i] = 0
                                                    for k.1 in 0..16:
                                                        c[i] += c.rf[i, k.1]

    ``loop`` is an axis of the reduction, or came from splitting or fusing such axes. It becomes the last dimension of
    the new stage, or the first where ``first`` is set, and is spatial there: it may be vectorised, or parallel. Where
    the split does not divide, what lies beyond adds the reduction's identity. Both stages begin unscheduled, so that
    ``stage`` must not have been scheduled but for its reduction axes. Floating point sums are taken in another order.

    Suriana, Adams and Kamil: Parallel associative reductions in Halide, CGO 2017.
    """

    stage: str
    loop: str
    first: bool = False

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        stage.require_loop(self.loop)
        reducing = [loop for loop in stage.loops if carried(stage).get(loop) == REDUCTION]
        if self.loop not in reducing:
            raise ScheduleError(
                f"stage {stage.name!r}: axis {self.loop!r} is no reduction; rfactor takes one of: "
                f"{', '.join(reducing) or 'none'}"
            )
        spatial = tuple(axis.name for axis in stage.tensor.axes)
        others = tuple(loop for loop in stage.loops if loop not in reducing)
        if others != spatial or stage.kinds or stage.attach or stage.block or stage.init_at:
            raise ScheduleError(
                f"stage {stage.name!r} has been scheduled already; before rfactor, only its reduction axes may be "
                f"split, fused or reordered (its axes are: {', '.join(stage.loops)})"
            )
        axes = {loop: Axis(dtypes.INDEX, loop, size, loop != self.loop) for loop, size in _sizes(stage).items()}
        values, condition = _values(stage, axes)
        kept = tuple(replace(axis) for axis in stage.tensor.axes)
        values.update(zip(stage.tensor.axes, kept, strict=True))
        rest = tuple(axis for loop, axis in axes.items() if loop != self.loop)
        dims = (axes[self.loop], *kept) if self.first else (*kept, axes[self.loop])
        parts = factored(stage.tensor, f"{stage.name}.rf", values, dims, rest, condition)

        last = Axis(dtypes.INDEX, self.loop, axes[self.loop].extent, reduce=True)
        indices = (last, *stage.tensor.axes) if self.first else (*stage.tensor.axes, last)
        total = fresh_stage(reduced_from(stage.tensor, parts, indices, last))
        state = state.with_stage(replace(total, layout=stage.layout, atomic=stage.atomic))
        return check_attachments(state.with_stage_before(fresh_stage(parts), stage.name))


def _sizes(stage: Stage) -> dict[str, int]:
    """The extents of the loops that reduce, outermost first."""
    tensor = stage.tensor
    bounds = StageBounds(stage, {axis.name: axis.extent for axis in (*tensor.axes, *tensor.reduce_axes)})
    sizes = {}
    for loop in stage.loops:
        if loop in stage.reduce_loops:
            extent = bounds.extents[loop]
            if isinstance(extent, np.ndarray):
                raise ScheduleError(f"stage {stage.name!r}: rfactor needs a number for the extent of {loop!r}")
            sizes[loop] = int(extent)
    return sizes


def _values(stage: Stage, leaves: dict[str, Axis]) -> tuple[dict[Expr, Expr], Expr | None]:
    """The stage's reduction axes in terms of the loops that they were made into, and where those are within bounds."""
    tensor = stage.tensor
    bounds = StageBounds(stage, {axis.name: axis.extent for axis in (*tensor.axes, *tensor.reduce_axes)})
    values: dict[str, Expr] = dict(leaves)
    conditions: list[Expr] = []
    for relation in reversed(stage.relations):
        if isinstance(relation, Split):
            parts = [values[child] * int(bounds.strides[child]) for child in relation.children]
            value = parts[0]
            for part in parts[1:]:
                value = value + part
            values[relation.parent] = value
            covered = int(bounds.strides[relation.children[0]]) * int(bounds.extents[relation.children[0]])
            if covered > int(bounds.extents[relation.parent]):
                conditions.append(value < int(bounds.extents[relation.parent]))
        elif isinstance(relation, Fuse):
            inner = int(bounds.extents[relation.inner])
            values[relation.outer] = values[relation.child] // inner
            values[relation.inner] = values[relation.child] % inner
    return {axis: values[axis.name] for axis in tensor.reduce_axes}, all_of(*conditions) if conditions else None
