"""Padding by a value or by what lies inside the tensor, as ONNX Pad defines it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.borders import BORDERS, MODES
from autotune.tensor_expr.expr import Expr, all_of, select
from autotune.tensor_expr.operators import registry
from autotune.tensor_expr.operators.registry import Param, Value, integers, number, one_of, register, text
from autotune.tensor_expr.tensor import compute, placeholder
from autotune.tensor_expr.workload import Workload


@dataclass(frozen=True, slots=True)
class _Axis:
    """How one axis is padded; negative numbers of elements are cut off first."""

    extent: int
    before: int
    after: int

    @property
    def first(self) -> int:
        """The first element of the input that is kept."""
        return max(-self.before, 0)

    @property
    def kept(self) -> int:
        return self.extent - self.first - max(-self.after, 0)

    def source(self, mode: str, place: Expr) -> Expr:
        """The input's index for a place, which counts from the first element that is kept."""
        if mode in BORDERS and max(self.before, self.after) > 0:
            place = BORDERS[mode](place, self.kept, False)
        return self.first + place

    def tests(self, place: Expr) -> list[Expr]:
        """What holds of places that lie inside."""
        return [*([place >= 0] if self.before > 0 else []), *([place < self.kept] if self.after > 0 else [])]


@register(
    "pad",
    "a tensor with elements added around it",
    (
        Param("shape", "1,64,56,56", "shape of the input"),
        Param("pads", "0,0,3,3,0,0,3,3", "how many before each axis, then how many after each; negative ones remove"),
        Param("mode", "constant", f"one of {', '.join(MODES)}"),
        Param("value", 0.0, "what constant padding holds"),
        Param("dtype", "float32", f"one of {', '.join(dtypes.DTYPES)}"),
    ),
    family="data movement",
)
def pad(shape: Any, pads: Any, mode: str, value: Any, dtype: str) -> Workload:
    """``y[i, ..] = x[i - before, ..]`` inside; outside the value (constant), the nearest element (edge), the one
    mirrored at the border (reflect), or the one a whole extent away (wrap).

    x: shape. Raises ``UsageError`` for pads that are not two an axis, that leave nothing, a reflection wider than the
    axis, or a fractional value for integers.
    """
    extents, around = registry.shape("shape", shape), integers("pads", pads)
    rank = len(extents)
    one_of("mode", mode, MODES)
    one_of("dtype", dtype, dtypes.DTYPES)
    if len(around) != 2 * rank:
        raise UsageError(f"pads has {len(around)} entries; {rank} dimensions take {2 * rank}, all before and all after")
    sides = [_Axis(n, b, a) for n, b, a in zip(extents, around[:rank], around[rank:], strict=True)]
    for dim, side in enumerate(sides):
        if side.kept < 1:
            raise UsageError(f"pads leave {side.kept} of the {side.extent} elements of axis {dim}; 1 must be left")
        if mode == "reflect" and max(side.before, side.after) >= side.kept:
            raise UsageError(f"reflect pads axis {dim} by at most {side.kept - 1}, one less than its elements")
    filler = number("value", value)
    if not dtypes.is_float(dtype) and filler != int(filler):
        raise UsageError(f"value is {filler}; {dtype} takes whole numbers")
    x = placeholder(extents, dtype, "x")

    def element(*i: Expr) -> Expr:
        places = [index - max(side.before, 0) for index, side in zip(i, sides, strict=True)]
        read = x[tuple(side.source(mode, place) for side, place in zip(sides, places, strict=True))]
        if mode != "constant":
            return read
        inside = [test for side, place in zip(sides, places, strict=True) for test in side.tests(place)]
        return select(all_of(*inside), read, filler if dtypes.is_float(dtype) else int(filler)) if inside else read

    y = compute([side.kept + max(side.before, 0) + max(side.after, 0) for side in sides], element, name="y")

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        kept = inputs["x"][tuple(slice(side.first, side.first + side.kept) for side in sides)]
        widths = [(max(side.before, 0), max(side.after, 0)) for side in sides]
        options: dict[str, Any] = {"constant_values": filler} if mode == "constant" else {}
        return np.asarray(np.pad(kept, widths, mode=mode, **options))  # type: ignore[call-overload]

    params: dict[str, Value] = {
        "shape": text(extents), "pads": text(around), "mode": mode, "value": filler, "dtype": dtype
    }  # fmt: skip
    return Workload(y, "pad", params, reference, 0)
