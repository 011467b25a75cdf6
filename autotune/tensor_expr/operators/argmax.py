"""Where the largest or the smallest element lies along an axis, as ONNX ArgMax and ArgMin define it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from autotune.tensor_expr import dtypes, reducers
from autotune.tensor_expr.expr import Expr
from autotune.tensor_expr.operators import registry
from autotune.tensor_expr.operators.registry import Param, Value, one_of, register, text
from autotune.tensor_expr.operators.shared.element_types import widened
from autotune.tensor_expr.operators.shared.indices import replaced
from autotune.tensor_expr.tensor import compute, placeholder, reduce_axis
from autotune.tensor_expr.workload import Workload

_DTYPES = (*dtypes.FLOATS, *dtypes.INTEGERS)
_PARAMS = (
    Param("shape", "512,1024", "shape of the input"),
    Param("axis", 1, "the axis that is searched; negative ones count from the end"),
    Param("keepdims", False, "the result keeps one element along the axis"),
    Param("dtype", "float32", f"one of {', '.join(_DTYPES)}"),
)


@register("argmax", "index of the largest element along an axis", _PARAMS, family="reduction")
def argmax(shape: Any, axis: Any, keepdims: bool, dtype: str) -> Workload:
    """``y[a.., b..]`` is the first k for which ``x[a.., k, b..]`` is largest along the axis.

    x: shape; y: int64, the shape without the axis, or with one element along it where keepdims is set; a single index
    has the shape (1,). Raises ``UsageError`` for an axis that does not exist, or another dtype.
    """
    return _located("argmax", reducers.argmax, np.argmax, shape, axis, keepdims, dtype)


@register("argmin", "index of the smallest element along an axis", _PARAMS, family="reduction")
def argmin(shape: Any, axis: Any, keepdims: bool, dtype: str) -> Workload:
    """``y[a.., b..]`` is the first k for which ``x[a.., k, b..]`` is smallest along the axis.

    x: shape; y: int64, the shape without the axis, or with one element along it where keepdims is set; a single index
    has the shape (1,). Raises ``UsageError`` for an axis that does not exist, or another dtype.
    """
    return _located("argmin", reducers.argmin, np.argmin, shape, axis, keepdims, dtype)


def _located(
    name: str, reducer: Callable[..., Any], reference_of: Callable[..., Any], shape: Any, axis: Any, keepdims: bool,
    dtype: str,
) -> Workload:  # fmt: skip
    extents = registry.shape("shape", shape)
    dim = registry.axis("axis", axis, len(extents))
    one_of("dtype", dtype, _DTYPES)
    x, r = placeholder(extents, dtype, "x"), reduce_axis(extents[dim], "r")
    kept = replaced(extents, dim, 1) if keepdims else replaced(extents, dim) or (1,)

    def body(*i: Expr) -> tuple[Expr, Expr]:
        inside = len(kept) == len(extents)  # an axis of one element stands where the one that is searched was
        found: tuple[Expr, Expr] = reducer(x[replaced(i, dim, r) if inside else (*i[:dim], r, *i[dim:])], axis=r)
        return found

    _, index = compute(kept, body, name="best")

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.asarray(reference_of(widened(inputs)["x"], axis=dim), np.int64).reshape(kept)

    params: dict[str, Value] = {"shape": text(extents), "axis": dim, "keepdims": bool(keepdims), "dtype": dtype}
    y = compute(kept, lambda *i: index[i], name="y")
    return Workload(y, name, params, reference, prod(extents))
