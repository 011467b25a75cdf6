"""Channels to blocks of pixels and back, as ONNX DepthToSpace and SpaceToDepth define it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import Expr
from autotune.tensor_expr.operators import registry
from autotune.tensor_expr.operators.registry import Param, Value, one_of, register, size, text
from autotune.tensor_expr.tensor import compute, placeholder
from autotune.tensor_expr.workload import Workload

_DTYPE = Param("dtype", "float32", f"one of {', '.join(dtypes.DTYPES)}")
_MODES = ("DCR", "CRD")


@register(
    "depth_to_space",
    "channels of an NCHW image moved into blocks of pixels",
    (
        Param("shape", "1,64,56,56", "shape of the input, NCHW"),
        Param("block", 2, "rows and columns of a block"),
        Param("mode", "DCR", "DCR: the block is the outer part of a channel's number, CRD: the inner part"),
        _DTYPE,
    ),
    family="data movement",
)
def depth_to_space(shape: Any, block: Any, mode: str, dtype: str) -> Workload:
    """``y[n, c, h * block + p, w * block + q] = x[n, channel, h, w]`` where channel is ``(p * block + q) * C + c``
    (DCR) or ``(c * block + p) * block + q`` (CRD), and C the result's channels.

    x: [n, C * block**2, h, w]. Raises ``UsageError`` for channels that the block's pixels do not divide.
    """
    (n, c, h, w), b = _image(shape), size("block", block)
    one_of("mode", mode, _MODES)
    one_of("dtype", dtype, dtypes.DTYPES)
    if c % (b * b):
        raise UsageError(
            f"{c} channels cannot be moved into blocks of {b}x{b} pixels; they must be a multiple of {b * b}"
        )
    left = c // (b * b)
    x = placeholder((n, c, h, w), dtype, "x")

    def element(image: Expr, channel: Expr, y: Expr, z: Expr) -> Expr:
        p, q = y % b, z % b
        source = (p * b + q) * left + channel if mode == "DCR" else (channel * b + p) * b + q
        return x[image, source, y // b, z // b]

    result = compute((n, left, h * b, w * b), element, name="y")

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        if mode == "DCR":
            pixels = inputs["x"].reshape(n, b, b, left, h, w).transpose(0, 3, 4, 1, 5, 2)
        else:
            pixels = inputs["x"].reshape(n, left, b, b, h, w).transpose(0, 1, 4, 2, 5, 3)
        return pixels.reshape(n, left, h * b, w * b)

    params: dict[str, Value] = {"shape": text((n, c, h, w)), "block": b, "mode": mode, "dtype": dtype}
    return Workload(result, "depth_to_space", params, reference, 0)


@register(
    "space_to_depth",
    "blocks of pixels of an NCHW image moved into channels",
    (
        Param("shape", "1,16,112,112", "shape of the input, NCHW"),
        Param("block", 2, "rows and columns of a block"),
        _DTYPE,
    ),
    family="data movement",
)
def space_to_depth(shape: Any, block: Any, dtype: str) -> Workload:
    """``y[n, (p * block + q) * C + c, h, w] = x[n, c, h * block + p, w * block + q]``, C the input's channels.

    x: [n, C, h * block, w * block]. Raises ``UsageError`` for rows or columns that the block does not divide.
    """
    (n, c, h, w), b = _image(shape), size("block", block)
    one_of("dtype", dtype, dtypes.DTYPES)
    if h % b or w % b:
        raise UsageError(f"{h}x{w} pixels cannot be cut into blocks of {b}x{b}")
    x = placeholder((n, c, h, w), dtype, "x")
    result = compute(
        (n, c * b * b, h // b, w // b),
        lambda image, channel, y, z: x[image, channel % c, y * b + channel // (b * c), z * b + channel // c % b],
        name="y",
    )

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        pixels = inputs["x"].reshape(n, c, h // b, b, w // b, b).transpose(0, 3, 5, 1, 2, 4)
        return pixels.reshape(n, c * b * b, h // b, w // b)

    params: dict[str, Value] = {"shape": text((n, c, h, w)), "block": b, "dtype": dtype}
    return Workload(result, "space_to_depth", params, reference, 0)


def _image(value: Any) -> tuple[int, int, int, int]:
    found = registry.shape("shape", value)
    if len(found) != 4:
        raise UsageError(f"shape is {text(found)}; an image has the four dimensions NCHW")
    n, c, h, w = found
    return n, c, h, w
