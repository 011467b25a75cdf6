"""Broadcasting to a shape, as ONNX Expand defines it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autotune.tensor_expr import dtypes
from autotune.tensor_expr.operators import registry
from autotune.tensor_expr.operators.registry import Param, one_of, register, text
from autotune.tensor_expr.operators.shared.indices import aligned, broadcast
from autotune.tensor_expr.tensor import compute, placeholder
from autotune.tensor_expr.workload import Workload


@register(
    "expand",
    "a tensor broadcast with a shape",
    (
        Param("shape", "64,1,1", "shape of the input"),
        Param("to", "1,64,56,56", "the shape to broadcast with; 1 keeps the input's size"),
        Param("dtype", "float32", f"one of {', '.join(dtypes.DTYPES)}"),
    ),
    family="data movement",
)
def expand(shape: Any, to: Any, dtype: str) -> Workload:
    """``y[i..] = x[i..]``, with index 0 where x has one element along an axis, aligned at the last axis.

    x: shape. The result has the shape that both shapes broadcast to. Raises ``UsageError`` where they do not.
    """
    extents, wanted = registry.shape("shape", shape), registry.shape("to", to)
    one_of("dtype", dtype, dtypes.DTYPES)
    result = broadcast(extents, wanted)
    x = placeholder(extents, dtype, "x")
    y = compute(result, lambda *i: x[aligned(extents, i)], name="y")

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.broadcast_to(inputs["x"], result)

    return Workload(y, "expand", {"shape": text(extents), "to": text(wanted), "dtype": dtype}, reference, 0)
