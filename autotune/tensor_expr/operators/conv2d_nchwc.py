"""Two-dimensional convolution with channels in blocks: NCHWc input and output, OIHWio weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr.operators.registry import Param, Value, register, size
from autotune.tensor_expr.operators.shared.convolution import DTYPE, WINDOW_PARAMS, read_convolution
from autotune.tensor_expr.operators.shared.element_types import narrowed, widen
from autotune.tensor_expr.operators.shared.windows import pad, window_params
from autotune.tensor_expr.tensor import compute, placeholder, reduce_axis, sum
from autotune.tensor_expr.workload import Workload


@register(
    "conv2d_nchwc",
    "2-D convolution whose channels lie in blocks: NCHWc image, OIHWio weights (constant)",
    (
        Param("batch", 1, "images"),
        Param("in_channels", 128, "input channels"),
        Param("out_channels", 128, "output channels"),
        Param("in_block", 16, "input channels of a block; divides in_channels"),
        Param("out_block", 16, "output channels of a block; divides out_channels"),
        Param("height", 28, "input rows"),
        Param("width", 28, "input columns"),
        *WINDOW_PARAMS,
        DTYPE,
    ),
    family="convolution",
)
def conv2d_nchwc(
    batch: Any, in_channels: Any, out_channels: Any, in_block: Any, out_block: Any, height: Any, width: Any,
    kernel: Any, stride: Any, padding: Any, dilation: Any, dtype: str,
) -> Workload:  # fmt: skip
    """``y[n, O, i, j, o] = sum(C, p, q, c) x[n, C, i*stride + p*dilation - top, ..., c] * w[O, C, p, q, c, o]``.

    x: [batch, in_channels/in_block, height, width, in_block], w: [out_channels/out_block, in_channels/in_block, kernel,
    in_block, out_block], zeros beyond the border. Raises ``UsageError`` as ``conv2d`` does, and for blocks that do not
    divide the channels.
    """
    found = read_convolution(
        "conv2d_nchwc", {"height": height, "width": width}, batch, in_channels, out_channels, kernel, stride, padding,
        dilation, 1, dtype,
    )  # fmt: skip
    inner, outer = size("in_block", in_block), size("out_block", out_block)
    for name, block, channels in (("in", inner, found.in_channels), ("out", outer, found.out_channels)):
        if channels % block:
            raise UsageError(f"{name}_block is {block}, which must divide {name}_channels ({channels})")
    rows, columns = found.windows
    blocks_in, blocks_out = found.in_channels // inner, found.out_channels // outer
    x = placeholder((found.batch, blocks_in, rows.extent, columns.extent, inner), dtype, "x")
    w = placeholder((blocks_out, blocks_in, *found.kernel, inner, outer), dtype, "w", constant=True)
    source = pad(x, found.windows, 2, ("b", "d", "y", "z", "c"))
    rd, rh, rw = reduce_axis(blocks_in, "rd"), reduce_axis(rows.kernel, "rh"), reduce_axis(columns.kernel, "rw")
    rc = reduce_axis(inner, "rc")
    output = compute(
        (found.batch, blocks_out, *found.outputs, outer),
        lambda b, p, i, j, o: sum(
            widen(source[b, rd, rows.at(i, rh), columns.at(j, rw), rc]) * widen(w[p, rd, rh, rw, rc, o]),
            axis=(rd, rh, rw, rc),
        ),
        name="conv",
    )

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        image = np.moveaxis(inputs["x"], -1, 2).reshape(found.batch, found.in_channels, rows.extent, columns.extent)
        weights = np.transpose(inputs["w"], (0, 5, 1, 4, 2, 3)).reshape(found.out_channels, -1, *found.kernel)
        result = found.reference({"x": image, "w": weights})
        return np.moveaxis(result.reshape(found.batch, blocks_out, outer, *found.outputs), 2, -1)

    params: dict[str, Value] = {
        "batch": found.batch, "in_channels": found.in_channels, "out_channels": found.out_channels,
        "in_block": inner, "out_block": outer, "height": rows.extent, "width": columns.extent,
        **window_params(found.windows), "dtype": dtype,
    }  # fmt: skip
    return Workload(narrowed(output, dtype), "conv2d_nchwc", params, reference, found.flops)
