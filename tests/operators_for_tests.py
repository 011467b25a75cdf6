"""Small operators with odd sizes that several tests schedule."""

from __future__ import annotations

from autotune.tensor_expr import Tensor, compute, placeholder
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
