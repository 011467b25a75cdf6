"""Concatenation along one axis, as ONNX Concat defines it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import Expr, select
from autotune.tensor_expr.operators.registry import Param, Value, axis, one_of, register, shape, text
from autotune.tensor_expr.operators.shared.indices import replaced
from autotune.tensor_expr.tensor import Tensor, compute, placeholder
from autotune.tensor_expr.workload import Workload


@register(
    "concat",
    "tensors joined along one axis",
    (
        Param("shapes", "1,64,28,28;1,32,28,28;1,32,28,28", "shapes of the inputs, separated by semicolons"),
        Param("axis", 1, "the axis; negative ones count from the end"),
        Param("dtype", "float32", f"one of {', '.join(dtypes.DTYPES)}"),
    ),
    family="data movement",
)
def concat(shapes: Any, axis: Any, dtype: str) -> Workload:
    """``y[.., i, ..] = x_p[.., i - start_p, ..]`` where ``start_p <= i < start_(p+1)``.

    x0, x1, ...: shapes that agree but along the axis, where the result has the sum of their sizes. Raises
    ``UsageError`` for shapes that disagree or an axis that does not exist.
    """
    parts = shapes.split(";") if isinstance(shapes, str) else list(shapes)
    given = [shape("shapes", part) for part in parts]
    first, dim = given[0], _dim(axis, given[0])
    for number, other in enumerate(given):
        if len(other) != len(first) or any(
            a != b for d, (a, b) in enumerate(zip(first, other, strict=True)) if d != dim
        ):
            raise UsageError(
                f"input {number} has the shape {text(other)}, which must agree with {text(first)} but along axis {dim}"
            )
    one_of("dtype", dtype, dtypes.DTYPES)
    inputs = [placeholder(each, dtype, f"x{number}") for number, each in enumerate(given)]
    *starts, end = accumulate((each[dim] for each in given), initial=0)
    y = compute(replaced(first, dim, end), lambda *i: _chosen(inputs, starts, i, dim), name="y")

    def reference(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.concatenate([arrays[tensor.name] for tensor in inputs], axis=dim)

    params: dict[str, Value] = {"shapes": ";".join(map(text, given)), "axis": dim, "dtype": dtype}
    return Workload(y, "concat", params, reference, 0)


def _dim(value: Any, first: Sequence[int]) -> int:
    return axis("axis", value, len(first))


def _chosen(inputs: Sequence[Tensor], starts: Sequence[int], index: Sequence[Expr], dim: int) -> Expr:
    """The element of the input whose part the index lies in, found by bisection: log2(inputs) tests an element."""
    if len(inputs) == 1:
        return inputs[0][replaced(index, dim, index[dim] - starts[0])]
    half = len(inputs) // 2
    before = _chosen(inputs[:half], starts[:half], index, dim)
    return select(index[dim] < starts[half], before, _chosen(inputs[half:], starts[half:], index, dim))
