"""Two-dimensional convolution, NCHW input and OIHW weights, as ONNX Conv defines it."""

from __future__ import annotations

from typing import Any

from autotune.tensor_expr.operators.registry import Param, register
from autotune.tensor_expr.operators.shared.convolution import DTYPE, WINDOW_PARAMS, read_convolution
from autotune.tensor_expr.workload import Workload


@register(
    "conv2d",
    "2-D convolution of an NCHW image with OIHW weights (constant)",
    (
        Param("batch", 1, "images"),
        Param("in_channels", 128, "input channels"),
        Param("out_channels", 128, "output channels"),
        Param("height", 28, "input rows"),
        Param("width", 28, "input columns"),
        *WINDOW_PARAMS,
        Param("groups", 1, "channel groups; in_channels of them is depthwise"),
        DTYPE,
    ),
    family="convolution",
)
def conv2d(
    batch: Any, in_channels: Any, out_channels: Any, height: Any, width: Any, kernel: Any, stride: Any,
    padding: Any, dilation: Any, groups: Any, dtype: str,
) -> Workload:  # fmt: skip
    """``y[n, o, i, j] = sum(c, p, q) x[n, g(o) + c, i*stride + p*dilation - top, ...] * w[o, c, p, q]``.

    x: [batch, in_channels, height, width], w: [out_channels, in_channels/groups, kernel], zeros beyond the border.
    Raises ``UsageError`` for sizes below 1, channels that groups do not divide, or a window larger than the padded
    input.
    """
    extents = {"height": height, "width": width}
    found = read_convolution(
        "conv2d", extents, batch, in_channels, out_channels, kernel, stride, padding, dilation, groups, dtype
    )
    return found.workload("conv2d", found.params("height", "width"))
