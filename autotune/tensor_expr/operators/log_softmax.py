"""The logarithm of softmax along one axis, as ONNX LogSoftmax defines it."""

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
    "log_softmax",
    "the logarithm of softmax along one axis",
    (
        Param("shape", "64,1000", "dimensions of x"),
        Param("axis", -1, "the dimension along which the exponentials of the results add up to 1"),
        Param("dtype", "float32", f"one of {', '.join(FLOATS)}"),
    ),
    family="normalization",
)
def log_softmax(shape: Any, axis: Any, dtype: str) -> Workload:
    """``y[i] = x[i] - largest - log(sum(k) exp(x[k] - largest))``, where ``largest = max(k) x[k]``.

    x, y: [*shape]. Where softmax would round to zero, this is still exact. Raises ``UsageError`` for sizes below 1, an
    axis that does not exist, or another dtype.
    """
    sizes = shape_of("shape", shape)
    dims = (axis_of("axis", axis, len(sizes)),)
    check_dtype("log_softmax", dtype, FLOATS)
    x = placeholder(sizes, dtype, "x")
    largest = reduce_over(sizes, dims, max, lambda index: widen(x[index]), "largest")
    shifted = elementwise(sizes, lambda index: widen(x[index]) - largest[row(index, dims)], "shifted")
    total = reduce_over(sizes, dims, sum, lambda index: call("exp", shifted[index]), "total")
    logarithm = elementwise(total.shape, lambda index: call("log", total[index]), "logarithm")
    y = elementwise(sizes, lambda index: shifted[index] - logarithm[row(index, dims)], "y")

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        wide = widened(inputs)["x"]
        lower = wide - wide.max(dims, keepdims=True)
        return np.asarray(lower - np.log(np.exp(lower).sum(dims, keepdims=True)))

    return Workload(
        narrowed(y, dtype), "log_softmax", {"shape": text(sizes), "axis": dims[0], "dtype": dtype}, reference
    )
