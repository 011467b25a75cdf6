"""The separable 3x3 blur, Halide's first example (Ragan-Kelley et al., PLDI 2013, figure 1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autotune.tensor_expr.operators.registry import one_of, register, size
from autotune.tensor_expr.operators.shared.images import (
    DTYPES,
    FAMILY,
    SIZE_PARAMS,
    bordered,
    filtered,
    weighted,
)
from autotune.tensor_expr.tensor import compute, placeholder
from autotune.tensor_expr.workload import Workload

_BOX = (1 / 3, 1 / 3, 1 / 3)


@register("blur", "the 3x3 box filter of an image, as two stages", SIZE_PARAMS, family=FAMILY)
def blur(height: Any, width: Any, dtype: str) -> Workload:
    """``rows[i, j] = (x[i, j-1] + x[i, j] + x[i, j+1]) / 3``, then ``y[i, j]`` the same of rows i-1, i and i+1.

    x: [height, width], its edge repeated beyond the border. Raises ``UsageError`` for sizes below 1.
    """
    h, w = size("height", height), size("width", width)
    one_of("dtype", dtype, DTYPES)
    x = placeholder((h, w), dtype, "x")
    around = bordered(x, 1, "border")
    rows = compute((h + 2, w), lambda i, j: weighted(_BOX, lambda t: around[i, j + t]), name="rows")
    y = compute((h, w), lambda i, j: weighted(_BOX, lambda t: rows[i + t, j]), name="y")

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return filtered(filtered(inputs["x"].astype(np.float64), _BOX, 1), _BOX, 0)

    return Workload(y, "blur", {"height": h, "width": w, "dtype": dtype}, reference)
