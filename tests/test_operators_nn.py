"""The neural network operators: each definition equals its NumPy reference, evaluated and compiled, at odd sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autotune.tensor_expr.evaluate import evaluate
from autotune.tensor_expr.operators import get_operator

# ruff: noqa: E501  (a case stays one line)

# Operator, parameters, shape of the output.
CASES: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("conv1d", {"batch": 2, "in_channels": 4, "out_channels": 6, "length": 11, "groups": 2, "stride": 2}, (2, 6, 6)),
    ("conv1d", {"in_channels": 3, "out_channels": 1, "length": 7, "kernel": 2, "padding": "0,3", "dilation": 2}, (1, 1, 8)),
    ("conv1d", {"in_channels": 1, "out_channels": 1, "length": 1, "kernel": 1, "padding": "valid"}, (1, 1, 1)),
    ("conv2d", {"in_channels": 2, "out_channels": 3, "height": 6, "width": 5, "kernel": 2, "padding": "same_lower"}, (1, 3, 6, 5)),
    ("conv3d", {"in_channels": 2, "out_channels": 3, "depth": 4, "height": 5, "width": 7, "stride": "1,2,3"}, (1, 3, 4, 3, 3)),
    ("conv3d", {"in_channels": 4, "out_channels": 2, "depth": 1, "height": 3, "width": 5, "kernel": "1,3,2", "padding": "0,1,0,0,0,1", "groups": 2, "dilation": "1,1,2"}, (1, 2, 1, 2, 4)),
    ("depthwise_conv2d", {"batch": 2, "channels": 3, "multiplier": 2, "height": 5, "width": 7, "stride": 2}, (2, 6, 3, 4)),
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
