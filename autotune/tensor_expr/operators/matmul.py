"""Matrix product, with either operand transposed and the right one optionally constant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autotune.tensor_expr.operators.registry import Param, Value, register, size
from autotune.tensor_expr.operators.shared.element_types import NUMBERS, check_dtype, narrowed, widen, widened
from autotune.tensor_expr.tensor import compute, placeholder, reduce_axis, sum
from autotune.tensor_expr.workload import Workload


@register(
    "matmul",
    "matrix product of a [m, k] and b [k, n]; neither is constant unless --constant-b",
    (
        Param("m", 1024, "rows of the result"),
        Param("n", 1024, "columns of the result"),
        Param("k", 1024, "length of the sums"),
        Param("transpose_a", False, "a is given as [k, m]"),
        Param("transpose_b", False, "b is given as [n, k]"),
        Param("constant_b", False, "b is known ahead of time and may be packed once"),
        Param("dtype", "float32", f"one of {', '.join(NUMBERS)}"),
    ),
    family="matrix product",
)
def matmul(
    m: Any, n: Any, k: Any, transpose_a: bool, transpose_b: bool, constant_b: bool, dtype: str
) -> Workload:  # fmt: skip
    """``c[i, j] = sum(k) a[i, k] * b[k, j]``; ``UsageError`` for sizes below 1 or another dtype."""
    rows, columns, depth = size("m", m), size("n", n), size("k", k)
    check_dtype("matmul", dtype, NUMBERS)
    a = placeholder((depth, rows) if transpose_a else (rows, depth), dtype, "a")
    b = placeholder((columns, depth) if transpose_b else (depth, columns), dtype, "b", constant=constant_b)
    r = reduce_axis(depth, "r")
    c = compute(
        (rows, columns),
        lambda i, j: sum(
            widen(a[r, i] if transpose_a else a[i, r]) * widen(b[j, r] if transpose_b else b[r, j]),
            axis=r,
        ),
        name="c",
    )

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        wide = widened(inputs)
        left, right = wide["a"], wide["b"]
        result: np.ndarray = (left.T if transpose_a else left) @ (right.T if transpose_b else right)
        return result

    params: dict[str, Value] = {
        "m": rows, "n": columns, "k": depth, "transpose_a": bool(transpose_a), "transpose_b": bool(transpose_b),
        "constant_b": bool(constant_b), "dtype": dtype,
    }  # fmt: skip
    return Workload(narrowed(c, dtype), "matmul", params, reference, 2 * rows * columns * depth)
