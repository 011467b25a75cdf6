"""Alternative definitions of an operator: the same numbers within the error that each states, under any schedule."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from differential import compare
from programs import RandomSource, draw_schedule

from autotune.errors import UsageError
from autotune.schedules.schedule import create_schedule
from autotune.targets.callable import Kernel
from autotune.targets.host import native_target
from autotune.targets.llvm.build import build
from autotune.tensor_expr import Tensor, compute, placeholder
from autotune.tensor_expr.algorithms import alternatives
from autotune.tensor_expr.algorithms.cook_toom import cook_toom
from autotune.tensor_expr.evaluate import evaluate
from autotune.tensor_expr.operators import get_operator
from autotune.tensor_expr.workload import Workload

WINOGRAD = ["winograd_f2x3", "winograd_f4x3"]
conv2d = get_operator("conv2d")

# Odd, prime and 1-sized, so that the last tiles hang over the border.
PLAIN: list[dict[str, Any]] = [
    {"in_channels": 5, "out_channels": 7, "height": 9, "width": 11},
    {"batch": 2, "in_channels": 3, "out_channels": 2, "height": 5, "width": 7, "padding": "0,2,1,0"},
    {"in_channels": 1, "out_channels": 1, "height": 3, "width": 3, "padding": 0},
    {"in_channels": 2, "out_channels": 3, "height": 1, "width": 1, "dtype": "float64"},
]
OTHER: list[dict[str, Any]] = [
    {"in_channels": 4, "out_channels": 6, "height": 7, "width": 5, "groups": 2, "stride": 2, "kernel": "3,2"},
    {"in_channels": 3, "out_channels": 3, "height": 5, "width": 5, "groups": 3},
    {"in_channels": 3, "out_channels": 2, "height": 6, "width": 7, "dilation": 2},
    {"in_channels": 3, "out_channels": 2, "height": 6, "width": 7, "dtype": "int32"},
]


def run(output: Tensor, inputs: dict[str, np.ndarray]) -> np.ndarray:
    result: np.ndarray = Kernel(build(create_schedule(output), native_target(), 1))(**inputs)
    return result


@pytest.mark.parametrize("params", PLAIN, ids=str)
def test_a_plain_convolution_has_three_alternatives(params: dict[str, Any]) -> None:
    workload = conv2d(**params)
    found = alternatives(workload)
    assert list(found) == ["im2col", *WINOGRAD]
    inputs = workload.random_inputs(1)
    for alternative in found.values():
        other = replace(workload, output=alternative.output)
        assert (other.key, other.placeholders) == (workload.key, workload.placeholders)
        assert (other.output.shape, other.output.dtype) == (workload.output.shape, workload.output.dtype)
        assert np.allclose(evaluate(other.output, inputs), workload.compute_reference(inputs))


@pytest.mark.parametrize("params", OTHER, ids=str)
def test_others_have_no_winograd(params: dict[str, Any]) -> None:
    workload = conv2d(**params)
    (name, alternative), *rest = alternatives(workload).items()
    assert name == "im2col" and not rest
    inputs = workload.random_inputs(1)
    assert np.allclose(evaluate(alternative.output, inputs), workload.compute_reference(inputs))
    assert (alternative.error_bound == 0) == (workload.output.dtype == "int32")


def test_other_operators_have_none() -> None:
    x = placeholder((4,), "float32", "x")
    assert not alternatives(Workload(compute((4,), lambda i: x[i] + 1, name="y")))
    assert not alternatives(get_operator("matmul")())


@pytest.mark.parametrize("name", ["im2col", *WINOGRAD])
@pytest.mark.parametrize("channels", [1, 16, 65])
def test_errors_stay_within_what_is_stated(name: str, channels: int) -> None:
    workload = conv2d(in_channels=channels, out_channels=4, height=11, width=13)
    alternative = alternatives(workload)[name]
    for seed, (of_x, of_w) in enumerate([(0, 0), (1, 0), (0, 1), (10, 10)]):
        inputs = workload.random_inputs(seed)
        inputs = {"x": inputs["x"] + np.float32(of_x), "w": inputs["w"] + np.float32(of_w)}
        exact = workload.compute_reference(inputs)
        error = np.abs(run(alternative.output, inputs) - exact).max()
        direct = np.abs(run(workload.output, inputs) - exact).max()
        scale = np.abs(inputs["x"]).max() * np.abs(inputs["w"]).sum((1, 2, 3)).max()
        assert error <= alternative.error_bound * scale
        assert error <= alternative.error_factor * direct


@pytest.mark.parametrize("name", ["im2col", *WINOGRAD])
@pytest.mark.parametrize("params", PLAIN[:2], ids=str)
def test_random_schedules(name: str, params: dict[str, Any]) -> None:
    output = alternatives(conv2d(**params))[name].output
    assert compare(create_schedule(output), native_target()) == ""
    for seed in range(3):
        schedule = draw_schedule(RandomSource(seed), output)
        assert compare(schedule, native_target()) == "", str(schedule)


@pytest.mark.parametrize("outputs", [2, 3, 4])
def test_the_transforms_are_exact(outputs: int) -> None:
    found = cook_toom(outputs, 3)
    d = [Fraction(n * n % 7 - 3) for n in range(outputs + 2)]
    g = [Fraction(n) for n in (2, -5, 3)]

    def apply(matrix: tuple[tuple[Fraction, ...], ...], vector: list[Fraction]) -> list[Fraction]:
        return [sum((a * b for a, b in zip(row, vector, strict=True)), Fraction(0)) for row in matrix]

    products = [a * b for a, b in zip(apply(found.filter, g), apply(found.data, d), strict=True)]
    assert apply(found.output, products) == [sum(d[i + k] * g[k] for k in range(3)) for i in range(outputs)]


def test_the_transform_of_the_weights_reads_constants_alone() -> None:
    for name in WINOGRAD:
        output = alternatives(conv2d(**PLAIN[0]))[name].output
        stages = {tensor.name: tensor for tensor in _all(output)}
        assert [t.name for t in stages["weights"].inputs] == ["weight_columns"]
        assert [(t.name, t.constant) for t in stages["weight_columns"].inputs] == [("w", True)]


def _all(output: Tensor) -> list[Tensor]:
    return [output, *(found for tensor in output.inputs for found in _all(tensor))]


def test_only_workloads_have_alternatives() -> None:
    with pytest.raises(UsageError, match="alternatives are those of a Workload, such as conv2d"):
        alternatives(get_operator("conv2d")().output)  # type: ignore[arg-type]
