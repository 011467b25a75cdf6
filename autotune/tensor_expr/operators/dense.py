"""A fully connected layer: constant weights, one row for each output, and a bias."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autotune.tensor_expr.operators.registry import Param, Value, register, size
from autotune.tensor_expr.operators.shared.element_types import NUMBERS, check_dtype, narrowed, widen, widened
from autotune.tensor_expr.tensor import compute, placeholder, reduce_axis, sum
from autotune.tensor_expr.workload import Workload


@register(
    "dense",
    "fully connected layer: x [batch, in] times w [out, in] transposed, plus b [out]; both constant",
    (
        Param("batch", 32, "rows of x"),
        Param("in_features", 512, "inputs"),
        Param("out_features", 512, "outputs"),
        Param("no_bias", False, "the product alone"),
        Param("dtype", "float32", f"one of {', '.join(NUMBERS)}"),
    ),
    family="matrix product",
)
def dense(batch: Any, in_features: Any, out_features: Any, no_bias: bool, dtype: str) -> Workload:
    """``y[n, o] = sum(k) x[n, k] * w[o, k] + b[o]``; ONNX Gemm with transB.

    x: [batch, in_features], w: [out_features, in_features], b: [out_features]. Raises ``UsageError`` for sizes below 1
    or another dtype.
    """
    rows, depth, columns = size("batch", batch), size("in_features", in_features), size("out_features", out_features)
    check_dtype("dense", dtype, NUMBERS)
    x = placeholder((rows, depth), dtype, "x")
    w = placeholder((columns, depth), dtype, "w", constant=True)
    r = reduce_axis(depth, "r")
    y = compute((rows, columns), lambda n, o: sum(widen(x[n, r]) * widen(w[o, r]), axis=r), name="product")
    if not no_bias:
        product, bias = y, placeholder((columns,), dtype, "b", constant=True)
        y = compute((rows, columns), lambda n, o: product[n, o] + widen(bias[o]), name="y")

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        wide = widened(inputs)
        result: np.ndarray = wide["x"] @ wide["w"].T
        return result if no_bias else result + wide["b"]

    params: dict[str, Value] = {
        "batch": rows, "in_features": depth, "out_features": columns, "no_bias": bool(no_bias), "dtype": dtype,
    }  # fmt: skip
    return Workload(
        narrowed(y, dtype), "dense", params, reference, 2 * rows * columns * depth + (0 if no_bias else rows * columns)
    )
