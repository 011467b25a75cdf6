"""Transposed one-dimensional convolution, as ONNX ConvTranspose defines it."""

from __future__ import annotations

from typing import Any

from autotune.tensor_expr.operators.registry import Param, register
from autotune.tensor_expr.operators.shared.convolution import DTYPE
from autotune.tensor_expr.operators.shared.transposed import TRANSPOSED_PARAMS, read_transposed
from autotune.tensor_expr.workload import Workload


@register(
    "conv1d_transpose",
    "transposed 1-D convolution of a signal with constant weights, which makes it longer",
    (
        Param("batch", 1, "signals"),
        Param("in_channels", 64, "input channels"),
        Param("out_channels", 32, "output channels"),
        Param("length", 256, "samples"),
        *TRANSPOSED_PARAMS,
        Param("groups", 1, "channel groups"),
        DTYPE,
    ),
    family="convolution",
)
def conv1d_transpose(
    batch: Any, in_channels: Any, out_channels: Any, length: Any, kernel: Any, stride: Any, padding: Any,
    dilation: Any, output_padding: Any, groups: Any, dtype: str,
) -> Workload:  # fmt: skip
    """``y[n, o, a*stride + q*dilation - before] += x[n, c, a] * w[c, o, q]``, summed over c, a and q.

    x: [batch, in_channels, length], w: [in_channels, out_channels/groups, kernel], y: [batch, out_channels, stride *
    (length - 1) + output_padding + (kernel - 1) * dilation + 1 - before - after]. ``padding`` cuts samples off;
    ``same`` leaves length * stride of them. Raises ``UsageError`` as ``conv2d_transpose`` does.
    """
    found = read_transposed(
        "conv1d_transpose", {"length": length}, batch, in_channels, out_channels, kernel, stride, padding, dilation,
        output_padding, groups, dtype,
    )  # fmt: skip
    return found.workload("conv1d_transpose", "length")
