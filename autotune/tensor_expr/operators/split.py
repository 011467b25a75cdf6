"""One part of a tensor that is split along an axis, as ONNX Split defines the parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.operators import registry
from autotune.tensor_expr.operators.registry import Param, Value, register, size
from autotune.tensor_expr.operators.shared.indices import replaced
from autotune.tensor_expr.tensor import compute, placeholder
from autotune.tensor_expr.workload import Workload


@register(
    "split",
    "one of the parts of a tensor cut along an axis",
    (
        Param("shape", "1,128,28,28", "shape of the input"),
        Param("axis", 1, "the axis; negative ones count from the end"),
        Param("sizes", "64,64", "sizes of the parts along the axis"),
        Param("part", 1, "which part is computed, from 0"),
        Param("dtype", "float32", f"one of {', '.join(dtypes.DTYPES)}"),
    ),
    family="data movement",
)
def split(shape: Any, axis: Any, sizes: Any, part: Any, dtype: str) -> Workload:
    """``y[.., i, ..] = x[.., start + i, ..]`` where ``start`` is the sum of the sizes of the parts before.

    x: shape. A kernel computes one part. Raises ``UsageError`` for sizes that do not add up to the axis, or a part
    that does not exist.
    """
    extents = registry.shape("shape", shape)
    dim, lengths = registry.axis("axis", axis, len(extents)), registry.shape("sizes", sizes)
    registry.one_of("dtype", dtype, dtypes.DTYPES)
    if sum(lengths) != extents[dim]:
        raise UsageError(f"sizes add up to {sum(lengths)}, but axis {dim} has {extents[dim]} elements")
    number = size("part", part, 0)
    if number >= len(lengths):
        raise UsageError(f"part is {number}; with {len(lengths)} parts it is from 0 to {len(lengths) - 1}")
    start = sum(lengths[:number])
    x = placeholder(extents, dtype, "x")
    y = compute(
        replaced(extents, dim, lengths[number]),
        lambda *i: x[replaced(i, dim, i[dim] + start)],
        name="y",
    )

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.split(inputs["x"], np.cumsum(lengths)[:-1], axis=dim)[number]

    params: dict[str, Value] = {
        "shape": registry.text(extents), "axis": dim, "sizes": registry.text(lengths), "part": number, "dtype": dtype
    }  # fmt: skip
    return Workload(y, "split", params, reference, 0)
