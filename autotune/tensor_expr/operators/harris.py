"""Harris' corner detector (Harris and Stephens, 1988), as Halide's app ``harris`` stages it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autotune.tensor_expr.expr import Expr
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
from autotune.tensor_expr.tensor import Tensor, compute, placeholder
from autotune.tensor_expr.workload import Workload

_SMOOTH, _DERIVE, _WINDOW = (1 / 12, 2 / 12, 1 / 12), (-1.0, 0.0, 1.0), (1.0, 1.0, 1.0)


@register(
    "harris",
    "how much each pixel of a colour image is a corner",
    (*SIZE_PARAMS, Param("k", 0.04, "how much an edge counts against a corner")),
    family=FAMILY,
)
def harris(height: Any, width: Any, dtype: str, k: Any) -> Workload:
    """``y = det - k * trace**2`` of the matrix of the sums over 3x3 pixels of ``dx*dx``, ``dx*dy`` and ``dy*dy``.

    x: [3, height, width]; dx and dy are Sobel's derivatives of its brightness, whose edge is repeated beyond the
    border. Raises ``UsageError`` for sizes below 1.
    """
    h, w, edges = size("height", height), size("width", width), number("k", k)
    one_of("dtype", dtype, DTYPES)
    x = placeholder((3, h, w), dtype, "x")
    around = bordered(luma(x), 2, "border")

    def sobel(name: str, rows: tuple[float, ...], columns: tuple[float, ...]) -> Tensor:
        return compute(
            (h + 2, w + 2),
            lambda i, j: weighted(rows, lambda p: weighted(columns, lambda q: around[i + p, j + q])),
            name=name,
        )

    def summed(name: str, a: Tensor, b: Tensor) -> Tensor:
        product = compute(a.shape, lambda i, j: a[i, j] * b[i, j], name=f"{name}.product")
        return compute(
            (h, w),
            lambda i, j: weighted(_WINDOW, lambda p: weighted(_WINDOW, lambda q: product[i + p, j + q])),
            name=name,
        )

    dx, dy = sobel("dx", _SMOOTH, _DERIVE), sobel("dy", _DERIVE, _SMOOTH)
    xx, xy, yy = summed("xx", dx, dx), summed("xy", dx, dy), summed("yy", dy, dy)

    def response(i: Expr, j: Expr) -> Expr:
        trace = xx[i, j] + yy[i, j]
        return xx[i, j] * yy[i, j] - xy[i, j] * xy[i, j] - trace * trace * edges

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        bright = np.pad(luma_of(inputs), 2, mode="edge")
        derivatives = [
            filtered(filtered(bright, rows, 0), columns, 1)[1:-1, 1:-1]
            for rows, columns in ((_SMOOTH, _DERIVE), (_DERIVE, _SMOOTH))
        ]
        across, down = derivatives
        a, b, c = (
            filtered(filtered(product, _WINDOW, 0), _WINDOW, 1)[1:-1, 1:-1]
            for product in (across * across, across * down, down * down)
        )
        return np.asarray(a * c - b * b - edges * (a + c) ** 2)

    params: dict[str, Value] = {"height": h, "width": w, "dtype": dtype, "k": edges}
    return Workload(compute((h, w), response, name="y"), "harris", params, reference, domains={"x": (0.0, 1.0)})
