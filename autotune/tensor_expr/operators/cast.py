"""Conversion to another dtype, as ONNX Cast defines it."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from autotune.tensor_expr import dtypes
from autotune.tensor_expr import expr as expressions
from autotune.tensor_expr.operators import registry
from autotune.tensor_expr.operators.registry import Param, Value, one_of, register, text
from autotune.tensor_expr.tensor import compute, placeholder
from autotune.tensor_expr.workload import Workload


@register(
    "cast",
    "a tensor converted to another dtype",
    (
        Param("shape", "1,64,56,56", "shape of the input"),
        Param("dtype", "float32", f"dtype of the input, one of {', '.join(dtypes.DTYPES)}"),
        Param("to", "int32", f"dtype of the result, one of {', '.join(dtypes.DTYPES)}"),
    ),
    family="element-wise",
)
def cast(shape: Any, dtype: str, to: str) -> Workload:
    """``y[i..] = x[i..]`` in another dtype; floats lose their fraction as integers; it counts as one operation.

    x: shape, dtype; y: shape, to. A bool is whether the value is not 0. Raises ``UsageError`` for an unknown dtype.
    """
    extents = registry.shape("shape", shape)
    one_of("dtype", dtype, dtypes.DTYPES)
    one_of("to", to, dtypes.DTYPES)
    x = placeholder(extents, dtype, "x")
    y = compute(extents, lambda *i: expressions.cast(x[i], to), name="y")

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        if dtypes.is_float(to):
            return inputs["x"].astype(np.float64)
        return inputs["x"].astype(to)

    params: dict[str, Value] = {"shape": text(extents), "dtype": dtype, "to": to}
    low = 0.0 if to in dtypes.UNSIGNED or dtype in dtypes.UNSIGNED else -100.0
    return Workload(y, "cast", params, reference, prod(extents), {"x": (low, 2.0 if dtype == "bool" else 100.0)})
