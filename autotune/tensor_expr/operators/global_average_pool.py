"""The average of each channel, as ONNX GlobalAveragePool defines it."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from autotune.tensor_expr.operators.registry import Param, register
from autotune.tensor_expr.operators.shared.element_types import FLOATS, narrowed, widened
from autotune.tensor_expr.operators.shared.pooling import IMAGE_PARAMS, channel_reduction, read_image
from autotune.tensor_expr.operators.shared.rows import elementwise
from autotune.tensor_expr.tensor import sum
from autotune.tensor_expr.workload import Workload


@register(
    "global_average_pool",
    "the average of each channel of a [batch, channels, ...] image",
    (*IMAGE_PARAMS, Param("dtype", "float32", f"one of {', '.join(FLOATS)}")),
    family="pooling",
)
def global_average_pool(batch: Any, channels: Any, extents: Any, dtype: str) -> Workload:
    """``y[n, c, 0, ...] = sum(i, ...) x[n, c, i, ...] / (number of elements of a channel)``.

    x: [batch, channels, *extents], one to three spatial dimensions, which are 1 in the result. Raises ``UsageError``
    for sizes below 1 or another dtype.
    """
    x, params = read_image("global_average_pool", batch, channels, extents, dtype, FLOATS)
    total = channel_reduction(x, sum, "total")
    y = elementwise(total.shape, lambda index: total[index] / prod(x.shape[2:]), "y")
    inner = tuple(range(2, len(x.shape)))

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.asarray(widened(inputs)["x"].mean(inner, keepdims=True))

    return Workload(narrowed(y, dtype), "global_average_pool", params, reference)
