"""The average under windows that divide an image as evenly as possible into a given number of outputs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from math import prod
from typing import Any

import numpy as np

from autotune.tensor_expr.expr import Expr, ExprLike, all_of, cast, select
from autotune.tensor_expr.operators.registry import Param, register, sizes, text
from autotune.tensor_expr.operators.shared.axes import named, spatial
from autotune.tensor_expr.operators.shared.element_types import FLOATS, narrowed, widen, widened
from autotune.tensor_expr.operators.shared.pooling import IMAGE_PARAMS, read_image
from autotune.tensor_expr.tensor import compute, reduce_axis, sum
from autotune.tensor_expr.workload import Workload


@register(
    "adaptive_average_pool",
    "the average of a [batch, channels, ...] image under windows that make a given number of outputs",
    (
        *IMAGE_PARAMS,
        Param("outputs", "7", "outputs: N, or one for each dimension"),
        Param("dtype", "float32", f"one of {', '.join(FLOATS)}"),
    ),
    family="pooling",
)
def adaptive_average_pool(batch: Any, channels: Any, extents: Any, outputs: Any, dtype: str) -> Workload:
    """``y[n, c, i, ...]`` is the average of ``x[n, c, a, ...]`` for ``i*H // O <= a < ceil((i + 1)*H / O)``.

    x: [batch, channels, *extents], one to three spatial dimensions of H elements each, of which O outputs are made, as
    PyTorch's adaptive pooling does (ONNX has no such operator). Raises ``UsageError`` for sizes below 1 or another
    dtype.
    """
    x, params = read_image("adaptive_average_pool", batch, channels, extents, dtype, FLOATS)
    wanted = sizes("outputs", outputs, len(x.shape) - 2)
    rank = len(wanted)
    windows = list(zip(x.shape[2:], wanted, strict=True))
    widest = [max(end - start for start, end in _bounds(n, o)) for n, o in windows]
    offsets = [reduce_axis(n, name) for n, name in zip(widest, spatial("rd rh rw", rank), strict=True)]
    even = [n % o == 0 for n, o in windows]

    def first(dim: int, output: Expr) -> Expr:
        n, o = windows[dim]
        return output * (n // o) if even[dim] else output * n // o

    def end(dim: int, output: Expr) -> Expr:
        n, o = windows[dim]
        return (output * n + (n + o - 1)) // o

    def summed(b: Expr, c: Expr, *axes: Expr) -> Expr:
        places = [first(dim, axis) + r for dim, (axis, r) in enumerate(zip(axes, offsets, strict=True))]
        inside = [place < end(dim, axes[dim]) for dim, place in enumerate(places) if not even[dim]]
        at = (b, c, *places)
        return sum(select(all_of(*inside), widen(x[at]), 0) if inside else widen(x[at]), axis=tuple(offsets))

    names = ("b", "c", *spatial("l i j", rank))
    total = compute((*x.shape[:2], *wanted), named(names, summed), name="total")

    def divided(*axes: Expr) -> Expr:
        lengths: list[ExprLike] = [
            widest[dim] if even[dim] else end(dim, axis) - first(dim, axis) for dim, axis in enumerate(axes[2:])
        ]
        return total[axes] / cast(reduce(lambda a, b: a * b, lengths), total.dtype)

    y = compute(total.shape, named(names, divided), name="y")

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        result = widened(inputs)["x"]
        for dim, (n, o) in enumerate(windows, 2):
            parts = [result.take(range(*bounds), dim).mean(dim, keepdims=True) for bounds in _bounds(n, o)]
            result = np.concatenate(parts, dim)
        return result

    lengths = (np.diff(_bounds(n, o)).sum() for n, o in windows)
    flops = prod(x.shape[:2]) * (int(prod(lengths)) + prod(wanted))
    return Workload(narrowed(y, dtype), "adaptive_average_pool", {**params, "outputs": text(wanted)}, reference, flops)


def _bounds(extent: int, outputs: int) -> list[tuple[int, int]]:
    """The first element of each output's window, and the one behind its last."""
    return [(i * extent // outputs, -(-(i + 1) * extent // outputs)) for i in range(outputs)]
