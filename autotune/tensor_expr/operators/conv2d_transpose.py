"""Transposed two-dimensional convolution, as ONNX ConvTranspose defines it."""

from __future__ import annotations

from typing import Any

from autotune.tensor_expr.operators.registry import Param, register
from autotune.tensor_expr.operators.shared.convolution import DTYPE
from autotune.tensor_expr.operators.shared.transposed import TRANSPOSED_PARAMS, read_transposed
from autotune.tensor_expr.workload import Workload


@register(
    "conv2d_transpose",
    "transposed 2-D convolution of an NCHW image with constant weights, which makes it larger",
    (
        Param("batch", 1, "images"),
        Param("in_channels", 64, "input channels"),
        Param("out_channels", 32, "output channels"),
        Param("height", 14, "input rows"),
        Param("width", 14, "input columns"),
        *TRANSPOSED_PARAMS,
        Param("groups", 1, "channel groups"),
        DTYPE,
    ),
    family="convolution",
)
def conv2d_transpose(
    batch: Any, in_channels: Any, out_channels: Any, height: Any, width: Any, kernel: Any, stride: Any,
    padding: Any, dilation: Any, output_padding: Any, groups: Any, dtype: str,
) -> Workload:  # fmt: skip
    """``y[n, o, a*stride + p*dilation - top, ...] += x[n, c, a, ...] * w[c, o, p, ...]``, summed over c, a and p.

    x: [batch, in_channels, height, width], w: [in_channels, out_channels/groups, kernel], y: [batch, out_channels,
    stride * (height - 1) + output_padding + (kernel - 1) * dilation + 1 - top - bottom, ...]. ``padding`` cuts rows and
    columns off; ``same`` leaves height * stride of them. Raises ``UsageError`` for sizes below 1, channels that groups
    do not divide, an output padding of at least both stride and dilation, or padding that leaves no output.
    """
    extents = {"height": height, "width": width}
    found = read_transposed(
        "conv2d_transpose", extents, batch, in_channels, out_channels, kernel, stride, padding, dilation,
        output_padding, groups, dtype,
    )  # fmt: skip
    return found.workload("conv2d_transpose", "height", "width")
