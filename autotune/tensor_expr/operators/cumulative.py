"""Sums and products of all elements so far along an axis, as ONNX CumSum and CumProd define them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import Axis, select
from autotune.tensor_expr.operators import registry
from autotune.tensor_expr.operators.registry import Param, Value, one_of, register, text
from autotune.tensor_expr.operators.shared.element_types import widened
from autotune.tensor_expr.operators.shared.indices import replaced
from autotune.tensor_expr.reducers import cumulative
from autotune.tensor_expr.tensor import compute, placeholder
from autotune.tensor_expr.workload import Workload

_DTYPES = (*dtypes.FLOATS, "int32", "int64")
_PARAMS = (
    Param("shape", "512,1024", "shape of the input"),
    Param("axis", 1, "the axis along which elements accumulate; negative ones count from the end"),
    Param("exclusive", False, "an element does not count in its own result"),
    Param("reverse", False, "from the last element to the first"),
    Param("dtype", "float32", f"one of {', '.join(_DTYPES)}"),
)


@register("cumsum", "sums of all elements so far along an axis", _PARAMS, family="reduction")
def cumsum(shape: Any, axis: Any, exclusive: bool, reverse: bool, dtype: str) -> Workload:
    """``y[a.., i, b..] = sum(k <= i) x[a.., k, b..]``; ``k < i`` where exclusive, ``k >= i`` or ``k > i`` in reverse.

    x, y: shape. Raises ``UsageError`` for an axis that does not exist, or another dtype.
    """
    return _accumulated("cumsum", "sum", 0, np.cumsum, (-1.0, 1.0), shape, axis, exclusive, reverse, dtype)


@register("cumprod", "products of all elements so far along an axis", _PARAMS, family="reduction")
def cumprod(shape: Any, axis: Any, exclusive: bool, reverse: bool, dtype: str) -> Workload:
    """``y[a.., i, b..] = prod(k <= i) x[a.., k, b..]``; ``k < i`` where exclusive, ``k >= i`` or ``k > i`` in reverse.

    x, y: shape. Raises ``UsageError`` for an axis that does not exist, or another dtype.
    """
    return _accumulated("cumprod", "prod", 1, np.cumprod, (0.9, 1.1), shape, axis, exclusive, reverse, dtype)


def _accumulated(
    name: str, by: str, identity: int, reference_of: Callable[..., Any], domain: tuple[float, float], shape: Any,
    axis: Any, exclusive: bool, reverse: bool, dtype: str,
) -> Workload:  # fmt: skip
    extents = registry.shape("shape", shape)
    dim = registry.axis("axis", axis, len(extents))
    one_of("dtype", dtype, _DTYPES)
    x, last = placeholder(extents, dtype, "x"), extents[dim] - 1

    def element(*i: Axis) -> Any:
        """The scan runs upwards: in reverse, step t takes element ``last - t``."""
        step: Any = i[dim] - 1 if exclusive else i[dim]
        value = x[replaced(i, dim, last - step if reverse else step)]
        return cumulative(by, select(i[dim] > 0, value, identity) if exclusive else value, axis=i[dim])

    y = compute(extents, element, name="steps" if reverse else "y")
    if reverse:
        steps = y
        y = compute(extents, lambda *i: steps[replaced(i, dim, last - i[dim])], name="y")

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        wide = widened(inputs)["x"]
        ordered = np.flip(wide, dim) if reverse else wide
        if exclusive:
            ordered = np.roll(ordered, 1, dim)
            ordered[(slice(None),) * dim + (0,)] = identity
        result = reference_of(ordered, axis=dim, dtype=wide.dtype)
        return np.asarray(np.flip(result, dim) if reverse else result)

    params: dict[str, Value] = {
        "shape": text(extents), "axis": dim, "exclusive": bool(exclusive), "reverse": bool(reverse), "dtype": dtype
    }  # fmt: skip
    domains = {"x": domain} if dtypes.is_float(dtype) else {}
    return Workload(y, name, params, reference, prod(extents), domains)
