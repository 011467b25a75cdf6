"""Softmax along one axis, as ONNX Softmax defines it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autotune.tensor_expr.expr import call
from autotune.tensor_expr.operators.registry import Param, register, text
from autotune.tensor_expr.operators.registry import axis as axis_of
from autotune.tensor_expr.operators.registry import shape as shape_of
from autotune.tensor_expr.operators.shared.element_types import FLOATS, check_dtype, narrowed, widen, widened
from autotune.tensor_expr.operators.shared.rows import elementwise, reduce_over, row
from autotune.tensor_expr.tensor import max, placeholder, sum
from autotune.tensor_expr.workload import Workload


@register(
    "softmax",
    "exponentials along one axis, divided by their sum",
    (
        Param("shape", "64,1000", "dimensions of x"),
        Param("axis", -1, "the dimension along which the results add up to 1"),
        Param("dtype", "float32", f"one of {', '.join(FLOATS)}"),
    ),
    family="normalization",
)
def softmax(shape: Any, axis: Any, dtype: str) -> Workload:
    """``y[i] = exp(x[i] - largest) / sum(k) exp(x[k] - largest)``, where ``largest = max(k) x[k]``.

    x, y: [*shape]; without the largest element taken away, the exponentials would overflow. Raises ``UsageError`` for
    sizes below 1, an axis that does not exist, or another dtype.
    """
    sizes = shape_of("shape", shape)
    dims = (axis_of("axis", axis, len(sizes)),)
    check_dtype("softmax", dtype, FLOATS)
    x = placeholder(sizes, dtype, "x")
    largest = reduce_over(sizes, dims, max, lambda index: widen(x[index]), "largest")
    powers = elementwise(sizes, lambda index: call("exp", widen(x[index]) - largest[row(index, dims)]), "powers")
    total = reduce_over(sizes, dims, sum, lambda index: powers[index], "total")
    y = elementwise(sizes, lambda index: powers[index] / total[row(index, dims)], "y")

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        wide = widened(inputs)["x"]
        exponentials = np.exp(wide - wide.max(dims, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(dims, keepdims=True))

    return Workload(narrowed(y, dtype), "softmax", {"shape": text(sizes), "axis": dims[0], "dtype": dtype}, reference)
