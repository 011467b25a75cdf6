"""Repetition along axes, as ONNX Tile defines it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.operators import registry
from autotune.tensor_expr.operators.registry import Param, one_of, register, text
from autotune.tensor_expr.tensor import compute, placeholder
from autotune.tensor_expr.workload import Workload


@register(
    "tile",
    "a tensor repeated along its axes",
    (
        Param("shape", "1,64,28,28", "shape of the input"),
        Param("repeats", "1,1,2,2", "how often each axis is repeated"),
        Param("dtype", "float32", f"one of {', '.join(dtypes.DTYPES)}"),
    ),
    family="data movement",
)
def tile(shape: Any, repeats: Any, dtype: str) -> Workload:
    """``y[i, ..] = x[i % n, ..]`` along every axis.

    x: shape. Raises ``UsageError`` where repeats are not one an axis.
    """
    extents, times = registry.shape("shape", shape), registry.shape("repeats", repeats)
    one_of("dtype", dtype, dtypes.DTYPES)
    if len(times) != len(extents):
        raise UsageError(f"repeats has {len(times)} entries; {len(extents)} dimensions take one each")
    x = placeholder(extents, dtype, "x")
    y = compute(
        [n * count for n, count in zip(extents, times, strict=True)],
        lambda *i: x[tuple(j % n if count > 1 else j for j, n, count in zip(i, extents, times, strict=True))],
        name="y",
    )

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.tile(inputs["x"], times)

    return Workload(y, "tile", {"shape": text(extents), "repeats": text(times), "dtype": dtype}, reference, 0)
