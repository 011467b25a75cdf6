"""Element types, by their NumPy names."""

from __future__ import annotations

import numpy as np

from autotune.errors import UsageError

FLOATS = ("float32", "float64")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8")
UNSIGNED = ("uint8", "bool")
DTYPES = (*FLOATS, *INTEGERS, "bool")
INDEX = "int64"


def check(dtype: str) -> str:
    """The dtype's name, or ``UsageError`` naming the ones that exist."""
    name = str(dtype) if isinstance(dtype, str) else np.dtype(dtype).name
    if name not in DTYPES:
        raise UsageError(f"unknown dtype {name!r}; known: {', '.join(DTYPES)}")
    return name


def is_float(dtype: str) -> bool:
    return dtype in FLOATS


def itemsize(dtype: str) -> int:
    """Bytes of one element."""
    return int(np.dtype(dtype).itemsize)


def promote(a: str, b: str) -> str:
    """The dtype of an operation on both, by NumPy's rules restricted to the dtypes that exist here."""
    return a if a == b else check(np.promote_types(a, b).name)


def lowest(dtype: str) -> float | int:
    """The identity of ``max``."""
    if is_float(dtype):
        return -float("inf")
    return 0 if dtype == "bool" else int(np.iinfo(dtype).min)


def highest(dtype: str) -> float | int:
    """The identity of ``min``."""
    if is_float(dtype):
        return float("inf")
    return 1 if dtype == "bool" else int(np.iinfo(dtype).max)
