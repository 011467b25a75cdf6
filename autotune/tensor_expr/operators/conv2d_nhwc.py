"""Two-dimensional convolution with the channels innermost: NHWC input and HWIO weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autotune.tensor_expr.operators.registry import Param, register
from autotune.tensor_expr.operators.shared.convolution import DTYPE, WINDOW_PARAMS, read_convolution
from autotune.tensor_expr.operators.shared.element_types import narrowed, widen
from autotune.tensor_expr.operators.shared.windows import pad
from autotune.tensor_expr.tensor import compute, placeholder, reduce_axis, sum
from autotune.tensor_expr.workload import Workload


@register(
    "conv2d_nhwc",
    "2-D convolution of an NHWC image with HWIO weights (constant)",
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
def conv2d_nhwc(
    batch: Any, in_channels: Any, out_channels: Any, height: Any, width: Any, kernel: Any, stride: Any,
    padding: Any, dilation: Any, groups: Any, dtype: str,
) -> Workload:  # fmt: skip
    """``y[n, i, j, o] = sum(p, q, c) x[n, i*stride + p*dilation - top, ..., g(o) + c] * w[p, q, c, o]``.

    x: [batch, height, width, in_channels], w: [kernel, in_channels/groups, out_channels], zeros beyond the border.
    Raises ``UsageError`` as ``conv2d`` does.
    """
    found = read_convolution(
        "conv2d_nhwc", {"height": height, "width": width}, batch, in_channels, out_channels, kernel, stride, padding,
        dilation, groups, dtype,
    )  # fmt: skip
    rows, columns = found.windows
    x = placeholder((found.batch, rows.extent, columns.extent, found.in_channels), dtype, "x")
    w = placeholder((*found.kernel, found.group_in, found.out_channels), dtype, "w", constant=True)
    source = pad(x, found.windows, 1, ("b", "y", "z", "c"))
    rh, rw = reduce_axis(rows.kernel, "rh"), reduce_axis(columns.kernel, "rw")
    rc = reduce_axis(found.group_in, "rc")
    output = compute(
        (found.batch, *found.outputs, found.out_channels),
        lambda b, i, j, o: sum(
            widen(source[b, rows.at(i, rh), columns.at(j, rw), found.input_channel(o, rc)]) * widen(w[rh, rw, rc, o]),
            axis=(rh, rw, rc),
        ),
        name="conv",
    )

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        usual = {"x": np.transpose(inputs["x"], (0, 3, 1, 2)), "w": np.transpose(inputs["w"], (3, 2, 0, 1))}
        return np.transpose(found.reference(usual), (0, 2, 3, 1))

    return Workload(narrowed(output, dtype), "conv2d_nhwc", found.params("height", "width"), reference, found.flops)
