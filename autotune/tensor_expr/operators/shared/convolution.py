"""Convolutions over one to three spatial dimensions: one declaration for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr.expr import Expr
from autotune.tensor_expr.operators.registry import Param, Value, size
from autotune.tensor_expr.operators.shared.axes import named, spatial
from autotune.tensor_expr.operators.shared.element_types import NUMBERS, check_dtype, narrowed, widen, widened
from autotune.tensor_expr.operators.shared.windows import (
    PADDING_HELP,
    Window,
    pad,
    pad_array,
    seen,
    slide,
    window_params,
)
from autotune.tensor_expr.tensor import Tensor, compute, placeholder, reduce_axis, sum
from autotune.tensor_expr.workload import Workload

DTYPE = Param("dtype", "float32", f"one of {', '.join(NUMBERS)}")
WINDOW_PARAMS = (
    Param("kernel", "3", "window: N, or one for each dimension"),
    Param("stride", "1", "N, or one for each dimension"),
    Param("padding", "same", PADDING_HELP),
    Param("dilation", "1", "N, or one for each dimension"),
)


@dataclass(frozen=True, slots=True)
class Convolution:
    """The sizes of a convolution, checked."""

    batch: int
    in_channels: int
    out_channels: int
    groups: int
    windows: tuple[Window, ...]
    dtype: str

    @property
    def group_in(self) -> int:
        """Input channels of one group."""
        return self.in_channels // self.groups

    @property
    def group_out(self) -> int:
        """Output channels of one group."""
        return self.out_channels // self.groups

    @property
    def kernel(self) -> tuple[int, ...]:
        return tuple(window.kernel for window in self.windows)

    @property
    def outputs(self) -> tuple[int, ...]:
        """Sizes of the output's spatial dimensions."""
        return tuple(window.outputs for window in self.windows)

    @property
    def flops(self) -> int:
        """Two for every multiply-add, those with padding included."""
        points = self.batch * self.out_channels * prod(self.outputs)
        return 2 * points * self.group_in * prod(self.kernel)

    def input_channel(self, output: Expr, offset: Expr) -> Expr:
        """The input channel that an output channel reads at an offset within its group."""
        if self.groups == 1:
            return offset
        return (output // self.group_out if self.group_out > 1 else output) * self.group_in + offset

    def placeholders(self) -> tuple[Tensor, Tensor]:
        """x [batch, in_channels, ...] and the constant w [out_channels, in_channels / groups, ...]."""
        x = placeholder((self.batch, self.in_channels, *(w.extent for w in self.windows)), self.dtype, "x")
        w = placeholder((self.out_channels, self.group_in, *self.kernel), self.dtype, "w", constant=True)
        return x, w

    def padded(self, x: Tensor) -> Tensor:
        """The image with zeros around it."""
        return pad(x, self.windows, 2, ("b", "c", *spatial("x y z", len(self.windows))))

    def direct(self, x: Tensor, w: Tensor) -> Tensor:
        """The definition: a sum over channels and the window."""
        rank, source = len(self.windows), self.padded(x)
        channel = reduce_axis(self.group_in, "rc")
        offsets = [reduce_axis(n, name) for n, name in zip(self.kernel, spatial("rd rh rw", rank), strict=True)]

        def body(b: Expr, o: Expr, *outputs: Expr) -> Expr:
            places = (window.at(i, r) for window, i, r in zip(self.windows, outputs, offsets, strict=True))
            pixel, weight = (b, self.input_channel(o, channel), *places), (o, channel, *offsets)
            return sum(widen(source[pixel]) * widen(w[weight]), axis=(channel, *offsets))

        axes = ("b", "o", *spatial("l i j", rank))
        conv = compute((self.batch, self.out_channels, *self.outputs), named(axes, body), name="conv")
        return narrowed(conv, self.dtype)

    def reference(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """The output in NumPy: one matrix product for each place of the window."""
        wide = widened(inputs)
        image = pad_array(wide["x"], self.windows, 2)
        grouped = image.reshape(self.batch, self.groups, self.group_in, *image.shape[2:])
        weights = wide["w"].reshape(self.groups, self.group_out, self.group_in, *self.kernel)
        result = np.zeros((self.batch, self.groups, self.group_out, prod(self.outputs)), image.dtype)
        for offset in np.ndindex(*self.kernel):
            part = seen(grouped, self.windows, offset).reshape(self.batch, self.groups, self.group_in, -1)
            place: tuple[Any, ...] = (..., *offset)
            result += weights[place] @ part
        return result.reshape(self.batch, self.out_channels, *self.outputs)

    def params(self, *extents: str) -> dict[str, Value]:
        """The parameters in the canonical text, the spatial extents by these names."""
        return {
            "batch": self.batch, "in_channels": self.in_channels, "out_channels": self.out_channels,
            **{name: window.extent for name, window in zip(extents, self.windows, strict=True)},
            **window_params(self.windows), "groups": self.groups, "dtype": self.dtype,
        }  # fmt: skip

    def workload(self, operator: str, params: Mapping[str, Value]) -> Workload:
        """The operator of this name and these parameters."""
        return Workload(self.direct(*self.placeholders()), operator, params, self.reference, self.flops)


def read_convolution(
    operator: str, extents: Mapping[str, Any], batch: Any, in_channels: Any, out_channels: Any, kernel: Any,
    stride: Any, padding: Any, dilation: Any, groups: Any, dtype: str,
) -> Convolution:  # fmt: skip
    """The sizes from parameters as a user gives them; the spatial extents by name.

    Raises ``UsageError`` for sizes below 1, a dtype that the operator does not take, channels that the groups do not
    divide, or a window larger than the padded input.
    """
    n, ci, co = size("batch", batch), size("in_channels", in_channels), size("out_channels", out_channels)
    g = size("groups", groups)
    check_dtype(operator, dtype, NUMBERS)
    if ci % g or co % g:
        raise UsageError(f"groups is {g}, which must divide in_channels ({ci}) and out_channels ({co})")
    return Convolution(n, ci, co, g, slide(extents, kernel, stride, padding, dilation), dtype)


def convolution_of(workload: Workload) -> Convolution:
    """The sizes of a two-dimensional convolution's workload."""
    params: dict[str, Any] = dict(workload.params)
    extents = {name: params.pop(name) for name in ("height", "width")}
    return read_convolution(workload.operator, extents, **params)
