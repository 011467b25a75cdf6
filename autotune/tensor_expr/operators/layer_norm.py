"""Normalisation over the last dimensions, as ONNX LayerNormalization defines it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autotune.tensor_expr.expr import Expr
from autotune.tensor_expr.operators.registry import Param, Value, register, text
from autotune.tensor_expr.operators.registry import axis as axis_of
from autotune.tensor_expr.operators.registry import shape as shape_of
from autotune.tensor_expr.operators.shared.element_types import FLOATS, check_dtype, narrowed, widen, widened
from autotune.tensor_expr.operators.shared.normalization import EPSILON, normalized, positive, statistics
from autotune.tensor_expr.operators.shared.rows import elementwise, row
from autotune.tensor_expr.tensor import placeholder
from autotune.tensor_expr.workload import Workload


@register(
    "layer_norm",
    "each row of x less its mean, divided by its standard deviation, scaled and shifted",
    (
        Param("shape", "128,768", "dimensions of x"),
        Param("axis", -1, "the first of the dimensions that make a row"),
        EPSILON,
        Param("dtype", "float32", f"one of {', '.join(FLOATS)}"),
    ),
    family="normalization",
)
def layer_norm(shape: Any, axis: Any, epsilon: Any, dtype: str) -> Workload:
    """``y = (x - mean) / sqrt(variance + epsilon) * scale + bias`` over dimensions ``axis`` to the last.

    x, y: [*shape], scale, bias: [shape from axis on], constant. The variance is that of the elements, divided by their
    number. Raises ``UsageError`` for sizes below 1, an axis that does not exist, an epsilon that is not positive, or
    another dtype.
    """
    sizes = shape_of("shape", shape)
    first, small = axis_of("axis", axis, len(sizes)), positive("epsilon", epsilon)
    dims = tuple(range(first, len(sizes)))
    check_dtype("layer_norm", dtype, FLOATS)
    x = placeholder(sizes, dtype, "x")
    scale, bias = (placeholder(sizes[first:], dtype, name, constant=True) for name in ("scale", "bias"))
    mean, inverse = statistics(x, dims, small)

    def element(index: tuple[Any, ...]) -> Expr:
        centered = widen(x[index]) - mean[row(index, dims)]
        return centered * inverse[row(index, dims)] * widen(scale[index[first:]]) + widen(bias[index[first:]])

    y = elementwise(sizes, element, "y")

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        wide = widened(inputs)
        return normalized(wide["x"], dims, small) * wide["scale"] + wide["bias"]

    params: dict[str, Value] = {"shape": text(sizes), "axis": first, "epsilon": small, "dtype": dtype}
    return Workload(narrowed(y, dtype), "layer_norm", params, reference)
