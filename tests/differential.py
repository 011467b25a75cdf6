"""A schedule beside NumPy, for tests of all kinds: interpreted, and compiled."""

from __future__ import annotations

import numpy as np

from autotune.fuzz import check
from autotune.fuzz.check import KERNEL_THREADS as THREADS
from autotune.fuzz.check import compare
from autotune.tensor_expr import Tensor, Workload

__all__ = ["THREADS", "compare", "inputs_of"]


def inputs_of(output: Tensor, seed: int = 0) -> dict[str, np.ndarray]:
    """Inputs by name, on which float32 and float64 mostly agree exactly."""
    return check.inputs_of(Workload(output), seed)
