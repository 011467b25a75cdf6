"""A choice between two elements, as ONNX Where defines it."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import select
from autotune.tensor_expr.operators import registry
from autotune.tensor_expr.operators.registry import Param, Value, one_of, register, text
from autotune.tensor_expr.operators.shared.element_types import widened
from autotune.tensor_expr.operators.shared.indices import aligned, broadcast
from autotune.tensor_expr.tensor import compute, placeholder
from autotune.tensor_expr.workload import Workload


@register(
    "where",
    "a where the condition holds, else b, element by element",
    (
        Param("condition", "1,1,128,128", "shape of the condition"),
        Param("a", "8,12,128,128", "shape of a"),
        Param("b", "1", "shape of b; axes of one element are repeated, missing ones are in front"),
        Param("dtype", "float32", f"one of {', '.join(dtypes.DTYPES)}"),
    ),
    family="element-wise",
)
def where(condition: Any, a: Any, b: Any, dtype: str) -> Workload:
    """``y[i..] = a[i..] if condition[i..] else b[i..]``, broadcast by NumPy's rules; it counts as one operation.

    condition: bool, a, b: dtype, of their shapes; y: of the shape that all broadcast to. Raises ``UsageError`` where
    they do not.
    """
    first, left, right = (registry.shape(n, v) for n, v in (("condition", condition), ("a", a), ("b", b)))
    result = broadcast(first, left, right)
    one_of("dtype", dtype, dtypes.DTYPES)
    test, x, z = placeholder(first, "bool", "condition"), placeholder(left, dtype, "a"), placeholder(right, dtype, "b")
    y = compute(result, lambda *i: select(test[aligned(first, i)], x[aligned(left, i)], z[aligned(right, i)]), name="y")

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        wide = widened(inputs)
        return np.where(wide["condition"], wide["a"], wide["b"])

    params: dict[str, Value] = {"condition": text(first), "a": text(left), "b": text(right), "dtype": dtype}
    return Workload(y, "where", params, reference, prod(result))
