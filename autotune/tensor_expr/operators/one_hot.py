"""One-hot vectors, as ONNX OneHot defines them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import Expr, cast, const, select
from autotune.tensor_expr.operators import registry
from autotune.tensor_expr.operators.registry import Param, Value, number, one_of, register, size, text
from autotune.tensor_expr.operators.shared.indices import replaced
from autotune.tensor_expr.tensor import compute, placeholder
from autotune.tensor_expr.workload import Workload


@register(
    "one_hot",
    "an array of indices as vectors with one value on",
    (
        Param("shape", "64,128", "shape of the indices"),
        Param("depth", 100, "length of the vectors"),
        Param("axis", -1, "where the vectors lie in the result; negative ones count from its end"),
        Param("on", 1.0, "the value at the index"),
        Param("off", 0.0, "the value elsewhere"),
        Param("dtype", "float32", f"one of {', '.join(dtypes.DTYPES)}"),
    ),
    family="data movement",
)
def one_hot(shape: Any, depth: Any, axis: Any, on: Any, off: Any, dtype: str) -> Workload:
    """``y[a.., d, b..] = on if indices[a.., b..] == d else off``; negative indices count from the end.

    indices: shape, int64; one outside of [-depth, depth) turns nothing on. Raises ``UsageError`` for an axis outside of
    the result.
    """
    extents, length = registry.shape("shape", shape), size("depth", depth)
    dim = registry.axis("axis", axis, len(extents) + 1)
    values = number("on", on), number("off", off)
    one_of("dtype", dtype, dtypes.DTYPES)
    indices = placeholder(extents, dtypes.INDEX, "indices")

    def element(*i: Expr) -> Expr:
        index = indices[replaced(i, dim)]
        found = select(index < 0, index + length, index) == i[dim]
        return select(found, *(cast(const(value, "float64"), dtype) for value in values))

    y = compute((*extents[:dim], length, *extents[dim:]), element, name="y")

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        places = np.arange(length).reshape([-1 if d == dim else 1 for d in range(len(extents) + 1)])
        index = np.expand_dims(inputs["indices"], dim)
        return np.where((index == places) | (index + length == places), *values)

    params: dict[str, Value] = {
        "shape": text(extents), "depth": length, "axis": dim, "on": values[0], "off": values[1], "dtype": dtype
    }  # fmt: skip
    return Workload(y, "one_hot", params, reference, 0, {"indices": (-length, length)})
