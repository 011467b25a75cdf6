"""Which dtypes an operator takes, and what its NumPy reference computes in."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import Expr, cast
from autotune.tensor_expr.operators.shared.rows import elementwise
from autotune.tensor_expr.tensor import Tensor

FLOATS = ("float32", "float64", *dtypes.NARROW)
NUMBERS = (*FLOATS, "int32")


def check_dtype(operator: str, dtype: str, allowed: tuple[str, ...]) -> str:
    """The dtype, or ``UsageError`` naming those that the operator takes."""
    if dtype not in allowed:
        raise UsageError(f"{operator} takes dtype {', '.join(allowed)}, got {dtype!r}")
    return dtype


def widen(value: Expr) -> Expr:
    """The value as sums and functions take it: narrow floating point in float32, others as they are."""
    return cast(value, dtypes.computed(value.dtype))


def narrowed(tensor: Tensor, dtype: str) -> Tensor:
    """The tensor rounded to the operator's dtype; itself where it has it."""
    if tensor.dtype == dtype:
        return tensor
    return elementwise(tensor.shape, lambda index: cast(tensor[index], dtype), "rounded")


def widened(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays as the reference computes with them: floating point in float64, others as they are."""
    return {n: a.astype(np.float64) if dtypes.is_float(a.dtype.name) else a for n, a in inputs.items()}
