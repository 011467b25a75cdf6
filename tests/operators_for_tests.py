"""Small operators with odd sizes that several tests schedule."""

from __future__ import annotations

from autotune.tensor_expr import Tensor, compute, placeholder, reduce_axis
from autotune.tensor_expr import sum as total
from autotune.tensor_expr.operators import get_operator


def double(rows: int = 13, columns: int = 7) -> Tensor:
    """``y = x * 2``."""
    x = placeholder((rows, columns), "float32", "x")
    return compute((rows, columns), lambda i, j: x[i, j] * 2, name="y")


def chain() -> Tensor:
    """A stage ``a`` and a stencil ``b`` over it."""
    x = placeholder((9, 11), "float32", "x")
    a = compute((9, 11), lambda i, j: x[i, j] + 1, name="a")
    return compute((9, 10), lambda i, j: a[i, j] * a[i, j + 1], name="b")


def matmul() -> Tensor:
    """``c = a @ b`` with a constant ``b``."""
    return get_operator("matmul")(m=7, n=21, k=5, constant_b=True).output


def row_sums(rows: int = 5, columns: int = 37) -> Tensor:
    """``c``, the sums of the rows of ``x``."""
    x = placeholder((rows, columns), "float32", "x")
    k = reduce_axis(columns, "k")
    return compute((rows,), lambda i: total(x[i, k], axis=k), name="c")


def transposed_copy() -> Tensor:
    """A stage ``a``, and ``b`` that reads it element by element with its axes exchanged."""
    x = placeholder((9, 11), "float32", "x")
    a = compute((9, 11), lambda i, j: x[i, j] + 1, name="a")
    return compute((11, 9), lambda p, q: a[q, p] * 2, name="b")


def window_sums() -> Tensor:
    """``c``, the sums of windows of 3 by 3."""
    x = placeholder((7, 9), "float32", "x")
    u, v = reduce_axis(3, "u"), reduce_axis(3, "v")
    return compute((5, 7), lambda i, j: total(x[i + u, j + v], axis=[u, v]), name="c")
