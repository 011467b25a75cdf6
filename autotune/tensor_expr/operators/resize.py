"""Resampling of a tensor, as ONNX Resize defines it for given output sizes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import gcd, prod
from typing import Any

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr.expr import Expr, cast
from autotune.tensor_expr.operators import registry
from autotune.tensor_expr.operators.registry import Param, Value, number, one_of, register, text
from autotune.tensor_expr.operators.shared.indices import clamped, replaced
from autotune.tensor_expr.tensor import Tensor, compute, graph, placeholder
from autotune.tensor_expr.workload import Workload

_DTYPES = ("float32", "float64")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where output ``i`` lies in the input: ``(i * step + shift) / unit``, exactly, in whole numbers."""

    step: int
    shift: int
    unit: int

    def floor(self, index: Any, ahead: int = 0, part: int = 1) -> Any:
        """The place plus ``ahead / part``, rounded down; ``part`` at most 2."""
        return (index * (part * self.step) + (part * self.shift + ahead * self.unit)) // (part * self.unit)

    def fraction(self, index: Expr, dtype: str) -> Expr:
        """How far the place lies above its floor, in [0, 1)."""
        return cast((index * self.step + self.shift) % self.unit, dtype) * (1.0 / self.unit)


def _place(mode: str, size: int, new: int) -> _Place:
    """The place for one of ONNX's coordinate modes, of ``size`` elements resampled to ``new``."""
    if mode == "align_corners":
        step, shift, unit = (size - 1, 0, new - 1) if new > 1 else (0, 0, 1)
    elif mode == "asymmetric":
        step, shift, unit = size, 0, new
    else:  # half_pixel: (i + 1/2) * size / new - 1/2
        step, shift, unit = 2 * size, size - new, 2 * new
        if mode == "pytorch_half_pixel" and new == 1:
            step, shift, unit = 0, 0, 1
    common = gcd(step, shift, unit)
    return _Place(step // common, shift // common, unit // common)


_COORDINATES = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
# The nearest element: the place plus a quotient, rounded down after ONNX's rule; ``unit - 1`` more for rounding up.
_NEAREST: Mapping[str, Callable[[_Place, Any], Any]] = {
    "round_prefer_floor": lambda place, i: -_Place(-place.step, -place.shift, place.unit).floor(i, 1, 2),
    "round_prefer_ceil": lambda place, i: place.floor(i, 1, 2),
    "floor": lambda place, i: place.floor(i),
    "ceil": lambda place, i: -_Place(-place.step, -place.shift, place.unit).floor(i),
}


def _linear(t: Any, a: float) -> list[Any]:
    return [1 - t, t]


def _cubic(t: Any, a: float) -> list[Any]:
    """Keys' cubic convolution (1981), equation 4, at distances 1 + t, t, 1 - t and 2 - t."""
    u = 1 - t
    return [
        ((a * (t + 1) - 5 * a) * (t + 1) + 8 * a) * (t + 1) - 4 * a,
        ((a + 2) * t - (a + 3)) * t * t + 1,
        ((a + 2) * u - (a + 3)) * u * u + 1,
        ((a * (u + 1) - 5 * a) * (u + 1) + 8 * a) * (u + 1) - 4 * a,
    ]


_WEIGHTS: Mapping[str, Callable[[Any, float], list[Any]]] = {"linear": _linear, "cubic": _cubic}


@register(
    "resize",
    "a tensor resampled along its last axes",
    (
        Param("shape", "1,64,56,56", "shape of the input"),
        Param("sizes", "112,112", "new sizes of the last axes"),
        Param("mode", "linear", f"nearest, {', '.join(_WEIGHTS)}"),
        Param("coordinates", "half_pixel", f"one of {', '.join(_COORDINATES)}"),
        Param("nearest", "round_prefer_floor", f"one of {', '.join(_NEAREST)}"),
        Param("cubic_a", -0.75, "the coefficient of cubic interpolation"),
        Param("dtype", "float32", f"one of {', '.join(_DTYPES)}"),
    ),
    family="data movement",
)
def resize(
    shape: Any, sizes: Any, mode: str, coordinates: str, nearest: str, cubic_a: Any, dtype: str
) -> Workload:  # fmt: skip
    """``y[.., i, ..] = sum(t) weight_t(i) * x[.., floor(place(i)) + t, ..]``, one axis after the other, x clamped at
    its borders.

    x: shape. ``place(i)`` is ``(i + 1/2) * size / new - 1/2`` (half_pixel), ``i * size / new`` (asymmetric) or
    ``i * (size - 1) / (new - 1)`` (align_corners), computed in whole numbers, so that no rounding moves an element.
    Raises ``UsageError`` for more sizes than dimensions or an unknown mode.
    """
    extents, new = registry.shape("shape", shape), registry.shape("sizes", sizes)
    one_of("mode", mode, ("nearest", *_WEIGHTS))
    one_of("coordinates", coordinates, _COORDINATES)
    one_of("nearest", nearest, _NEAREST)
    one_of("dtype", dtype, _DTYPES)
    a = number("cubic_a", cubic_a)
    if len(new) > len(extents):
        raise UsageError(f"sizes has {len(new)} entries for {len(extents)} dimensions")
    source = placeholder(extents, dtype, "x")
    for dim, size in enumerate(new, len(extents) - len(new)):
        place = _place(coordinates, extents[dim], size)
        name = "y" if dim == len(extents) - 1 else f"along{dim}"
        if mode == "nearest":
            source = _picked(source, dim, size, partial(_NEAREST[nearest], place), name)
        else:
            source = _weighted(source, dim, size, place, lambda t: _WEIGHTS[mode](t, a), name)

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        result = inputs["x"].astype(np.float64)
        for dim, size in enumerate(new, len(extents) - len(new)):
            result = np.moveaxis(np.tensordot(_matrix(extents[dim], size), result, (1, dim)), 0, dim)
        return result

    def _matrix(old: int, size: int) -> np.ndarray:
        """[size, old]: the weight of each input for each output."""
        i = np.arange(size)
        if coordinates == "align_corners":
            at = i * (old - 1) / max(size - 1, 1)
        elif coordinates == "asymmetric":
            at = i * old / size
        else:
            at = (i + 0.5) * old / size - 0.5 if coordinates == "half_pixel" or size > 1 else np.zeros(1)
        at = np.round(at, 9)  # a place that should be whole must not lie just below
        matrix = np.zeros((size, old))
        if mode == "nearest":
            rounding = {
                "round_prefer_floor": np.ceil(at - 0.5), "round_prefer_ceil": np.floor(at + 0.5),
                "floor": np.floor(at), "ceil": np.ceil(at),
            }  # fmt: skip
            matrix[i, np.clip(rounding[nearest], 0, old - 1).astype(int)] = 1
            return matrix
        base = np.floor(at).astype(int)
        reach = 1 if mode == "linear" else 2
        for tap in range(1 - reach, 1 + reach):
            d = np.abs(at - base - tap)
            if mode == "linear":
                weight = 1 - d
            else:
                near = (a + 2) * d**3 - (a + 3) * d**2 + 1
                weight = np.where(d <= 1, near, a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a)
            np.add.at(matrix, (i, np.clip(base + tap, 0, old - 1)), weight)
        return matrix

    taps = {"nearest": 0, "linear": 2, "cubic": 4}[mode]
    stages = [tensor for tensor in graph(source) if not tensor.is_placeholder]
    params: dict[str, Value] = {
        "shape": text(extents), "sizes": text(new), "mode": mode, "coordinates": coordinates, "nearest": nearest,
        "cubic_a": a, "dtype": dtype,
    }  # fmt: skip
    return Workload(source, "resize", params, reference, sum(2 * taps * prod(stage.shape) for stage in stages))


def _picked(source: Tensor, dim: int, size: int, where: Callable[[Expr], Expr], name: str) -> Tensor:
    return compute(
        replaced(source.shape, dim, size),
        lambda *i: source[replaced(i, dim, clamped(where(i[dim]), source.shape[dim]))],
        name=name,
    )


def _weighted(
    source: Tensor, dim: int, size: int, place: _Place, weights: Callable[[Any], list[Any]], name: str
) -> Tensor:
    """Each output the weighted sum of the inputs around its place."""

    def element(*i: Expr) -> Expr:
        taps = weights(place.fraction(i[dim], source.dtype))
        first = 1 - len(taps) // 2
        terms = [
            source[replaced(i, dim, clamped(place.floor(i[dim], first + t), source.shape[dim]))] * weight
            for t, weight in enumerate(taps)
        ]
        result = terms[0]
        for term in terms[1:]:
            result = result + term
        return result

    return compute(replaced(source.shape, dim, size), element, name=name)
