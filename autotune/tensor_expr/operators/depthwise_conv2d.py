"""Depthwise two-dimensional convolution: a grouped one in which every channel is a group of its own."""

from __future__ import annotations

from typing import Any

from autotune.tensor_expr.operators.registry import Param, Value, register, size
from autotune.tensor_expr.operators.shared.convolution import DTYPE, WINDOW_PARAMS, read_convolution
from autotune.tensor_expr.operators.shared.windows import window_params
from autotune.tensor_expr.workload import Workload


@register(
    "depthwise_conv2d",
    "2-D convolution of each channel of an NCHW image with windows of its own (constant)",
    (
        Param("batch", 1, "images"),
        Param("channels", 128, "input channels"),
        Param("multiplier", 1, "output channels made of each input channel"),
        Param("height", 56, "input rows"),
        Param("width", 56, "input columns"),
        *WINDOW_PARAMS,
        DTYPE,
    ),
    family="convolution",
)
def depthwise_conv2d(
    batch: Any, channels: Any, multiplier: Any, height: Any, width: Any, kernel: Any, stride: Any, padding: Any,
    dilation: Any, dtype: str,
) -> Workload:  # fmt: skip
    """``y[n, o, i, j] = sum(p, q) x[n, o // multiplier, i*stride + p*dilation - top, ...] * w[o, 0, p, q]``.

    x: [batch, channels, height, width], w: [channels * multiplier, 1, kernel], zeros beyond the border: ``conv2d`` with
    as many groups as channels. Raises ``UsageError`` for sizes below 1 or a window larger than the padded input.
    """
    c, times = size("channels", channels), size("multiplier", multiplier)
    extents = {"height": height, "width": width}
    found = read_convolution(
        "depthwise_conv2d", extents, batch, c, c * times, kernel, stride, padding, dilation, c, dtype
    )
    rows, columns = found.windows
    params: dict[str, Value] = {
        "batch": found.batch, "channels": c, "multiplier": times, "height": rows.extent, "width": columns.extent,
        **window_params(found.windows), "dtype": dtype,
    }  # fmt: skip
    return found.workload("depthwise_conv2d", params)
