"""One-dimensional convolution, as ONNX Conv defines it."""

from __future__ import annotations

from typing import Any

from autotune.tensor_expr.operators.registry import Param, register
from autotune.tensor_expr.operators.shared.convolution import DTYPE, WINDOW_PARAMS, read_convolution
from autotune.tensor_expr.workload import Workload


@register(
    "conv1d",
    "1-D convolution of a signal [batch, channels, length] with constant weights",
    (
        Param("batch", 1, "signals"),
        Param("in_channels", 64, "input channels"),
        Param("out_channels", 64, "output channels"),
        Param("length", 512, "samples"),
        *WINDOW_PARAMS,
        Param("groups", 1, "channel groups; in_channels of them is depthwise"),
        DTYPE,
    ),
    family="convolution",
)
def conv1d(
    batch: Any, in_channels: Any, out_channels: Any, length: Any, kernel: Any, stride: Any, padding: Any,
    dilation: Any, groups: Any, dtype: str,
) -> Workload:  # fmt: skip
    """``y[n, o, j] = sum(c, q) x[n, g(o) + c, j*stride + q*dilation - before] * w[o, c, q]``.

    x: [batch, in_channels, length], w: [out_channels, in_channels/groups, kernel], zeros beyond the border.
    Raises ``UsageError`` for sizes below 1, channels that groups do not divide, or a window larger than the padded
    input.
    """
    found = read_convolution(
        "conv1d", {"length": length}, batch, in_channels, out_channels, kernel, stride, padding, dilation, groups,
        dtype,
    )  # fmt: skip
    return found.workload("conv1d", found.params("length"))
