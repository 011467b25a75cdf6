"""The neural network operators: each definition equals its NumPy reference, evaluated and compiled, at odd sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from differential import compare
from operator_checks import check_definition, check_kernels
from programs import RandomSource, draw_schedule

from autotune.errors import UsageError
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.targets.callable import Kernel
from autotune.targets.host import native_target
from autotune.targets.llvm.build import build
from autotune.tensor_expr.evaluate import evaluate
from autotune.tensor_expr.operators import get_operator
from autotune.tensor_expr.workload import Workload

# ruff: noqa: E501  (a case stays one line)

# Operator, parameters, shape of the output: odd, prime and 1-sized.
CASES: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("conv1d", {"batch": 2, "in_channels": 4, "out_channels": 6, "length": 11, "groups": 2, "stride": 2}, (2, 6, 6)),
    ("conv1d", {"in_channels": 3, "out_channels": 1, "length": 7, "kernel": 2, "padding": "0,3", "dilation": 2}, (1, 1, 8)),
    ("conv1d", {"in_channels": 1, "out_channels": 1, "length": 1, "kernel": 1, "padding": "valid"}, (1, 1, 1)),
    ("conv2d", {"in_channels": 2, "out_channels": 3, "height": 6, "width": 5, "kernel": 2, "padding": "same_lower"}, (1, 3, 6, 5)),
    ("conv3d", {"in_channels": 2, "out_channels": 3, "depth": 4, "height": 5, "width": 7, "stride": "1,2,3"}, (1, 3, 4, 3, 3)),
    ("conv3d", {"in_channels": 4, "out_channels": 2, "depth": 1, "height": 3, "width": 5, "kernel": "1,3,2", "padding": "0,1,0,0,0,1", "groups": 2, "dilation": "1,1,2"}, (1, 2, 1, 2, 4)),
    ("depthwise_conv2d", {"batch": 2, "channels": 3, "multiplier": 2, "height": 5, "width": 7, "stride": 2}, (2, 6, 3, 4)),
    ("conv2d_nhwc", {"batch": 2, "in_channels": 4, "out_channels": 6, "height": 5, "width": 7, "stride": 2, "groups": 2}, (2, 3, 4, 6)),
    ("conv2d_nchwc", {"batch": 2, "in_channels": 6, "out_channels": 4, "in_block": 3, "out_block": 2, "height": 5, "width": 7, "stride": "1,2", "dilation": 2}, (2, 2, 5, 4, 2)),
    ("conv1d_transpose", {"in_channels": 4, "out_channels": 6, "length": 5, "stride": 3, "dilation": 2, "output_padding": 2, "groups": 2, "padding": "1,3"}, (1, 6, 15)),
    ("conv2d_transpose", {"batch": 2, "in_channels": 4, "out_channels": 6, "height": 5, "width": 3, "kernel": "3,2", "stride": "2,3", "padding": "1,0,2,1", "output_padding": "1,0", "groups": 2}, (2, 6, 9, 7)),
    ("conv2d_transpose", {"in_channels": 3, "out_channels": 3, "height": 4, "width": 5, "groups": 3, "output_padding": 0, "padding": "same"}, (1, 3, 8, 10)),
    ("conv2d_transpose", {"in_channels": 1, "out_channels": 1, "height": 1, "width": 1, "kernel": 1, "padding": 0, "output_padding": 0}, (1, 1, 1, 1)),
    ("batch_matmul", {"batch_a": "3,1", "batch_b": "2", "m": 3, "n": 5, "k": 7, "transpose_a": True}, (3, 2, 3, 5)),
    ("batch_matmul", {"batch_a": "1", "batch_b": "1", "m": 1, "n": 1, "k": 1, "transpose_b": True}, (1, 1, 1)),
    ("dense", {"batch": 3, "in_features": 5, "out_features": 7}, (3, 7)),
    ("dense", {"batch": 1, "in_features": 5, "out_features": 1, "no_bias": True, "dtype": "int32"}, (1, 1)),
    *(("gemm", {"m": 3, "n": 5, "k": 7, "alpha": 0.5, "beta": -2, "c": c, "transpose_a": c == "row", "transpose_b": c == "full"}, (3, 5)) for c in ("full", "row", "column", "scalar", "none")),
    ("max_pool", {"channels": 3, "extents": "7,9", "ceil_mode": True}, (1, 3, 4, 5)),
    ("max_pool", {"channels": 3, "extents": "11", "dilation": 2, "padding": "2", "dtype": "int8"}, (1, 3, 6)),
    ("max_pool", {"channels": 2, "extents": "5,4,3", "kernel": 2, "padding": "same"}, (1, 2, 3, 2, 2)),
    ("average_pool", {"channels": 3, "extents": "7,9", "ceil_mode": True}, (1, 3, 4, 5)),
    ("average_pool", {"channels": 3, "extents": "8,9", "ceil_mode": True, "count_include_pad": True}, (1, 3, 5, 5)),
    ("average_pool", {"channels": 3, "extents": "11", "dilation": 2, "padding": "2"}, (1, 3, 6)),
    ("average_pool", {"channels": 2, "extents": "5,4,3", "kernel": 2, "padding": "same"}, (1, 2, 3, 2, 2)),
    ("global_max_pool", {"channels": 3, "extents": "5,4,3"}, (1, 3, 1, 1, 1)),
    ("global_average_pool", {"channels": 3, "extents": "5"}, (1, 3, 1)),
    ("adaptive_average_pool", {"channels": 3, "extents": "13,14"}, (1, 3, 7, 7)),
    ("adaptive_average_pool", {"channels": 3, "extents": "5,7", "outputs": "7,3"}, (1, 3, 7, 3)),
    ("softmax", {"shape": "3,7"}, (3, 7)),
    ("softmax", {"shape": "5", "axis": 0}, (5,)),
    ("softmax", {"shape": "3,5,2", "axis": 1, "dtype": "float64"}, (3, 5, 2)),
    ("log_softmax", {"shape": "3,7"}, (3, 7)),
    ("log_softmax", {"shape": "1,1,1"}, (1, 1, 1)),
    ("layer_norm", {"shape": "3,5,2", "axis": 1}, (3, 5, 2)),
    ("layer_norm", {"shape": "7", "axis": 0}, (7,)),
    ("rms_norm", {"shape": "3,7"}, (3, 7)),
    ("batch_norm", {"channels": 3, "extents": "5,2"}, (1, 3, 5, 2)),
    ("instance_norm", {"batch": 2, "channels": 3, "extents": "5,2"}, (2, 3, 5, 2)),
    ("group_norm", {"batch": 2, "channels": 6, "groups": 2, "extents": "5,2"}, (2, 6, 5, 2)),
    ("group_norm", {"channels": 3, "groups": 3, "extents": "5"}, (1, 3, 5)),
    ("attention", {"heads": 4, "kv_heads": 2, "queries": 5, "keys": 7, "head_size": 3, "value_size": 2, "causal": True, "past": 1}, (1, 4, 5, 2)),
    ("attention", {"heads": 2, "kv_heads": 1, "queries": 1, "keys": 1, "head_size": 1}, (1, 2, 1, 1)),
]  # fmt: skip
NAMES = [f"{name}-{number}" for number, (name, _, _) in enumerate(CASES)]


@pytest.mark.parametrize(("name", "params", "shape"), CASES, ids=NAMES)
def test_the_definition_equals_the_reference(name: str, params: dict[str, Any], shape: tuple[int, ...]) -> None:
    workload = get_operator(name)(**params)
    assert workload.output.shape == shape
    inputs = workload.random_inputs(3)
    expected = workload.compute_reference(inputs)
    assert expected.shape == shape
    assert np.allclose(evaluate(workload.output, inputs), expected)
    assert get_operator(name)(**workload.params).text == workload.text, "the parameters are canonical"


def test_all_defaults_are_workloads() -> None:
    for name in {name for name, _, _ in CASES}:
        assert get_operator(name)().flops > 0


def compiled(workload: Workload, schedule: Schedule, inputs: dict[str, np.ndarray]) -> np.ndarray:
    result: np.ndarray = Kernel(build(schedule, native_target(), 2))(**inputs)
    return result


@pytest.mark.compiler
@pytest.mark.parametrize("number", range(len(CASES)), ids=NAMES)
def test_compiled_code_equals_the_reference(number: int) -> None:
    name, params, _ = CASES[number]
    workload = get_operator(name)(**params)
    inputs = workload.random_inputs(number)
    expected = workload.compute_reference(inputs)
    assert np.allclose(compiled(workload, create_schedule(workload.output), inputs), expected, rtol=1e-4, atol=1e-5)
    schedule = draw_schedule(RandomSource(number), workload.output)
    assert compare(schedule, native_target(), workload) == "", str(schedule)


@pytest.mark.compiler
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", sorted({name for name, _, _ in CASES}))
def test_narrow_floats_are_summed_in_float32(name: str, dtype: str) -> None:
    params = next(params for case, params, _ in CASES if case == name)
    workload = get_operator(name)(**{**params, "dtype": dtype})
    assert workload.output.dtype == dtype
    check_definition(workload)
    check_kernels(workload)


# Operator, parameters, inputs, result: small enough to be computed by hand.
LINE = np.arange(1, 6, dtype=np.float32)
BY_HAND: dict[str, tuple[str, dict[str, Any], dict[str, Any], list[float]]] = {
    "same puts the odd element at the end": (
        "conv1d", {"length": 4, "kernel": 2, "padding": "same"}, {"x": LINE[:4], "w": [1, 10]}, [21, 32, 43, 4],
    ),
    "same_lower puts it at the start": (
        "conv1d", {"length": 4, "kernel": 2, "padding": "same_lower"}, {"x": LINE[:4], "w": [1, 10]}, [10, 21, 32, 43],
    ),
    "a transposed convolution adds where windows overlap": (
        "conv1d_transpose", {"length": 2, "padding": 0, "output_padding": 0}, {"x": [1, 2], "w": [1, 10, 100]},
        [1, 10, 102, 20, 200],
    ),
    "output padding is at the end": (
        "conv1d_transpose", {"length": 2, "padding": 0, "output_padding": 1}, {"x": [1, 2], "w": [1, 10, 100]},
        [1, 10, 102, 20, 200, 0],
    ),
    "padding is cut off a transposed convolution": (
        "conv1d_transpose", {"length": 2, "padding": "1,2", "output_padding": 0}, {"x": [1, 2], "w": [1, 10, 100]},
        [10, 102],
    ),
    "same keeps stride outputs for each input": (
        "conv1d_transpose", {"length": 2, "padding": "same", "output_padding": 0}, {"x": [1, 2], "w": [1, 10, 100]},
        [1, 10, 102, 20],
    ),
    "padding is never the largest": (
        "max_pool", {"extents": "4"}, {"x": -LINE[:4]}, [-1, -2],
    ),
    "ceil_mode adds a window": (
        "max_pool", {"extents": "5", "kernel": 2, "padding": 0, "ceil_mode": True}, {"x": LINE}, [2, 4, 5],
    ),
    "ceil_mode adds none behind the input": (
        "max_pool", {"extents": "4", "kernel": 2, "stride": 3, "ceil_mode": True}, {"x": LINE[:4]}, [1, 4],
    ),
    "padding does not count": (
        "average_pool", {"extents": "4", "ceil_mode": True}, {"x": LINE[:4]}, [1.5, 3, 4],
    ),
    "padding counts, but not what lies beyond": (
        "average_pool", {"extents": "4", "ceil_mode": True, "count_include_pad": True}, {"x": LINE[:4]}, [1, 3, 2],
    ),
    "adaptive windows overlap": ("adaptive_average_pool", {"extents": "5", "outputs": 3}, {"x": LINE}, [1.5, 3, 4.5]),
    "softmax does not overflow": ("softmax", {"shape": "2"}, {"x": [1000, 1001]}, [0.26894143, 0.73105858]),
    "log_softmax does not underflow": ("log_softmax", {"shape": "2"}, {"x": [0, -1000]}, [0, -1000]),
    "a large mean leaves the variance exact": (
        "layer_norm", {"shape": "3"}, {"x": 10000 + LINE[:3], "scale": [1, 1, 2], "bias": [0, 5, 0]},
        [-1.2247356, 5, 2.4494713],
    ),
    "the first query sees the first key alone": (
        "attention", {"heads": 1, "queries": 1, "keys": 2, "head_size": 1, "causal": True},
        {"q": [3], "k": [1, 2], "v": [7, 9]}, [7],
    ),
    "a query sees the past": (
        "attention", {"heads": 1, "queries": 1, "keys": 3, "head_size": 1, "causal": True, "past": 1},
        {"q": [0], "k": [1, 2, 3], "v": [7, 9, 100]}, [8],
    ),
    "gemm scales both and broadcasts c": (
        "gemm", {"m": 1, "n": 2, "k": 2, "alpha": 0.5, "beta": 2, "transpose_b": True},
        {"a": [2, 4], "b": [1, 1, 1, 2], "c": [1, 10]}, [5, 25],
    ),
}  # fmt: skip
ONE_CHANNEL = {"in_channels", "out_channels", "channels"}


@pytest.mark.compiler
@pytest.mark.parametrize("case", BY_HAND)
def test_by_hand(case: str) -> None:
    name, params, values, expected = BY_HAND[case]
    operator = get_operator(name)
    workload = operator(**{p.name: 1 for p in operator.params if p.name in ONE_CHANNEL}, **params)
    shapes = {tensor.name: tensor.shape for tensor in workload.placeholders}
    inputs = {key: np.asarray(value, np.float32).reshape(shapes[key]) for key, value in values.items()}
    assert np.allclose(workload.compute_reference(inputs).ravel(), expected, rtol=1e-4)
    assert np.allclose(compiled(workload, create_schedule(workload.output), inputs).ravel(), expected, rtol=1e-4)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("conv1d", {"length": 0}, "length is 0; it must be a whole number from 1"),
    ("conv1d", {"padding": "1,2,3"}, "padding is '1,2,3'; it takes one number or 2"),
    ("conv3d", {"kernel": 9, "padding": 0, "depth": 8}, "the kernel spans 9x9x9 with its dilation, more than the padded input's 8x28x28"),
    ("conv3d", {"dtype": "uint8"}, "conv3d takes dtype float32, float64, float16, bfloat16, int32, got 'uint8'"),
    ("depthwise_conv2d", {"multiplier": 0}, "multiplier is 0"),
    ("conv2d_nhwc", {"groups": 3}, r"groups is 3, which must divide in_channels \(128\)"),
    ("conv2d_nchwc", {"in_block": 7}, r"in_block is 7, which must divide in_channels \(128\)"),
    ("conv2d_nchwc", {"out_block": 7}, r"out_block is 7, which must divide out_channels \(128\)"),
    ("conv2d_transpose", {"groups": 3}, r"groups is 3, which must divide in_channels \(64\)"),
    ("conv2d_transpose", {"output_padding": 2}, r"output_padding is 2; it must be below the stride \(2\) or the dilation \(1\)"),
    ("conv2d_transpose", {"padding": 20}, "padding 20,20,20,20 leaves an output of -10x-10"),
    ("conv2d_transpose", {"kernel": 1, "padding": "same", "output_padding": 0}, "padding is 'same', which needs a window of at least the stride"),
    ("batch_matmul", {"batch_a": "2,3", "batch_b": "2"}, r"batch_a \(2,3\) and batch_b \(2\) do not broadcast"),
    ("dense", {"in_features": -1}, "in_features is -1"),
    ("gemm", {"alpha": "much"}, "alpha is 'much'; it must be a number"),
    ("gemm", {"c": "diagonal"}, "c is 'diagonal'; it is one of full, row, column, scalar, none"),
    ("gemm", {"dtype": "int32"}, "gemm takes dtype float32, float64, float16, bfloat16, got 'int32'"),
    ("max_pool", {"extents": "1,2,3,4"}, "extents is 1,2,3,4; there are one to three spatial dimensions"),
    ("max_pool", {"kernel": 1, "padding": 1}, "a window would see nothing but padding: 1 and 1 around 56 elements"),
    ("average_pool", {"stride": 0}, "stride is 0"),
    ("global_max_pool", {"extents": ""}, "extents is empty"),
    ("adaptive_average_pool", {"outputs": "1,2,3"}, "outputs is '1,2,3'; it takes one number or 2"),
    ("softmax", {"shape": "3,4", "axis": 2}, "axis is 2; with 2 dimensions it is from -2 to 1"),
    ("log_softmax", {"dtype": "int32"}, "log_softmax takes dtype float32, float64, float16, bfloat16, got 'int32'"),
    ("layer_norm", {"epsilon": 0}, "epsilon is 0.0; it must be above zero"),
    ("rms_norm", {"epsilon": "inf"}, "epsilon is inf; it must be finite"),
    ("batch_norm", {"channels": 0}, "channels is 0"),
    ("instance_norm", {"epsilon": -1}, "epsilon is -1.0; it must be above zero"),
    ("group_norm", {"groups": 7}, r"groups is 7, which must divide channels \(64\)"),
    ("attention", {"kv_heads": 3}, r"kv_heads is 3, which must divide heads \(8\)"),
    ("attention", {"past": -1}, "past is -1"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "params", "message"), REFUSED)
def test_refusals(name: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        get_operator(name)(**params)
