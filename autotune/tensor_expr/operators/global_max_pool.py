"""The largest element of each channel, as ONNX GlobalMaxPool defines it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autotune.tensor_expr.operators.registry import Param, register
from autotune.tensor_expr.operators.shared.element_types import NUMBERS, narrowed
from autotune.tensor_expr.operators.shared.pooling import IMAGE_PARAMS, channel_reduction, read_image
from autotune.tensor_expr.tensor import max
from autotune.tensor_expr.workload import Workload


@register(
    "global_max_pool",
    "the largest element of each channel of a [batch, channels, ...] image",
    (*IMAGE_PARAMS, Param("dtype", "float32", f"one of {', '.join(NUMBERS)}")),
    family="pooling",
)
def global_max_pool(batch: Any, channels: Any, extents: Any, dtype: str) -> Workload:
    """``y[n, c, 0, ...] = max(i, ...) x[n, c, i, ...]``.

    x: [batch, channels, *extents], one to three spatial dimensions, which are 1 in the result. Raises ``UsageError``
    for sizes below 1 or another dtype.
    """
    x, params = read_image("global_max_pool", batch, channels, extents, dtype, NUMBERS)
    inner = tuple(range(2, len(x.shape)))

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.asarray(inputs["x"].max(inner, keepdims=True))

    return Workload(narrowed(channel_reduction(x, max, "y"), dtype), "global_max_pool", params, reference)
