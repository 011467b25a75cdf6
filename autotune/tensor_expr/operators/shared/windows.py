"""How a window slides over spatial dimensions: the arithmetic that convolutions and pooling share.

Output ``i`` looks at ``i * stride + p * dilation`` of the padded dimension, for every offset ``p`` below ``kernel``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr.expr import Expr, ExprLike, all_of, select
from autotune.tensor_expr.operators.registry import size, sizes, text
from autotune.tensor_expr.operators.shared.axes import named
from autotune.tensor_expr.tensor import Tensor, compute

PADDING_HELP = "N, or one for each dimension, or all those before and then all those after, or same, same_lower, valid"


@dataclass(frozen=True, slots=True)
class Window:
    """A window over one dimension of ``extent`` elements, with ``before`` and ``after`` elements of padding.

    ``overhang`` more lie behind the padding, where the last output of ``ceil_mode`` looks.
    """

    extent: int
    kernel: int
    stride: int
    dilation: int
    before: int = 0
    after: int = 0
    overhang: int = 0

    @property
    def span(self) -> int:
        """Elements from the first to the last that one output looks at."""
        return (self.kernel - 1) * self.dilation + 1

    @property
    def padded(self) -> int:
        return self.before + self.extent + self.after + self.overhang

    @property
    def outputs(self) -> int:
        return (self.padded - self.span) // self.stride + 1

    def at(self, output: ExprLike, offset: ExprLike) -> Any:
        """The place in the padded dimension."""
        return output * self.stride + offset * self.dilation

    def positions(self) -> np.ndarray:
        """[outputs, kernel]: the elements that each output looks at; those of the padding are outside [0, extent)."""
        starts = np.arange(self.outputs)[:, None] * self.stride - self.before
        return np.asarray(starts + np.arange(self.kernel) * self.dilation)

    def taken(self, offset: int) -> slice:
        """What all outputs see at one offset of their windows, as a slice of the padded dimension."""
        first = offset * self.dilation
        return slice(first, first + (self.outputs - 1) * self.stride + 1, self.stride)

    def with_ceil_mode(self) -> Window:
        """With the outputs rounded up, but no window that starts behind the input and its padding (as in ONNX)."""
        outputs = -(-(self.padded - self.span) // self.stride) + 1
        if (outputs - 1) * self.stride >= self.before + self.extent:
            outputs -= 1
        return replace(self, overhang=max(0, (outputs - 1) * self.stride + self.span - self.padded))


def slide(
    extents: Mapping[str, Any], kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool = False
) -> tuple[Window, ...]:
    """One window a dimension, from parameters as a user gives them; the extents by name.

    ``same`` keeps ceil(extent / stride) outputs, the odd element of padding at the end, ``same_lower`` at the start
    (SAME_UPPER and SAME_LOWER of ONNX); ``valid`` pads nothing. Raises ``UsageError`` for what is no number or below
    its least value, and for a window that is larger than the padded input.
    """
    rank = len(extents)
    found = [
        Window(size(name, extent), *rest)
        for (name, extent), *rest in zip(
            extents.items(),
            sizes("kernel", kernel, rank),
            sizes("stride", stride, rank),
            sizes("dilation", dilation, rank),
            strict=True,
        )
    ]
    found = _padded(found, padding)
    if ceil_mode:
        found = [window.with_ceil_mode() for window in found]
    if any(window.span > window.padded for window in found):
        spans, padded = ("x".join(str(getattr(w, part)) for w in found) for part in ("span", "padded"))
        raise UsageError(f"the kernel spans {spans} with its dilation, more than the padded input's {padded}")
    return tuple(found)


def _padded(found: list[Window], padding: Any) -> list[Window]:
    rank = len(found)
    if padding in ("same", "same_lower"):
        totals = [max((-(-w.extent // w.stride) - 1) * w.stride + w.span - w.extent, 0) for w in found]
        less = [total // 2 for total in totals]
        more = [total - half for total, half in zip(totals, less, strict=True)]
        numbers = [*less, *more] if padding == "same" else [*more, *less]
    else:
        numbers = [*read_padding(padding, rank)]
    return [replace(w, before=b, after=a) for w, b, a in zip(found, numbers[:rank], numbers[rank:], strict=True)]


def read_padding(padding: Any, rank: int) -> tuple[int, ...]:
    """The padding before each dimension, then that after each, from numbers or ``valid``."""
    if padding == "valid":
        padding = 0
    parts = padding if isinstance(padding, (tuple, list)) else str(padding).strip("()[] ").split(",")
    if len(parts) == rank:
        parts = [*parts, *parts]
    return sizes("padding", ",".join(str(part) for part in parts), 2 * rank, least=0)


def window_params(windows: Sequence[Window]) -> dict[str, str]:
    """Kernel, stride, padding and dilation in the canonical text of a workload."""
    return {
        "kernel": text(w.kernel for w in windows),
        "stride": text(w.stride for w in windows),
        "padding": text([*(w.before for w in windows), *(w.after for w in windows)]),
        "dilation": text(w.dilation for w in windows),
    }


def pad(x: Tensor, windows: Sequence[Window], first: int, names: Sequence[str], value: float | int = 0) -> Tensor:
    """The tensor with ``value`` around its spatial dimensions, which start at ``first``; itself where that is none."""
    if all(w.padded == w.extent for w in windows):
        return x
    shape = list(x.shape)
    shape[first : first + len(windows)] = [w.padded for w in windows]

    def body(*axes: Expr) -> ExprLike:
        index, inside = list(axes), []
        for dim, window in enumerate(windows, first):
            if window.padded > window.extent:
                inside += [axes[dim] >= window.before, axes[dim] < window.before + window.extent]
            index[dim] = axes[dim] - window.before
        return select(all_of(*inside), x[tuple(index)], value)

    return compute(shape, named(names, body), name="pad")


def seen(array: np.ndarray, windows: Sequence[Window], offset: Sequence[int]) -> np.ndarray:
    """What all outputs see at one place of their windows; the array's last dimensions are the padded ones."""
    index: tuple[Any, ...] = (..., *(window.taken(place) for window, place in zip(windows, offset, strict=True)))
    return np.asarray(array[index])


def pad_array(array: np.ndarray, windows: Sequence[Window], first: int, value: float | int = 0) -> np.ndarray:
    """What ``pad`` means, in NumPy."""
    widths = [(0, 0)] * array.ndim
    widths[first : first + len(windows)] = [(w.before, w.after + w.overhang) for w in windows]
    return np.pad(array, widths, constant_values=value)
