"""Unsharp masking: an image sharpened by what a Gaussian blur takes away (Halide's app ``unsharp``)."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp
from typing import Any

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr.operators.registry import Param, Value, number, one_of, register, size
from autotune.tensor_expr.operators.shared.images import (
    DTYPES,
    FAMILY,
    SIZE_PARAMS,
    bordered,
    filtered,
    luma,
    luma_of,
    weighted,
)
from autotune.tensor_expr.tensor import compute, placeholder
from autotune.tensor_expr.workload import Workload

_REACH = 3  # pixels on each side that the blur looks at


@register(
    "unsharp_mask",
    "a colour image sharpened by its blurred brightness",
    (*SIZE_PARAMS, Param("sigma", 1.5, "standard deviation of the blur, in pixels")),
    family=FAMILY,
)
def unsharp_mask(height: Any, width: Any, dtype: str, sigma: Any) -> Workload:
    """``y[c, i, j] = x[c, i, j] * (2 * gray[i, j] - blurred[i, j]) / gray[i, j]``.

    x: [3, height, width], positive; gray is its brightness, and blurred the Gaussian of 7x7 pixels of it, as two
    stages with the edge repeated beyond the border. Raises ``UsageError`` for sizes below 1 or a sigma that is not
    positive.
    """
    h, w, deviation = size("height", height), size("width", width), number("sigma", sigma)
    one_of("dtype", dtype, DTYPES)
    if deviation <= 0:
        raise UsageError(f"sigma is {deviation}; it must be above 0")
    bell = [exp(-0.5 * (t / deviation) ** 2) for t in range(-_REACH, _REACH + 1)]
    weights = [value / sum(bell) for value in bell]

    x = placeholder((3, h, w), dtype, "x")
    gray = luma(x)
    around = bordered(gray, _REACH, "border")
    columns = compute((h, w + 2 * _REACH), lambda i, j: weighted(weights, lambda t: around[i + t, j]), name="columns")
    blurred = compute((h, w), lambda i, j: weighted(weights, lambda t: columns[i, j + t]), name="blurred")
    ratio = compute((h, w), lambda i, j: (gray[i, j] * 2.0 - blurred[i, j]) / gray[i, j], name="ratio")
    y = compute((3, h, w), lambda c, i, j: x[c, i, j] * ratio[i, j], name="y")

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        bright = luma_of(inputs)
        smooth = filtered(filtered(bright, weights, 0), weights, 1)
        return np.asarray(inputs["x"] * ((2 * bright - smooth) / bright))

    params: dict[str, Value] = {"height": h, "width": w, "dtype": dtype, "sigma": deviation}
    return Workload(y, "unsharp_mask", params, reference, domains={"x": (0.05, 1.0)})
