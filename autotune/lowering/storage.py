"""The buffer that a stage is computed into: its shape, where it lives, and how far its elements lie apart."""

from __future__ import annotations

from collections.abc import Sequence

from autotune.lowering.ir import Buffer
from autotune.schedules.bounds import physical_shape
from autotune.schedules.state import Number, Stage


def buffers_of(stage: Stage, logical: Sequence[int], role: str = "local") -> tuple[Buffer, ...]:
    """A buffer for each component, for the given extents of the stage's dimensions, in its layout."""
    shape = tuple(int(size) for size in physical_shape(stage, list(logical)))
    scope, aligned = stage.details.scope, stage.details.aligned
    steps = None if aligned is None else aligned_strides(shape, *aligned)
    return tuple(Buffer(part.name, part.dtype, shape, role, scope, steps) for part in stage.tensor.components)


def aligned_strides(shape: Sequence[int], dim: int, factor: Number, offset: Number) -> tuple[int, ...]:
    """Row-major strides, the one of ``dim`` enlarged until it is ``offset`` more than a multiple of ``factor``."""
    strides = [1] * len(shape)
    for place in reversed(range(len(shape))):
        step = strides[place + 1] * shape[place + 1] if place + 1 < len(shape) else 1
        if place == dim:
            step += (int(offset) - step) % int(factor)
        strides[place] = step
    return tuple(strides)
