"""What image pipelines share: sizes, borders that repeat the edge, and sums over small windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from autotune.tensor_expr.expr import Expr
from autotune.tensor_expr.operators.registry import Param
from autotune.tensor_expr.operators.shared.indices import clamped
from autotune.tensor_expr.tensor import Tensor, compute

FAMILY = "image processing"
DTYPES = ("float32", "float64")
LUMA = (0.299, 0.587, 0.114)  # weights of red, green and blue, ITU-R BT.601
SIZE_PARAMS = (
    Param("height", 1536, "rows of the image"),
    Param("width", 2560, "columns of the image"),
    Param("dtype", "float32", f"one of {', '.join(DTYPES)}"),
)


def bordered(image: Tensor, margin: int, name: str) -> Tensor:
    """The [height, width] image with ``margin`` more rows and columns on each side, which repeat its edge."""
    h, w = image.shape
    return compute(
        (h + 2 * margin, w + 2 * margin),
        lambda i, j: image[clamped(i - margin, h), clamped(j - margin, w)],
        name=name,
    )


def weighted(weights: Sequence[float], value: Callable[[int], Expr]) -> Expr:
    """``sum(weights[t] * value(t))``."""
    result = value(0) * weights[0]
    for offset, weight in enumerate(weights[1:], 1):
        result = result + value(offset) * weight
    return result


def luma(image: Tensor) -> Tensor:
    """The brightness [height, width] of an image [3, height, width]."""
    return compute(image.shape[1:], lambda i, j: weighted(LUMA, lambda c: image[c, i, j]), name="gray")


def luma_of(inputs: Mapping[str, np.ndarray]) -> Any:
    """The brightness in NumPy."""
    return np.tensordot(LUMA, inputs["x"].astype(np.float64), 1)


def filtered(image: np.ndarray, weights: Sequence[float], dim: int) -> np.ndarray:
    """A NumPy image weighted along one dimension, whose edge is repeated."""
    reach = len(weights) // 2
    padded = np.pad(image, [(reach, reach) if d == dim else (0, 0) for d in range(image.ndim)], mode="edge")
    parts = (np.take(padded, range(t, t + image.shape[dim]), dim) * weight for t, weight in enumerate(weights))
    return np.asarray(sum(parts))
