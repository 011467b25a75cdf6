"""Copies of a tensor that are computed, and laid out, on their own."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autotune.errors import ScheduleError
from autotune.schedules.primitives.step import Step, primitive
from autotune.schedules.state import State, check_attachments, fresh_stage
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import Axis, Expr, Read, Reduce, rewrite, substitute
from autotune.tensor_expr.tensor import Tensor


@primitive("cache_read")
@dataclass(frozen=True, slots=True)
class CacheRead(Step):
    """Make ``consumer`` read a copy of ``tensor``, a new stage called ``<tensor>.<consumer>``.

    ``cache_read("b", "c")`` ::

        for i in 0..8:                  for k in 0..8:
            for k in 0..8:        ->        b.c[k] = b[k]
                c[i] += a[i, k] * b[k]  for i in 0..8:
                                            for k in 0..8:
                                                c[i] += a[i, k] * b.c[k]

    ``compute_at`` then places the copy, and ``transform_layout`` packs it.
    """

    tensor: str
    consumer: str

    def apply(self, state: State) -> State:
        source, reader = state.stage(self.tensor), state.compute_stage(self.consumer)
        readers = [stage.name for stage in state.consumers(source.name)]
        if reader.name not in readers:
            raise ScheduleError(
                f"stage {reader.name!r} does not read {source.name!r}, which is read by: {', '.join(readers) or 'none'}"
            )
        original = source.tensor
        axes = tuple(Axis(dtypes.INDEX, f"d{dim}", size) for dim, size in enumerate(original.shape))
        body = Read(original.dtype, original, axes)
        copy = Tensor(f"{source.name}.{reader.name}", original.shape, original.dtype, axes, body)

        def redirect(node: Expr) -> Expr | None:
            if isinstance(node, Read) and node.tensor.name == source.name:
                return Read(node.dtype, copy, node.indices)
            return None

        assert reader.tensor.body is not None
        state = state.with_stage(
            replace(reader, tensor=replace(reader.tensor, body=rewrite(reader.tensor.body, redirect)))
        )
        return check_attachments(state.with_stage_before(fresh_stage(copy), reader.name))


@primitive("cache_write")
@dataclass(frozen=True, slots=True)
class CacheWrite(Step):
    """Compute ``stage`` into a buffer of its own, a new stage called ``<stage>.tile``, and copy that into ``stage``.

    ``cache_write("c")`` ::

        for i in 0..8:                  for i in 0..8:
            c[i] = 0              ->        c.tile[i] = 0
            for k in 0..8:                  for k in 0..8:
                c[i] += a[i, k]                 c.tile[i] += a[i, k]
                                        for i in 0..8:
                                            c[i] = c.tile[i]

    Computed at a loop of the copy whose inner loops are unrolled, the buffer lives in registers.
    """

    stage: str

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        if stage.loops != stage.axis_names or stage.kinds or stage.attach:
            raise ScheduleError(
                f"stage {stage.name!r} has been scheduled already; cache_write comes before its loops are changed "
                f"(its axes are: {', '.join(stage.loops)})"
            )
        tensor = stage.tensor
        assert tensor.body is not None
        axes = tuple(Axis(dtypes.INDEX, axis.name, axis.extent) for axis in tensor.axes)
        body: Expr = substitute(tensor.body, dict(zip(tensor.axes, axes, strict=True)))
        if isinstance(body, Reduce):
            fresh = tuple(Axis(dtypes.INDEX, axis.name, axis.extent, reduce=True) for axis in body.axes)
            body = Reduce(body.dtype, body.kind, fresh, substitute(body.body, dict(zip(body.axes, fresh, strict=True))))
        tile = Tensor(f"{stage.name}.tile", tensor.shape, tensor.dtype, axes, body)
        copied = replace(tensor, body=Read(tensor.dtype, tile, tensor.axes))
        state = state.with_stage(replace(fresh_stage(copied), layout=stage.layout))
        return check_attachments(state.with_stage_before(fresh_stage(tile), stage.name))
