"""Pooling over one to three spatial dimensions: one declaration for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr.expr import Axis, Expr, ExprLike
from autotune.tensor_expr.operators.registry import Param, Value, shape, size, text
from autotune.tensor_expr.operators.shared.axes import named, spatial
from autotune.tensor_expr.operators.shared.element_types import check_dtype, widen
from autotune.tensor_expr.operators.shared.windows import (
    PADDING_HELP,
    Window,
    pad,
    pad_array,
    seen,
    slide,
    window_params,
)
from autotune.tensor_expr.tensor import Tensor, compute, max, min, placeholder, reduce_axis

IMAGE_PARAMS = (
    Param("batch", 1, "images"),
    Param("channels", 64, "channels"),
    Param("extents", "56,56", "one to three spatial dimensions"),
)
POOL_PARAMS = (
    *IMAGE_PARAMS,
    Param("kernel", "3", "window: N, or one for each dimension"),
    Param("stride", "2", "N, or one for each dimension"),
    Param("padding", "1", PADDING_HELP),
    Param("dilation", "1", "N, or one for each dimension"),
    Param("ceil_mode", False, "round the number of outputs up"),
)


@dataclass(frozen=True, slots=True)
class Pooling:
    """The sizes of a pooling operator, checked."""

    batch: int
    channels: int
    windows: tuple[Window, ...]
    dtype: str

    @property
    def kernel(self) -> tuple[int, ...]:
        return tuple(window.kernel for window in self.windows)

    @property
    def shape(self) -> tuple[int, ...]:
        """The output's shape."""
        return self.batch, self.channels, *(window.outputs for window in self.windows)

    @property
    def points(self) -> int:
        """Elements that all windows look at together, padding included."""
        return prod(self.shape) * prod(self.kernel)

    def image(self) -> Tensor:
        """x [batch, channels, ...]."""
        return placeholder((self.batch, self.channels, *(w.extent for w in self.windows)), self.dtype, "x")

    def reduced(self, x: Tensor, reduction: Any, padding: float | int, name: str) -> Tensor:
        """A reduction over what each output looks at."""
        rank = len(self.windows)
        source = pad(x, self.windows, 2, ("b", "c", *spatial("x y z", rank)), padding)
        offsets = [reduce_axis(n, name) for n, name in zip(self.kernel, spatial("rd rh rw", rank), strict=True)]

        def body(b: Expr, c: Expr, *outputs: Expr) -> Expr:
            at = (b, c, *(window.at(i, r) for window, i, r in zip(self.windows, outputs, offsets, strict=True)))
            value: Expr = reduction(widen(source[at]), axis=tuple(offsets))
            return value

        return compute(self.shape, named(self.axes, body), name=name)

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the output's axes."""
        return "b", "c", *spatial("l i j", len(self.windows))

    def views(self, array: np.ndarray, padding: float | int) -> np.ndarray:
        """[kernel elements, *shape]: what each output looks at, in NumPy."""
        padded = pad_array(array, self.windows, 2, padding)
        return np.stack([seen(padded, self.windows, offset) for offset in np.ndindex(*self.kernel)])

    def params(self, **more: Value) -> dict[str, Value]:
        """The parameters in the canonical text."""
        return {
            "batch": self.batch, "channels": self.channels, "extents": text(w.extent for w in self.windows),
            **window_params(self.windows), **more, "dtype": self.dtype,
        }  # fmt: skip


def read_pooling(
    operator: str, batch: Any, channels: Any, extents: Any, kernel: Any, stride: Any, padding: Any, dilation: Any,
    ceil_mode: bool, dtype: str, allowed: tuple[str, ...],
) -> Pooling:  # fmt: skip
    """The sizes from parameters as a user gives them.

    Raises ``UsageError`` for sizes below 1, more than three dimensions, a dtype that the operator does not take, a
    window larger than the padded input, or one that would see nothing but padding.
    """
    check_dtype(operator, dtype, allowed)
    found = read_extents(extents)
    names = {f"dimension {number} of extents": extent for number, extent in enumerate(found)}
    windows = slide(names, kernel, stride, padding, dilation, ceil_mode)
    for window in windows:
        if not counts(window, include_padding=False).all():
            raise UsageError(
                f"a window would see nothing but padding: {window.before} and {window.after} around {window.extent} "
                f"elements, for a kernel of {window.kernel} with dilation {window.dilation}"
            )
    return Pooling(size("batch", batch), size("channels", channels), windows, dtype)


def read_extents(extents: Any) -> tuple[int, ...]:
    """One to three spatial dimensions."""
    found = shape("extents", extents)
    if len(found) > 3:
        raise UsageError(f"extents is {text(found)}; there are one to three spatial dimensions")
    return found


def counts(window: Window, include_padding: bool) -> np.ndarray:
    """[outputs]: how many elements each output looks at, with or without those of the padding (but no overhang)."""
    places = window.positions()
    low, high = (-window.before, window.extent + window.after) if include_padding else (0, window.extent)
    return np.asarray(((places >= low) & (places < high)).sum(1))


def count(window: Window, output: Axis, include_padding: bool) -> ExprLike:
    """The same as an expression; a number where it is equal for all outputs."""
    found = counts(window, include_padding)
    if (found == found[0]).all():
        return int(found[0])
    low = 0 if include_padding else window.before
    high = window.before + window.extent + (window.after if include_padding else 0)
    start, step = output * window.stride, window.dilation
    first = max((low - start + (step - 1)) // step if step > 1 else low - start, 0)
    end = min((high - start + (step - 1)) // step if step > 1 else high - start, window.kernel)
    return end - first


def read_image(
    operator: str, batch: Any, channels: Any, extents: Any, dtype: str, allowed: tuple[str, ...]
) -> tuple[Tensor, dict[str, Value]]:
    """The placeholder x [batch, channels, *extents] of an operator without a window, and its canonical parameters."""
    check_dtype(operator, dtype, allowed)
    n, c, found = size("batch", batch), size("channels", channels), read_extents(extents)
    params: dict[str, Value] = {"batch": n, "channels": c, "extents": text(found), "dtype": dtype}
    return placeholder((n, c, *found), dtype, "x"), params


def channel_reduction(x: Tensor, reduction: Any, name: str) -> Tensor:
    """A reduction over all spatial dimensions, which are 1 in the result."""
    inner = [reduce_axis(n, r) for n, r in zip(x.shape[2:], spatial("rd rh rw", len(x.shape) - 2), strict=True)]

    def body(b: Expr, c: Expr, *_: Expr) -> Expr:
        at = (b, c, *inner)
        value: Expr = reduction(widen(x[at]), axis=tuple(inner))
        return value

    shape = (*x.shape[:2], *(1 for _ in inner))
    return compute(shape, named(("b", "c", *spatial("l i j", len(inner))), body), name=name)
