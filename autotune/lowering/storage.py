"""The buffer that a stage is computed into: its shape, where it lives, and how far its elements lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autotune.lowering.ir import Buffer
from autotune.schedules.bounds import Bounds, physical_shape
from autotune.schedules.state import Number, Stage, State
from autotune.schedules.windows import window_layout


def buffers_of(stage: Stage, logical: Sequence[int], role: str = "local") -> tuple[Buffer, ...]:
    """A buffer for each component, for the given extents of the stage's dimensions, in its layout."""
    shape = tuple(int(size) for size in physical_shape(stage, list(logical)))
    details = stage.details
    steps = None if details.aligned is None else aligned_strides(shape, *details.aligned)
    if details.double_buffered:
        steps = None if steps is None else (shape[0] * steps[0], *steps)
        shape = (2, *shape)
    return tuple(Buffer(part.name, part.dtype, shape, role, details.scope, steps) for part in stage.tensor.components)


def with_windows(state: State) -> State:
    """The state in which folded stages have a layout that keeps the folded dimension modulo its extent."""
    folded = [stage for stage in state.stages.values() if stage.details.folded is not None]
    if not folded:
        return state
    bounds = Bounds(state)
    for stage in folded:
        state = state.with_stage(replace(stage, layout=window_layout(stage, bounds)))
    return state


def aligned_strides(shape: Sequence[int], dim: int, factor: Number, offset: Number) -> tuple[int, ...]:
    """Row-major strides, the one of ``dim`` enlarged until it is ``offset`` more than a multiple of ``factor``."""
    strides = [1] * len(shape)
    for place in reversed(range(len(shape))):
        step = strides[place + 1] * shape[place + 1] if place + 1 < len(shape) else 1
        if place == dim:
            step += (int(offset) - step) % int(factor)
        strides[place] = step
    return tuple(strides)
