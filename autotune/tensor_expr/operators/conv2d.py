"""Two-dimensional convolution, NCHW input and OIHW weights, as ONNX Conv defines it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import all_of, select
from autotune.tensor_expr.operators.registry import Param, Value, register, size, sizes
from autotune.tensor_expr.tensor import compute, placeholder, reduce_axis, sum
from autotune.tensor_expr.workload import Workload

_DTYPES = ("float32", "float64", "int32")


def _padding(value: Any, extents: tuple[int, int], window: tuple[int, int], stride: tuple[int, int]) -> tuple[int, ...]:
    """(top, left, bottom, right); ``same`` keeps ceil(size / stride) outputs, the odd one at the end (SAME_UPPER)."""
    if value == "same":
        total = [max((-(-n // s) - 1) * s + w - n, 0) for n, w, s in zip(extents, window, stride, strict=True)]
        return (*(t // 2 for t in total), *(t - t // 2 for t in total))
    parts = value if isinstance(value, (tuple, list)) else str(value).strip("()[] ").split(",")
    if len(parts) == 2:
        parts = [*parts, *parts]
    return sizes("padding", ",".join(str(part) for part in parts), 4, least=0)


@register(
    "conv2d",
    "2-D convolution of an NCHW image with OIHW weights (constant)",
    (
        Param("batch", 1, "images"),
        Param("in_channels", 128, "input channels"),
        Param("out_channels", 128, "output channels"),
        Param("height", 28, "input rows"),
        Param("width", 28, "input columns"),
        Param("kernel", "3", "window: N or H,W"),
        Param("stride", "1", "N or H,W"),
        Param("padding", "same", "N, or H,W, or TOP,LEFT,BOTTOM,RIGHT, or same"),
        Param("dilation", "1", "N or H,W"),
        Param("groups", 1, "channel groups; in_channels of them is depthwise"),
        Param("dtype", "float32", f"one of {', '.join(_DTYPES)}"),
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
    n, ci, co, g = (
        size(name, value)
        for name, value in (
            ("batch", batch),
            ("in_channels", in_channels),
            ("out_channels", out_channels),
            ("groups", groups),
        )
    )
    h, w = size("height", height), size("width", width)
    (kh, kw), (sh, sw), (dh, dw) = (
        sizes("kernel", kernel, 2),
        sizes("stride", stride, 2),
        sizes("dilation", dilation, 2),
    )
    window = ((kh - 1) * dh + 1, (kw - 1) * dw + 1)
    top, left, bottom, right = _padding(padding, (h, w), window, (sh, sw))
    if dtype not in _DTYPES:
        raise UsageError(f"conv2d takes dtype {', '.join(_DTYPES)}, got {dtype!r}")
    if ci % g or co % g:
        raise UsageError(f"groups is {g}, which must divide in_channels ({ci}) and out_channels ({co})")
    padded = (h + top + bottom, w + left + right)
    if window[0] > padded[0] or window[1] > padded[1]:
        raise UsageError(
            f"the kernel spans {window[0]}x{window[1]} with its dilation, more than the padded "
            f"input's {padded[0]}x{padded[1]}"
        )
    oh, ow = (padded[0] - window[0]) // sh + 1, (padded[1] - window[1]) // sw + 1
    per_group_in, per_group_out = ci // g, co // g

    x = placeholder((n, ci, h, w), dtype, "x")
    weight = placeholder((co, per_group_in, kh, kw), dtype, "w", constant=True)
    source = x
    if (top, left, bottom, right) != (0, 0, 0, 0):
        source = compute(
            (n, ci, *padded),
            lambda b, c, y, z: select(
                all_of(
                    *([y >= top, y < top + h] if top or bottom else []),
                    *([z >= left, z < left + w] if left or right else []),
                ),
                x[b, c, y - top, z - left],
                0,
            ),
            name="pad",
        )
    rc, rh, rw = reduce_axis(per_group_in, "rc"), reduce_axis(kh, "rh"), reduce_axis(kw, "rw")

    def channel(o: Any) -> Any:
        if g == 1:
            return rc
        return (o // per_group_out if per_group_out > 1 else o) * per_group_in + rc

    y = compute(
        (n, co, oh, ow),
        lambda b, o, i, j: sum(
            source[b, channel(o), i * sh + rh * dh, j * sw + rw * dw] * weight[o, rc, rh, rw], axis=(rc, rh, rw)
        ),
        name="conv",
    )

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        wide = np.float64 if dtypes.is_float(dtype) else np.dtype(dtype)
        image = np.pad(inputs["x"].astype(wide), ((0, 0), (0, 0), (top, bottom), (left, right)))
        weights = inputs["w"].astype(wide).reshape(g, per_group_out, per_group_in, kh, kw)
        result = np.zeros((n, g, per_group_out, oh, ow), wide)
        grouped = image.reshape(n, g, per_group_in, *padded)
        for p in range(kh):
            for q in range(kw):
                part = grouped[..., p * dh : p * dh + (oh - 1) * sh + 1 : sh, q * dw : q * dw + (ow - 1) * sw + 1 : sw]
                pixels = np.ascontiguousarray(part).reshape(n, g, per_group_in, oh * ow)
                result += (weights[:, :, :, p, q] @ pixels).reshape(result.shape)
        return result.reshape(n, co, oh, ow)

    params: dict[str, Value] = {
        "batch": n, "in_channels": ci, "out_channels": co, "height": h, "width": w, "kernel": f"{kh},{kw}",
        "stride": f"{sh},{sw}", "padding": f"{top},{left},{bottom},{right}", "dilation": f"{dh},{dw}", "groups": g,
        "dtype": dtype,
    }  # fmt: skip
    return Workload(y, "conv2d", params, reference, 2 * n * co * oh * ow * per_group_in * kh * kw)
