"""Values as the Python that the interpreter runs spells them: constants, roundings and casts by dtype."""

from __future__ import annotations

from math import isinf, isnan

import numpy as np

from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import Const


def literal(node: Const) -> str:
    """A constant, as its dtype holds it."""
    if not dtypes.is_float(node.dtype):
        return str(node.value) if isinstance(node.value, bool) or node.value >= 0 else f"({node.value})"
    value = dtypes.converted(np.asarray(node.value, np.float64), node.dtype).item()
    if isnan(value):
        return "NAN"
    if isinf(value):
        return "INF" if value > 0 else "(-INF)"
    return f"({value!r})"


def computed(dtype: str) -> str:
    """The floating point type that arithmetic on a dtype is done in."""
    return "float64" if dtype == "float64" else "float32"


def rounded(text: str, dtype: str) -> str:
    """The value of an operation as its dtype holds it: integers wrap around."""
    if dtypes.is_float(dtype):
        return text if dtype == "float64" else f"float32({text})"
    info = np.iinfo(dtype)
    wrapped = f"& {2**info.bits - 1}"
    return f"({text} {wrapped})" if info.min == 0 else f"((({text} + {-info.min}) {wrapped}) - {-info.min})"


def narrowed(text: str, dtype: str) -> str:
    """A value as memory of a dtype holds it: half precision is rounded to there."""
    return f"{dtype}({text})" if dtype in dtypes.NARROW else text


def cast(text: str, source: str, target: str) -> str:
    """A conversion: float to integer saturates, integer to integer wraps around."""
    if target == "bool":
        return f"({text} != 0)"
    if dtypes.is_float(target):
        return f"{target}({text})" if target in dtypes.NARROW else rounded(f"float({text})", target)
    if dtypes.is_float(source):
        info = np.iinfo(target)
        return f"saturated({text}, {info.min}, {info.max})"
    return rounded(f"int({text})" if source == "bool" else text, target)
