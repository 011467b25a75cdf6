"""The upper or lower triangle of matrices, as ONNX Trilu defines it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import select
from autotune.tensor_expr.operators import registry
from autotune.tensor_expr.operators.registry import MAX_SIZE, Param, Value, one_of, register, size, text
from autotune.tensor_expr.tensor import compute, placeholder
from autotune.tensor_expr.workload import Workload


@register(
    "trilu",
    "the upper or lower triangle of matrices, zeros elsewhere",
    (
        Param("shape", "8,256,256", "shape of the matrices, which are its last two axes"),
        Param("lower", False, "the lower triangle instead of the upper one"),
        Param("k", 0, "the diagonal where the triangle ends, above the main one where positive"),
        Param("dtype", "float32", f"one of {', '.join(dtypes.DTYPES)}"),
    ),
    family="data movement",
)
def trilu(shape: Any, lower: bool, k: Any, dtype: str) -> Workload:
    """``y[.., i, j] = x[.., i, j] if j - i >= k else 0`` (upper) or ``if j - i <= k`` (lower).

    x: shape. Raises ``UsageError`` for fewer than two dimensions.
    """
    extents, diagonal = registry.shape("shape", shape), size("k", k, -MAX_SIZE)
    one_of("dtype", dtype, dtypes.DTYPES)
    if len(extents) < 2:
        raise UsageError(f"shape is {text(extents)}; a matrix has two dimensions")
    x = placeholder(extents, dtype, "x")
    y = compute(
        extents,
        lambda *i: select(i[-1] <= i[-2] + diagonal if lower else i[-1] >= i[-2] + diagonal, x[i], 0),
        name="y",
    )

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return (np.tril if lower else np.triu)(inputs["x"], diagonal)

    params: dict[str, Value] = {"shape": text(extents), "lower": bool(lower), "k": diagonal, "dtype": dtype}
    return Workload(y, "trilu", params, reference, 0)
