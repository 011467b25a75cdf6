"""The largest element under a window, as ONNX MaxPool defines it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autotune.tensor_expr import dtypes
from autotune.tensor_expr.operators.registry import Param, register
from autotune.tensor_expr.operators.shared.element_types import NUMBERS, narrowed, widened
from autotune.tensor_expr.operators.shared.pooling import POOL_PARAMS, read_pooling
from autotune.tensor_expr.tensor import max
from autotune.tensor_expr.workload import Workload

_DTYPES = (*NUMBERS, "int8", "uint8")


@register(
    "max_pool",
    "the largest element under a window of a [batch, channels, ...] image",
    (*POOL_PARAMS, Param("dtype", "float32", f"one of {', '.join(_DTYPES)}")),
    family="pooling",
)
def max_pool(
    batch: Any, channels: Any, extents: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
    dtype: str,
) -> Workload:  # fmt: skip
    """``y[n, c, i, j] = max(p, q) x[n, c, i*stride + p*dilation - top, ...]``; padding is never the largest.

    x: [batch, channels, *extents], one to three spatial dimensions. ``ceil_mode`` rounds the number of outputs up, but
    leaves out windows that start behind the input. Raises ``UsageError`` for sizes below 1, a window larger than the
    padded input, or one that would see nothing but padding.
    """
    found = read_pooling(
        "max_pool", batch, channels, extents, kernel, stride, padding, dilation, ceil_mode, dtype, _DTYPES
    )
    least = dtypes.lowest(dtype)

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.asarray(found.views(widened(inputs)["x"], least).max(0))

    y = found.reduced(found.image(), max, least, "y")
    return Workload(narrowed(y, dtype), "max_pool", found.params(ceil_mode=bool(ceil_mode)), reference, found.points)
