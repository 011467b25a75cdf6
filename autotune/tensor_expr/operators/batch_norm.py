"""Normalisation of each channel by known statistics, as ONNX BatchNormalization defines it for inference."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from autotune.tensor_expr.expr import call
from autotune.tensor_expr.operators.registry import Param, register
from autotune.tensor_expr.operators.shared.element_types import FLOATS, narrowed, widen, widened
from autotune.tensor_expr.operators.shared.normalization import EPSILON, positive
from autotune.tensor_expr.operators.shared.pooling import IMAGE_PARAMS, read_image
from autotune.tensor_expr.operators.shared.rows import elementwise
from autotune.tensor_expr.tensor import placeholder
from autotune.tensor_expr.workload import Workload


@register(
    "batch_norm",
    "each channel of a [batch, channels, ...] image normalised by constant mean and variance, scaled and shifted",
    (*IMAGE_PARAMS, EPSILON, Param("dtype", "float32", f"one of {', '.join(FLOATS)}")),
    family="normalization",
)
def batch_norm(batch: Any, channels: Any, extents: Any, epsilon: Any, dtype: str) -> Workload:
    """``y[n, c, ...] = (x[n, c, ...] - mean[c]) / sqrt(variance[c] + epsilon) * scale[c] + bias[c]``.

    x, y: [batch, channels, *extents], one to three spatial dimensions; mean, variance, scale, bias: [channels],
    constant. Raises ``UsageError`` for sizes below 1, an epsilon that is not positive, or another dtype.
    """
    x, params = read_image("batch_norm", batch, channels, extents, dtype, FLOATS)
    small = positive("epsilon", epsilon)
    count = x.shape[1]
    scale, bias, mean, variance = (
        placeholder((count,), dtype, name, constant=True) for name in ("scale", "bias", "mean", "variance")
    )
    factor = elementwise(
        (count,), lambda index: widen(scale[index]) / call("sqrt", widen(variance[index]) + small), "factor"
    )
    y = elementwise(
        x.shape, lambda index: (widen(x[index]) - widen(mean[index[1]])) * factor[index[1]] + widen(bias[index[1]]), "y"
    )

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        wide = widened(inputs)
        along = (count, *(1 for _ in x.shape[2:]))
        vectors = {name: wide[name].reshape(along) for name in ("scale", "bias", "mean", "variance")}
        result = (wide["x"] - vectors["mean"]) / np.sqrt(vectors["variance"] + small)
        return np.asarray(result * vectors["scale"] + vectors["bias"])

    flops = 3 * prod(x.shape) + 3 * count
    return Workload(
        narrowed(y, dtype), "batch_norm", {**params, "epsilon": small}, reference, flops, {"variance": (0.25, 4)}
    )
