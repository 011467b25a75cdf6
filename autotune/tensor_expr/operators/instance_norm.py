"""Normalisation of each channel of each image by its own statistics, as ONNX InstanceNormalization defines it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autotune.tensor_expr.operators.registry import Param, register
from autotune.tensor_expr.operators.shared.element_types import FLOATS, narrowed, widen, widened
from autotune.tensor_expr.operators.shared.normalization import EPSILON, normalized, positive, statistics
from autotune.tensor_expr.operators.shared.pooling import IMAGE_PARAMS, read_image
from autotune.tensor_expr.operators.shared.rows import elementwise
from autotune.tensor_expr.tensor import placeholder
from autotune.tensor_expr.workload import Workload


@register(
    "instance_norm",
    "each channel of each image of [batch, channels, ...] normalised, scaled and shifted",
    (*IMAGE_PARAMS, EPSILON, Param("dtype", "float32", f"one of {', '.join(FLOATS)}")),
    family="normalization",
)
def instance_norm(batch: Any, channels: Any, extents: Any, epsilon: Any, dtype: str) -> Workload:
    """``y[n, c, ...] = (x[n, c, ...] - mean[n, c]) / sqrt(variance[n, c] + epsilon) * scale[c] + bias[c]``.

    x, y: [batch, channels, *extents], one to three spatial dimensions; scale, bias: [channels], constant. Mean and
    variance are those of a channel's elements. Raises ``UsageError`` for sizes below 1, an epsilon that is not
    positive, or another dtype.
    """
    x, params = read_image("instance_norm", batch, channels, extents, dtype, FLOATS)
    small, dims = positive("epsilon", epsilon), tuple(range(2, len(x.shape)))
    scale, bias = (placeholder(x.shape[1:2], dtype, name, constant=True) for name in ("scale", "bias"))
    mean, inverse = statistics(x, dims, small)
    y = elementwise(
        x.shape,
        lambda index: (
            (widen(x[index]) - mean[index[:2]]) * inverse[index[:2]] * widen(scale[index[1]]) + widen(bias[index[1]])
        ),
        "y",
    )

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        wide, along = widened(inputs), (-1, *(1 for _ in dims))
        return normalized(wide["x"], dims, small) * wide["scale"].reshape(along) + wide["bias"].reshape(along)

    return Workload(narrowed(y, dtype), "instance_norm", {**params, "epsilon": small}, reference)
