"""Normalisation by the root of the mean square, as ONNX RMSNormalization defines it."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from autotune.tensor_expr.operators.registry import Param, Value, register, text
from autotune.tensor_expr.operators.registry import axis as axis_of
from autotune.tensor_expr.operators.registry import shape as shape_of
from autotune.tensor_expr.operators.shared.element_types import FLOATS, check_dtype, narrowed, widen, widened
from autotune.tensor_expr.operators.shared.normalization import EPSILON, inverse_deviation, positive
from autotune.tensor_expr.operators.shared.rows import elementwise, reduce_over, row
from autotune.tensor_expr.tensor import placeholder, sum
from autotune.tensor_expr.workload import Workload


@register(
    "rms_norm",
    "each row of x divided by the root of its mean square, and scaled",
    (
        Param("shape", "128,768", "dimensions of x"),
        Param("axis", -1, "the first of the dimensions that make a row"),
        EPSILON,
        Param("dtype", "float32", f"one of {', '.join(FLOATS)}"),
    ),
    family="normalization",
)
def rms_norm(shape: Any, axis: Any, epsilon: Any, dtype: str) -> Workload:
    """``y = x / sqrt(mean(x * x) + epsilon) * scale`` over dimensions ``axis`` to the last.

    x, y: [*shape], scale: [shape from axis on], constant. Raises ``UsageError`` for sizes below 1, an axis that does
    not exist, an epsilon that is not positive, or another dtype.
    """
    sizes = shape_of("shape", shape)
    first, small = axis_of("axis", axis, len(sizes)), positive("epsilon", epsilon)
    dims = tuple(range(first, len(sizes)))
    check_dtype("rms_norm", dtype, FLOATS)
    x, scale = placeholder(sizes, dtype, "x"), placeholder(sizes[first:], dtype, "scale", constant=True)
    squares = reduce_over(sizes, dims, sum, lambda index: widen(x[index]) * widen(x[index]), "squares")
    inverse = inverse_deviation(squares, prod(sizes[first:]), small)
    y = elementwise(sizes, lambda index: widen(x[index]) * inverse[row(index, dims)] * widen(scale[index[first:]]), "y")

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        wide = widened(inputs)
        mean = np.mean(wide["x"] ** 2, dims, keepdims=True)
        return np.asarray(wide["x"] / np.sqrt(mean + small) * wide["scale"])

    params: dict[str, Value] = {"shape": text(sizes), "axis": first, "epsilon": small, "dtype": dtype}
    return Workload(narrowed(y, dtype), "rms_norm", params, reference)
