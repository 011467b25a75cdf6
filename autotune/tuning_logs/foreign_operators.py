"""Which operators of the library the tasks in TVM's logs are: the same mathematics, whatever the layout or template."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autotune.errors import AutotuneError
from autotune.tensor_expr.operators import get_operator
from autotune.tuning_logs.records import Workload

Params = Mapping[str, int | str | bool]


def translate(task: str, arguments: Sequence[Any]) -> Workload | str:
    """The library's workload of an AutoTVM task, or a sentence that says why there is none."""
    for pattern, operator, read in _TASKS:
        if re.match(pattern, task):
            try:
                workload = get_operator(operator)(**read(arguments))
            except (AutotuneError, ValueError, LookupError, TypeError) as error:
                return f"{task} is no {operator} that the library knows ({' '.join(str(error).split())})"
            return Workload(workload.text, workload.operator, dict(workload.params))
    return f"{task} is no operator of the library"


def _shape(argument: Any, rank: int) -> list[int]:
    """The extents of ``["TENSOR", shape, dtype]``."""
    kind, shape, _ = argument
    if kind != "TENSOR" or len(shape) != rank:
        raise ValueError(f"{argument} is no tensor of {rank} dimensions")
    return [int(extent) for extent in shape]


def _list(values: Any) -> str:
    """``[1, 1]`` as a parameter; padding is top, left, bottom, right in both, or the same before and after."""
    return ",".join(map(str, values)) if isinstance(values, list) else str(values)


def _window(arguments: Sequence[Any]) -> dict[str, int | str]:
    data, kernel, stride, padding, dilation = arguments[:5]
    batch, _, height, width = _shape(data, 4)
    return {
        "batch": batch, "height": height, "width": width, "kernel": _list(_shape(kernel, 4)[2:]),
        "stride": _list(stride), "padding": _list(padding), "dilation": _list(dilation), "dtype": data[2],
    }  # fmt: skip


def _conv2d(arguments: Sequence[Any]) -> Params:
    channels, kernel = _shape(arguments[0], 4)[1], _shape(arguments[1], 4)
    return {
        **_window(arguments), "in_channels": channels, "out_channels": kernel[0], "groups": channels // kernel[1]
    }  # fmt: skip


def _depthwise(arguments: Sequence[Any]) -> Params:
    channels, kernel = _shape(arguments[0], 4)[1], _shape(arguments[1], 4)
    if kernel[0] != channels:
        raise ValueError(f"a kernel for {kernel[0]} channels does not fit {channels}")
    return {**_window(arguments), "channels": channels, "multiplier": kernel[1]}


def _dense(arguments: Sequence[Any]) -> Params:
    (rows, depth), (columns, _) = _shape(arguments[0], 2), _shape(arguments[1], 2)
    return {
        "batch": rows, "in_features": depth, "out_features": columns, "no_bias": arguments[2] is None,
        "dtype": arguments[0][2],
    }  # fmt: skip


def _batch_matmul(arguments: Sequence[Any]) -> Params:
    (batch, m, k), (batch_b, n, _) = _shape(arguments[0], 3), _shape(arguments[1], 3)
    return {
        "batch_a": str(batch), "batch_b": str(batch_b), "m": m, "n": n, "k": k, "transpose_b": True,
        "dtype": arguments[0][2],
    }  # fmt: skip


# The names of AutoTVM's tasks: an operator, perhaps a layout and a way to compute it, a dot and the target's family.
_TASKS: tuple[tuple[str, str, Callable[[Sequence[Any]], Params]], ...] = (
    (r"depthwise_conv2d_(nchw|NCHWc)(_|\.|$)", "depthwise_conv2d", _depthwise),
    (r"conv2d_(nchw|NCHWc)(_|\.|$)", "conv2d", _conv2d),
    (r"dense_", "dense", _dense),
    (r"batch_matmul(_|\.|$)", "batch_matmul", _batch_matmul),
)
