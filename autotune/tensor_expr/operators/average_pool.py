"""The average under a window, as ONNX AveragePool defines it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from math import prod
from typing import Any

import numpy as np

from autotune.tensor_expr.expr import Axis, Expr, ExprLike, cast
from autotune.tensor_expr.operators.registry import Param, register
from autotune.tensor_expr.operators.shared.axes import named
from autotune.tensor_expr.operators.shared.element_types import FLOATS, narrowed, widened
from autotune.tensor_expr.operators.shared.pooling import POOL_PARAMS, count, counts, read_pooling
from autotune.tensor_expr.tensor import compute, sum
from autotune.tensor_expr.workload import Workload


@register(
    "average_pool",
    "the average under a window of a [batch, channels, ...] image",
    (
        *POOL_PARAMS,
        Param("count_include_pad", False, "padding counts as zeros, instead of not at all"),
        Param("dtype", "float32", f"one of {', '.join(FLOATS)}"),
    ),
    family="pooling",
)
def average_pool(
    batch: Any, channels: Any, extents: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
    count_include_pad: bool, dtype: str,
) -> Workload:  # fmt: skip
    """``y[n, c, i, j] = sum(p, q) x[n, c, i*stride + p*dilation - top, ...] / count(i, j)``.

    x: [batch, channels, *extents], one to three spatial dimensions. ``count`` is how many elements of the input the
    window sees; with ``count_include_pad``, of the input and its padding, though not of what ``ceil_mode`` looks at
    beyond it. Raises ``UsageError`` for sizes below 1, a window larger than the padded input, or one that would see
    nothing but padding.
    """
    found = read_pooling(
        "average_pool", batch, channels, extents, kernel, stride, padding, dilation, ceil_mode, dtype, FLOATS
    )
    total = found.reduced(found.image(), sum, 0, "total")

    def body(*axes: Axis) -> Expr:
        parts = [count(w, axis, count_include_pad) for w, axis in zip(found.windows, axes[2:], strict=True)]
        return total[axes] / cast(reduce(_product, parts), total.dtype)

    y = compute(found.shape, named(found.axes, body), name="y")

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        divisor = reduce(np.multiply.outer, (counts(w, count_include_pad) for w in found.windows))
        return np.asarray(found.views(widened(inputs)["x"], 0).sum(0) / divisor)

    params = found.params(ceil_mode=bool(ceil_mode), count_include_pad=bool(count_include_pad))
    return Workload(narrowed(y, dtype), "average_pool", params, reference, found.points + prod(found.shape))


def _product(a: ExprLike, b: ExprLike) -> ExprLike:
    return a * b
