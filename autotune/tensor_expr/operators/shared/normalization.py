"""Mean and standard deviation over some dimensions, which normalisations are made of."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr.expr import call
from autotune.tensor_expr.operators.registry import Param, number
from autotune.tensor_expr.operators.shared.element_types import widen
from autotune.tensor_expr.operators.shared.rows import elementwise, reduce_over, row
from autotune.tensor_expr.tensor import Tensor, sum

EPSILON = Param("epsilon", 1e-5, "added to the variance")


def positive(name: str, value: Any) -> float:
    """A number above zero, or ``UsageError`` naming the parameter."""
    found = number(name, value)
    if found <= 0:
        raise UsageError(f"{name} is {found}; it must be above zero")
    return found


def statistics(x: Tensor, dims: Sequence[int], epsilon: float) -> tuple[Tensor, Tensor]:
    """The mean over the dimensions, and ``1 / sqrt(variance + epsilon)``, as ``reduce_over`` shapes them.

    The variance is summed from deviations (two passes over x): the difference of sums that one pass would give loses
    all its digits where the mean is large.
    """
    count = prod(x.shape[dim] for dim in dims)
    total = reduce_over(x.shape, dims, sum, lambda index: widen(x[index]), "total")
    mean = elementwise(total.shape, lambda index: total[index] / count, "mean")
    centered = elementwise(x.shape, lambda index: widen(x[index]) - mean[row(index, dims)], "centered")
    squares = reduce_over(x.shape, dims, sum, lambda index: centered[index] * centered[index], "squares")
    return mean, inverse_deviation(squares, count, epsilon)


def inverse_deviation(squares: Tensor, count: int, epsilon: float) -> Tensor:
    """``1 / sqrt(squares / count + epsilon)``, element by element."""
    return elementwise(squares.shape, lambda index: 1 / call("sqrt", squares[index] / count + epsilon), "inverse")


def normalized(wide: np.ndarray, dims: tuple[int, ...], epsilon: float) -> np.ndarray:
    """The array less its mean, divided by its standard deviation over the dimensions, in NumPy."""
    return np.asarray((wide - wide.mean(dims, keepdims=True)) / np.sqrt(wide.var(dims, keepdims=True) + epsilon))
