"""Slices with steps, as ONNX Slice and Python's own define them."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Any

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.operators import registry
from autotune.tensor_expr.operators.registry import Param, Value, integers, register, text
from autotune.tensor_expr.tensor import compute, placeholder
from autotune.tensor_expr.workload import Workload


@register(
    "slice",
    "every step-th element from start to end along some axes",
    (
        Param("shape", "1,64,56,56", "shape of the input"),
        Param("starts", "1,-1", "first element along each axis; negative ones count from the end"),
        Param("ends", "1000,-1000", "where each axis stops, itself left out; clamped to the axis"),
        Param("axes", "2,3", "the axes, or empty for the first ones"),
        Param("steps", "2,-1", "step along each axis, negative ones backwards; empty for 1"),
        Param("dtype", "float32", f"one of {', '.join(dtypes.DTYPES)}"),
    ),
    family="data movement",
)
def slice(shape: Any, starts: Any, ends: Any, axes: Any, steps: Any, dtype: str) -> Workload:
    """``y[.., i, ..] = x[.., start + i * step, ..]`` along each of the axes, the others whole.

    x: shape. Starts and ends are clamped as in Python. Raises ``UsageError`` for a step of 0, an empty slice, or lists
    of different lengths.
    """
    extents = registry.shape("shape", shape)
    begin, end = integers("starts", starts), integers("ends", ends)
    step = integers("steps", steps) or (1,) * len(begin)
    dims = registry.axes("axes", axes, len(extents)) or tuple(range(len(begin)))
    if not len(begin) == len(end) == len(step) == len(dims) <= len(extents):
        raise UsageError(
            f"starts, ends, axes and steps have {len(begin)}, {len(end)}, {len(dims)} and {len(step)} entries for "
            f"{len(extents)} dimensions; each takes one entry an axis"
        )
    registry.one_of("dtype", dtype, dtypes.DTYPES)
    ranges = [range(extent) for extent in extents]
    for dim, first, last, by in zip(dims, begin, end, step, strict=True):
        if by == 0:
            raise UsageError(f"steps has 0 for axis {dim}; a step is any other whole number")
        ranges[dim] = range(extents[dim])[first:last:by]
        if not ranges[dim]:
            raise UsageError(
                f"the slice from {first} to {last} by {by} of axis {dim} ({extents[dim]} elements) is empty"
            )
    x = placeholder(extents, dtype, "x")
    y = compute(
        [len(r) for r in ranges],
        lambda *i: x[tuple(r.start + index * r.step for r, index in zip(ranges, i, strict=True))],
        name="y",
    )

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        where = [builtins.slice(None)] * len(extents)
        for dim, first, last, by in zip(dims, begin, end, step, strict=True):
            where[dim] = builtins.slice(first, last, by)
        return inputs["x"][tuple(where)]

    params: dict[str, Value] = {
        "shape": text(extents), "starts": text(begin), "ends": text(end), "axes": text(dims), "steps": text(step),
        "dtype": dtype,
    }  # fmt: skip
    return Workload(y, "slice", params, reference, 0)
