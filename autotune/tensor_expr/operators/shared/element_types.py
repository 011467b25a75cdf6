"""Which dtypes an operator takes, and what its NumPy reference computes in."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr import dtypes

FLOATS = ("float32", "float64")
NUMBERS = (*FLOATS, "int32")


def check_dtype(operator: str, dtype: str, allowed: tuple[str, ...]) -> str:
    """The dtype, or ``UsageError`` naming those that the operator takes."""
    if dtype not in allowed:
        raise UsageError(f"{operator} takes dtype {', '.join(allowed)}, got {dtype!r}")
    return dtype


def widened(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays as the reference computes with them: floating point in float64, others as they are."""
    return {n: a.astype(np.float64) if dtypes.is_float(a.dtype.name) else a for n, a in inputs.items()}
