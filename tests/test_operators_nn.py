"""The neural network operators: each definition equals its NumPy reference, evaluated and compiled, at odd sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autotune.tensor_expr.evaluate import evaluate
from autotune.tensor_expr.operators import get_operator

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
