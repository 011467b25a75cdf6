"""Element types, by their NumPy names (bfloat16's comes from ml_dtypes), and what conversions between them mean.

float16 and bfloat16 are *narrow*: memory holds 16 bits, arithmetic is float32's. A value is rounded to nearest, ties to
even, where it is stored to memory and where it is cast; while it stays in registers (an inlined stage) it may keep the
precision of float32. Sums and products over narrow values are float32, so that what they add up to does not depend on
where the schedule keeps it; a stage of its own casts the result.

Two operands of different dtypes are promoted by NumPy's rules, which for the dtypes that exist here are: the dtype of
row and column is

=========  =========  =========  =========  =========  =========  =========  =========  =========  =========
..         bool       uint8      int8       int16      int32      int64      float16    bfloat16   float32
=========  =========  =========  =========  =========  =========  =========  =========  =========  =========
uint8      uint8      uint8
int8       int8       int16      int8
int16      int16      int16      int16      int16
int32      int32      int32      int32      int32      int32
int64      int64      int64      int64      int64      int64      int64
float16    float16    float16    float16    float32    float64    float64    float16
bfloat16   bfloat16   bfloat16   bfloat16   float32    float64    float64    float32    bfloat16
float32    float32    float32    float32    float32    float64    float64    float32    float32    float32
float64    float64    float64    float64    float64    float64    float64    float64    float64    float64
=========  =========  =========  =========  =========  =========  =========  =========  =========  =========

A conversion (``cast``) from floating point to an integer drops the fraction and saturates, NaN giving 0; from an
integer to a narrower one it wraps around; to floating point it rounds to nearest (64-bit integers to float64 first
where the target is narrow); to bool it asks whether the value is other than 0, so that NaN is true.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np

from autotune.errors import UsageError

NARROW = ("float16", "bfloat16")
FLOATS = ("float32", "float64", *NARROW)
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


def computed(dtype: str) -> str:
    """The dtype in which arithmetic on values of this one is done."""
    return "float32" if dtype in NARROW else dtype


def itemsize(dtype: str) -> int:
    """Bytes of one element."""
    return int(np.dtype(dtype).itemsize)


def computed_size(dtype: str) -> int:
    """Bytes of one element in a register."""
    return itemsize(computed(dtype))


def promote(a: str, b: str) -> str:
    """The dtype of an operation on both, by the table above."""
    if a == b:
        return a
    if "bfloat16" not in (a, b):
        return check(np.promote_types(a, b).name)
    other = b if a == "bfloat16" else a
    if other == "float16":
        return "float32"
    wider = promote("float16", other)  # bfloat16 meets all others as float16 does
    return "bfloat16" if wider == "float16" else wider


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


def finite_range(dtype: str) -> tuple[float | int, float | int]:
    """The smallest and the largest finite value."""
    if not is_float(dtype):
        return lowest(dtype), highest(dtype)
    largest = float(ml_dtypes.finfo(dtype).max)
    return -largest, largest


def converted(values: np.ndarray, dtype: str) -> np.ndarray:
    """The values cast to a dtype, as arrays of the reference hold them: floating point in float64."""
    if is_float(dtype):
        return _rounded(values, dtype)
    if dtype == "bool" or values.dtype.kind != "f":
        return values.astype(dtype)
    info = np.iinfo(dtype)
    low, high = values < float(info.min), values >= float(info.max) + 1  # int64's maximum is no float64
    inside = np.where(low | high | np.isnan(values), 0, values).astype(dtype)
    least, most = np.asarray(info.min, dtype), np.asarray(info.max, dtype)
    return np.where(low, least, np.where(high, most, inside))


def _rounded(values: np.ndarray, dtype: str) -> np.ndarray:
    if values.dtype.kind != "f" and dtype not in NARROW:
        return values.astype(dtype).astype(np.float64)
    wide = np.asarray(values, np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        return (_rounded_to_odd(wide) if dtype == "bfloat16" else wide).astype(dtype).astype(np.float64)


def _rounded_to_odd(wide: np.ndarray) -> np.ndarray:
    """float32 values that rounding once more takes to where rounding ``wide`` directly would.

    What is inexact goes towards zero and gets the last bit 1, which keeps it off the midpoints of narrower types.
    Source: S. Boldo and G. Melquiond, Emulation of FMA and correctly rounded sums (2008).
    """
    near = wide.astype(np.float32)
    inexact = (near != wide) & ~np.isnan(wide)
    above = np.abs(near) > np.abs(wide)
    bits = near.view(np.int32)
    return np.asarray(np.where(inexact, (bits - above) | 1, bits), np.int32).view(np.float32)
