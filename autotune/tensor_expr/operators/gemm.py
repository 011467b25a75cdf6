"""General matrix product with scaled addition, as ONNX Gemm and the BLAS define it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autotune.tensor_expr.expr import Expr, ExprLike
from autotune.tensor_expr.operators.registry import Param, Value, number, one_of, register, size
from autotune.tensor_expr.operators.shared.element_types import FLOATS, check_dtype, narrowed, widen, widened
from autotune.tensor_expr.tensor import compute, placeholder, reduce_axis, sum
from autotune.tensor_expr.workload import Workload

ADDENDS = ("full", "row", "column", "scalar", "none")


@register(
    "gemm",
    "alpha * a @ b + beta * c, with either operand transposed and c broadcast",
    (
        Param("m", 512, "rows of the result"),
        Param("n", 512, "columns of the result"),
        Param("k", 512, "length of the sums"),
        Param("alpha", 1.0, "factor of the product"),
        Param("beta", 1.0, "factor of c"),
        Param("transpose_a", False, "a is given as [k, m]"),
        Param("transpose_b", False, "b is given as [n, k]"),
        Param("c", "row", f"shape of c: one of {', '.join(ADDENDS)}"),
        Param("constant_b", False, "b is known ahead of time and may be packed once"),
        Param("dtype", "float32", f"one of {', '.join(FLOATS)}"),
    ),
    family="matrix product",
)
def gemm(
    m: Any, n: Any, k: Any, alpha: Any, beta: Any, transpose_a: bool, transpose_b: bool, c: str, constant_b: bool,
    dtype: str,
) -> Workload:  # fmt: skip
    """``y[i, j] = alpha * sum(k) a[i, k] * b[k, j] + beta * c[i, j]``.

    a: [m, k], b: [k, n], c: [m, n] (full), [n] (row), [m, 1] (column), [1] (scalar) or absent (none). Raises
    ``UsageError`` for sizes below 1, factors that are no finite numbers, another c or another dtype.
    """
    rows, columns, depth = size("m", m), size("n", n), size("k", k)
    scale, weight = number("alpha", alpha), number("beta", beta)
    one_of("c", c, ADDENDS)
    check_dtype("gemm", dtype, FLOATS)
    a = placeholder((depth, rows) if transpose_a else (rows, depth), dtype, "a")
    b = placeholder((columns, depth) if transpose_b else (depth, columns), dtype, "b", constant=constant_b)
    r = reduce_axis(depth, "r")
    product = compute(
        (rows, columns),
        lambda i, j: sum(
            widen(a[r, i] if transpose_a else a[i, r]) * widen(b[j, r] if transpose_b else b[r, j]), axis=r
        ),
        name="product",
    )
    shapes = {"full": (rows, columns), "row": (columns,), "column": (rows, 1), "scalar": (1,)}
    addend = placeholder(shapes[c], dtype, "c") if c != "none" else None

    def body(i: Expr, j: Expr) -> Expr:
        value = product[i, j] * scale
        if addend is None:
            return value
        places: dict[str, tuple[ExprLike, ...]] = {"full": (i, j), "row": (j,), "column": (i, 0), "scalar": (0,)}
        return value + widen(addend[places[c]]) * weight

    y = compute((rows, columns), body, name="y")

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        wide = widened(inputs)
        left, right = wide["a"], wide["b"]
        result: np.ndarray = scale * ((left.T if transpose_a else left) @ (right.T if transpose_b else right))
        return result + weight * wide["c"] if c != "none" else result

    params: dict[str, Value] = {
        "m": rows, "n": columns, "k": depth, "alpha": scale, "beta": weight, "transpose_a": bool(transpose_a),
        "transpose_b": bool(transpose_b), "c": c, "constant_b": bool(constant_b), "dtype": dtype,
    }  # fmt: skip
    return Workload(
        narrowed(y, dtype), "gemm", params, reference, rows * columns * (2 * depth + 1 + (2 if c != "none" else 0))
    )
