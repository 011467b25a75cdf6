"""Matrix products of a batch, whose dimensions broadcast, as ONNX MatMul defines them."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr.expr import Expr, ExprLike
from autotune.tensor_expr.operators.registry import Param, Value, register, shape, size, text
from autotune.tensor_expr.operators.shared.axes import named
from autotune.tensor_expr.operators.shared.element_types import NUMBERS, check_dtype, narrowed, widen, widened
from autotune.tensor_expr.tensor import compute, placeholder, reduce_axis, sum
from autotune.tensor_expr.workload import Workload


@register(
    "batch_matmul",
    "matrix products of a [batch, m, k] and b [batch, k, n]; batches broadcast",
    (
        Param("batch_a", "12", "dimensions of a before its matrices"),
        Param("batch_b", "12", "dimensions of b before its matrices"),
        Param("m", 128, "rows of the result"),
        Param("n", 128, "columns of the result"),
        Param("k", 64, "length of the sums"),
        Param("transpose_a", False, "a is given as [batch, k, m]"),
        Param("transpose_b", False, "b is given as [batch, n, k]"),
        Param("constant_b", False, "b is known ahead of time and may be packed once"),
        Param("dtype", "float32", f"one of {', '.join(NUMBERS)}"),
    ),
    family="matrix product",
)
def batch_matmul(
    batch_a: Any, batch_b: Any, m: Any, n: Any, k: Any, transpose_a: bool, transpose_b: bool, constant_b: bool,
    dtype: str,
) -> Workload:  # fmt: skip
    """``c[..., i, j] = sum(k) a[..., i, k] * b[..., k, j]``.

    The batches broadcast as in NumPy: aligned at their ends, a dimension of 1 stands for all of the other's. Raises
    ``UsageError`` for sizes below 1, batches that do not broadcast, or another dtype.
    """
    before_a, before_b = shape("batch_a", batch_a), shape("batch_b", batch_b)
    rows, columns, depth = size("m", m), size("n", n), size("k", k)
    check_dtype("batch_matmul", dtype, NUMBERS)
    try:
        batch = np.broadcast_shapes(before_a, before_b)
    except ValueError:
        raise UsageError(f"batch_a ({text(before_a)}) and batch_b ({text(before_b)}) do not broadcast") from None
    a = placeholder((*before_a, *((depth, rows) if transpose_a else (rows, depth))), dtype, "a")
    b = placeholder((*before_b, *((columns, depth) if transpose_b else (depth, columns))), dtype, "b", constant_b)
    r = reduce_axis(depth, "r")

    def at(own: tuple[int, ...], axes: tuple[Expr, ...]) -> tuple[ExprLike, ...]:
        aligned = axes[len(axes) - len(own) :]
        return tuple(axis if size > 1 else 0 for axis, size in zip(aligned, own, strict=True))

    def body(*axes: Expr) -> Expr:
        *outer, i, j = axes
        left = (*at(before_a, tuple(outer)), *((r, i) if transpose_a else (i, r)))
        right = (*at(before_b, tuple(outer)), *((j, r) if transpose_b else (r, j)))
        return sum(widen(a[left]) * widen(b[right]), axis=r)

    names = (*(f"b{dim}" for dim in range(len(batch))), "i", "j")
    c = compute((*batch, rows, columns), named(names, body), name="c")

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        wide = widened(inputs)
        left, right = wide["a"], wide["b"]
        result: np.ndarray = (np.swapaxes(left, -1, -2) if transpose_a else left) @ (
            np.swapaxes(right, -1, -2) if transpose_b else right
        )
        return result

    params: dict[str, Value] = {
        "batch_a": text(before_a), "batch_b": text(before_b), "m": rows, "n": columns, "k": depth,
        "transpose_a": bool(transpose_a), "transpose_b": bool(transpose_b), "constant_b": bool(constant_b),
        "dtype": dtype,
    }  # fmt: skip
    return Workload(narrowed(c, dtype), "batch_matmul", params, reference, 2 * prod(batch) * rows * columns * depth)
