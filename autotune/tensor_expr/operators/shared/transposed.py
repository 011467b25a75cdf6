"""Transposed convolutions over one or two spatial dimensions: one declaration for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr.expr import Expr, all_of, select
from autotune.tensor_expr.operators.registry import Param, Value, size, sizes, text
from autotune.tensor_expr.operators.shared.axes import named, spatial
from autotune.tensor_expr.operators.shared.convolution import Convolution
from autotune.tensor_expr.operators.shared.element_types import NUMBERS, check_dtype, narrowed, widen, widened
from autotune.tensor_expr.operators.shared.windows import PADDING_HELP, Window, read_padding, window_params
from autotune.tensor_expr.tensor import Tensor, compute, placeholder, reduce_axis, sum
from autotune.tensor_expr.workload import Workload

TRANSPOSED_PARAMS = (
    Param("kernel", "3", "window: N, or one for each dimension"),
    Param("stride", "2", "outputs between neighbouring inputs: N, or one for each dimension"),
    Param("padding", "1", f"outputs cut off: {PADDING_HELP}"),
    Param("dilation", "1", "N, or one for each dimension"),
    Param("output_padding", "1", "more outputs at the end: N, or one for each dimension"),
)


@dataclass(frozen=True, slots=True)
class Transposed:
    """The sizes of a transposed convolution, checked. ``forward`` is the convolution of which it is the gradient, but
    that its windows' extents are this operator's inputs."""

    forward: Convolution
    more: tuple[int, ...]

    @property
    def outputs(self) -> tuple[int, ...]:
        """Sizes of the output's spatial dimensions."""
        pairs = zip(self.forward.windows, self.more, strict=True)
        return tuple(_covered(window, more) - window.before - window.after for window, more in pairs)

    @property
    def flops(self) -> int:
        """Two for every multiply-add that lands within the output."""
        pairs = prod(
            int(np.count_nonzero((place >= 0) & (place < outputs)))
            for place, outputs in zip(map(_landing, self.forward.windows), self.outputs, strict=True)
        )
        return 2 * self.forward.batch * self.forward.in_channels * self.forward.group_out * pairs

    def definition(self) -> Tensor:
        """The input with stride - 1 zeros between its elements, convolved with the mirrored weights."""
        forward, rank = self.forward, len(self.forward.windows)
        x = placeholder((forward.batch, forward.in_channels, *(w.extent for w in forward.windows)), forward.dtype, "x")
        weights = (forward.in_channels, forward.group_out, *forward.kernel)
        w = placeholder(weights, forward.dtype, "w", constant=True)
        source = self._spread(x)
        channel = reduce_axis(forward.group_in, "rc")
        offsets = [reduce_axis(n, name) for n, name in zip(forward.kernel, spatial("rd rh rw", rank), strict=True)]

        def body(b: Expr, o: Expr, *outputs: Expr) -> Expr:
            read = forward.input_channel(o, channel)
            within = o if forward.groups == 1 else o % forward.group_out if forward.group_out > 1 else 0
            places = (i + r * window.dilation for window, i, r in zip(forward.windows, outputs, offsets, strict=True))
            mirrored = (n - 1 - r for n, r in zip(forward.kernel, offsets, strict=True))
            pixel, weight = (b, read, *places), (read, within, *mirrored)
            return sum(widen(source[pixel]) * widen(w[weight]), axis=(channel, *offsets))

        shape = (forward.batch, forward.out_channels, *self.outputs)
        conv = compute(shape, named(("b", "o", *spatial("l i j", rank)), body), name="conv")
        return narrowed(conv, forward.dtype)

    def _spread(self, x: Tensor) -> Tensor:
        windows, rank = self.forward.windows, len(self.forward.windows)
        extents = [outputs + window.span - 1 for outputs, window in zip(self.outputs, windows, strict=True)]

        def body(b: Expr, c: Expr, *places: Expr) -> Expr:
            inside: list[Expr] = []
            index: list[Expr] = []
            for window, place in zip(windows, places, strict=True):
                found = place - (window.span - 1 - window.before)
                inside += [found >= 0, found < (window.extent - 1) * window.stride + 1]
                if window.stride > 1:
                    inside.append(found % window.stride == 0)
                index.append(found // window.stride if window.stride > 1 else found)
            at = (b, c, *index)
            return select(all_of(*inside), x[at], 0)

        names = ("b", "c", *spatial("x y z", rank))
        return compute((*x.shape[:2], *extents), named(names, body), name="spread")

    def reference(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """The output in NumPy: every input added where it lands, one matrix product for each place of the window."""
        forward, wide = self.forward, widened(inputs)
        x = wide["x"].reshape(forward.batch, forward.groups, forward.group_in, -1)
        w = wide["w"].reshape(forward.groups, forward.group_in, forward.group_out, *forward.kernel)
        covered = [_covered(window, more) for window, more in zip(forward.windows, self.more, strict=True)]
        result = np.zeros((forward.batch, forward.out_channels, *covered), x.dtype)
        inputs_shape = tuple(window.extent for window in forward.windows)
        for offset in np.ndindex(*forward.kernel):
            weight: tuple[Any, ...] = (..., *offset)
            landed = np.swapaxes(w[weight], 1, 2) @ x
            first = [place * window.dilation for place, window in zip(offset, forward.windows, strict=True)]
            target: tuple[Any, ...] = (
                ...,
                *(
                    slice(start, start + (window.extent - 1) * window.stride + 1, window.stride)
                    for start, window in zip(first, forward.windows, strict=True)
                ),
            )
            result[target] += landed.reshape(forward.batch, forward.out_channels, *inputs_shape)
        kept: tuple[Any, ...] = (
            ...,
            *(slice(w.before, w.before + n) for w, n in zip(forward.windows, self.outputs, strict=True)),
        )
        return np.asarray(result[kept])

    def workload(self, operator: str, *extents: str) -> Workload:
        """The operator of this name, its spatial extents by their names."""
        forward = self.forward
        params: dict[str, Value] = {
            "batch": forward.batch, "in_channels": forward.in_channels, "out_channels": forward.out_channels,
            **{name: window.extent for name, window in zip(extents, forward.windows, strict=True)},
            **window_params(forward.windows), "output_padding": text(self.more), "groups": forward.groups,
            "dtype": forward.dtype,
        }  # fmt: skip
        return Workload(self.definition(), operator, params, self.reference, self.flops)


def _covered(window: Window, more: int) -> int:
    """Places that the windows of all inputs cover, before the padding is cut off."""
    return (window.extent - 1) * window.stride + window.span + more


def _landing(window: Window) -> np.ndarray:
    """[extent, kernel]: the output on which an input lands at a place of its window."""
    starts = np.arange(window.extent)[:, None] * window.stride - window.before
    return np.asarray(starts + np.arange(window.kernel) * window.dilation)


def read_transposed(
    operator: str, extents: Mapping[str, Any], batch: Any, in_channels: Any, out_channels: Any, kernel: Any,
    stride: Any, padding: Any, dilation: Any, output_padding: Any, groups: Any, dtype: str,
) -> Transposed:  # fmt: skip
    """The sizes from parameters as a user gives them; the spatial extents by name.

    Raises ``UsageError`` for sizes below 1, channels that groups do not divide, an output padding of at least both
    stride and dilation, or padding that leaves no output.
    """
    rank = len(extents)
    ci, co, g = size("in_channels", in_channels), size("out_channels", out_channels), size("groups", groups)
    check_dtype(operator, dtype, NUMBERS)
    if ci % g or co % g:
        raise UsageError(f"groups is {g}, which must divide in_channels ({ci}) and out_channels ({co})")
    windows = [
        Window(size(name, extent), *rest)
        for (name, extent), *rest in zip(
            extents.items(),
            sizes("kernel", kernel, rank),
            sizes("stride", stride, rank),
            sizes("dilation", dilation, rank),
            strict=True,
        )
    ]
    more = sizes("output_padding", output_padding, rank, least=0)
    for window, extra in zip(windows, more, strict=True):
        if extra >= max(window.stride, window.dilation):
            raise UsageError(
                f"output_padding is {extra}; it must be below the stride ({window.stride}) or the dilation "
                f"({window.dilation})"
            )
    found = Convolution(size("batch", batch), ci, co, g, _cropped(windows, more, padding), dtype)
    result = Transposed(found, more)
    if min(result.outputs) < 1:
        shown = "x".join(map(str, result.outputs))
        raise UsageError(f"padding {text(read_padding(padding, rank))} leaves an output of {shown}")
    return result


def _cropped(windows: list[Window], more: tuple[int, ...], padding: Any) -> tuple[Window, ...]:
    """With the padding, which a transposed convolution cuts off; ``same`` leaves stride outputs for each input."""
    if padding not in ("same", "same_lower"):
        numbers = read_padding(padding, len(windows))
    else:
        totals = [_covered(w, extra) - w.extent * w.stride for w, extra in zip(windows, more, strict=True)]
        if min(totals) < 0:
            raise UsageError(f"padding is {padding!r}, which needs a window of at least the stride")
        less, rest = [t // 2 for t in totals], [t - t // 2 for t in totals]
        numbers = (*less, *rest) if padding == "same" else (*rest, *less)
    pairs = zip(windows, numbers[: len(windows)], numbers[len(windows) :], strict=True)
    return tuple(replace(window, before=before, after=after) for window, before, after in pairs)
