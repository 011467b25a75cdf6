"""A copy of a tensor for one of its readers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autotune.errors import ScheduleError
from autotune.schedules.dependences import check_attachments
from autotune.schedules.primitives.step import Factor, Step, primitive
from autotune.schedules.primitives.transform_layout import laid_out
from autotune.schedules.state import State, fresh_stage
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import Axis, Expr, Read
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

    ``compute_at`` then places the copy. ``blocks`` and ``order``, as ``transform_layout`` takes them, lay it out: a
    packed copy.
    """

    tensor: str
    consumer: str
    blocks: tuple[tuple[int, Factor], ...] = ()
    order: tuple[str | int, ...] = ()

    def apply(self, state: State) -> State:
        source, reader = state.stage(self.tensor), state.compute_stage(self.consumer)
        readers = [stage.name for stage in state.consumers(source.name)]
        if reader.name not in readers:
            raise ScheduleError(
                f"stage {reader.name!r} does not read {source.name!r}, which is read by: {', '.join(readers) or 'none'}"
            )
        original = source.tensor
        axes = tuple(Axis(dtypes.INDEX, f"d{dim}", size) for dim, size in enumerate(original.shape))
        bodies = tuple(Read(dtype, original, axes, number) for number, dtype in enumerate(original.dtypes))
        copy = Tensor(f"{source.name}.{reader.name}", original.shape, original.dtype, axes, bodies)

        def redirect(node: Expr) -> Expr | None:
            if isinstance(node, Read) and node.tensor.name == source.name:
                return Read(node.dtype, copy, node.indices, node.component)
            return None

        state = state.with_stage(replace(reader, tensor=reader.tensor.map_bodies(redirect)))
        cached = fresh_stage(copy)
        if self.blocks or self.order:
            cached = laid_out(cached, self.blocks, self.order)
        return check_attachments(state.with_stage_before(cached, reader.name))
