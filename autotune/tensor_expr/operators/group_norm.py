"""Normalisation of groups of channels by their own statistics, as ONNX GroupNormalization defines it."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr.operators.registry import Param, register, size
from autotune.tensor_expr.operators.shared.element_types import FLOATS, narrowed, widen, widened
from autotune.tensor_expr.operators.shared.normalization import EPSILON, inverse_deviation, normalized, positive
from autotune.tensor_expr.operators.shared.pooling import IMAGE_PARAMS, read_image
from autotune.tensor_expr.operators.shared.rows import elementwise, reduce_over
from autotune.tensor_expr.tensor import placeholder, sum
from autotune.tensor_expr.workload import Workload


@register(
    "group_norm",
    "each group of channels of each image of [batch, channels, ...] normalised, scaled and shifted",
    (
        *IMAGE_PARAMS,
        Param("groups", 8, "groups of channels"),
        EPSILON,
        Param("dtype", "float32", f"one of {', '.join(FLOATS)}"),
    ),
    family="normalization",
)
def group_norm(batch: Any, channels: Any, extents: Any, groups: Any, epsilon: Any, dtype: str) -> Workload:
    """``y[n, c, ...] = (x[n, c, ...] - mean[n, g]) / sqrt(variance[n, g] + epsilon) * scale[c] + bias[c]``.

    Channel c is of group ``g = c // (channels / groups)``. x, y: [batch, channels, *extents], one to three spatial
    dimensions; scale, bias: [channels], constant. Raises ``UsageError`` for sizes below 1, groups that do not divide
    the channels, an epsilon that is not positive, or another dtype.
    """
    x, params = read_image("group_norm", batch, channels, extents, dtype, FLOATS)
    small, many = positive("epsilon", epsilon), size("groups", groups)
    if x.shape[1] % many:
        raise UsageError(f"groups is {many}, which must divide channels ({x.shape[1]})")
    each = x.shape[1] // many
    grouped = (x.shape[0], many, each, *x.shape[2:])
    dims = tuple(range(2, len(grouped)))
    count = prod(grouped[2:])
    scale, bias = (placeholder(x.shape[1:2], dtype, name, constant=True) for name in ("scale", "bias"))

    def element(index: tuple[Any, ...]) -> tuple[Any, ...]:
        batch_index, group, channel, *rest = index
        return (batch_index, group * each + channel, *rest)

    def group(index: tuple[Any, ...]) -> tuple[Any, ...]:
        return index[0], index[1] // each if each > 1 else index[1]

    total = reduce_over(grouped, dims, sum, lambda index: widen(x[element(index)]), "total")
    mean = elementwise(total.shape, lambda index: total[index] / count, "mean")
    centered = elementwise(x.shape, lambda index: widen(x[index]) - mean[group(index)], "centered")
    squares = reduce_over(
        grouped, dims, sum, lambda index: centered[element(index)] * centered[element(index)], "squares"
    )
    inverse = inverse_deviation(squares, count, small)
    y = elementwise(
        x.shape,
        lambda index: centered[index] * inverse[group(index)] * widen(scale[index[1]]) + widen(bias[index[1]]),
        "y",
    )

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        wide, along = widened(inputs), (-1, *(1 for _ in x.shape[2:]))
        result = normalized(wide["x"].reshape(grouped), dims, small).reshape(x.shape)
        return result * wide["scale"].reshape(along) + wide["bias"].reshape(along)

    return Workload(narrowed(y, dtype), "group_norm", {**params, "groups": many, "epsilon": small}, reference)
