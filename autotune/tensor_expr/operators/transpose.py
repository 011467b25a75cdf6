"""Permutation of axes, as ONNX Transpose defines it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.operators import registry
from autotune.tensor_expr.operators.registry import Param, Value, axes, one_of, register, text
from autotune.tensor_expr.tensor import compute, placeholder
from autotune.tensor_expr.workload import Workload


@register(
    "transpose",
    "a tensor with its axes in another order",
    (
        Param("shape", "1,64,56,56", "shape of the input"),
        Param("perm", "0,2,3,1", "the input's axis that each axis of the result is; empty reverses them"),
        Param("dtype", "float32", f"one of {', '.join(dtypes.DTYPES)}"),
    ),
    family="data movement",
)
def transpose(shape: Any, perm: Any, dtype: str) -> Workload:
    """``y[i_0, i_1, ..] = x[..]`` where index ``d`` of y is index ``perm[d]`` of x.

    x: shape. Raises ``UsageError`` for a perm that is no permutation of the axes.
    """
    extents = registry.shape("shape", shape)
    order = axes("perm", perm, len(extents)) or tuple(reversed(range(len(extents))))
    one_of("dtype", dtype, dtypes.DTYPES)
    if len(order) != len(extents):
        raise UsageError(f"perm has {len(order)} axes; the {len(extents)} dimensions of the input take each once")
    x = placeholder(extents, dtype, "x")
    y = compute(
        [extents[dim] for dim in order],
        lambda *i: x[tuple(i[order.index(dim)] for dim in range(len(extents)))],
        name="y",
    )

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return inputs["x"].transpose(order)

    params: dict[str, Value] = {"shape": text(extents), "perm": text(order), "dtype": dtype}
    return Workload(y, "transpose", params, reference, 0)
