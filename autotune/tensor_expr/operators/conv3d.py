"""Three-dimensional convolution, NCDHW input, as ONNX Conv defines it."""

from __future__ import annotations

from typing import Any

from autotune.tensor_expr.operators.registry import Param, register
from autotune.tensor_expr.operators.shared.convolution import DTYPE, WINDOW_PARAMS, read_convolution
from autotune.tensor_expr.workload import Workload


@register(
    "conv3d",
    "3-D convolution of a volume [batch, channels, depth, height, width] with constant weights",
    (
        Param("batch", 1, "volumes"),
        Param("in_channels", 32, "input channels"),
        Param("out_channels", 32, "output channels"),
        Param("depth", 8, "input planes"),
        Param("height", 28, "input rows"),
        Param("width", 28, "input columns"),
        *WINDOW_PARAMS,
        Param("groups", 1, "channel groups; in_channels of them is depthwise"),
        DTYPE,
    ),
    family="convolution",
)
def conv3d(
    batch: Any, in_channels: Any, out_channels: Any, depth: Any, height: Any, width: Any, kernel: Any, stride: Any,
    padding: Any, dilation: Any, groups: Any, dtype: str,
) -> Workload:  # fmt: skip
    """``y[n, o, l, i, j] = sum(c, s, p, q) x[n, g(o) + c, l*stride + s*dilation - front, ...] * w[o, c, s, p, q]``.

    x: [batch, in_channels, depth, height, width], w: [out_channels, in_channels/groups, kernel], zeros beyond the
    border. Raises ``UsageError`` for sizes below 1, channels that groups do not divide, or a window larger than the
    padded input.
    """
    extents = {"depth": depth, "height": height, "width": width}
    found = read_convolution(
        "conv3d", extents, batch, in_channels, out_channels, kernel, stride, padding, dilation, groups, dtype
    )
    return found.workload("conv3d", found.params("depth", "height", "width"))
