"""Workloads: canonical texts and keys that are equal everywhere, FLOP and byte counts, references."""
# ruff: noqa: E501  (tables of messages and texts stay one line an entry)

from __future__ import annotations

import numpy as np
import pytest

from autotune.errors import UsageError
from autotune.tensor_expr import Workload, compute, placeholder, reduce_axis
from autotune.tensor_expr import sum as total
from autotune.tensor_expr.evaluate import evaluate
from autotune.tensor_expr.operators import get_operator

CONV = {
    "batch": 2, "in_channels": 4, "out_channels": 6, "height": 9, "width": 7, "kernel": "3,2", "stride": "2,1",
    "padding": "1,0,2,3", "dilation": "1,2", "groups": 2,
}  # fmt: skip


def dot() -> Workload:
    x, w = placeholder((3, 5), "float32", "x"), placeholder((5,), "float32", "w", constant=True)
    k = reduce_axis(5, "k")
    return Workload(compute((3,), lambda i: total(x[i, k] * w[k], axis=k), name="y"))


GOLDEN = [
    (
        get_operator("conv2d")(),
        "conv2d(batch=1, dilation=1,1, dtype=float32, groups=1, height=28, in_channels=128, kernel=3,3, out_channels=128, "
        "padding=1,1,1,1, stride=1,1, width=28)",
        "062f51f36f5e242fd53ea292f03faebcd48f609e352b248c290e7ab308b24428",
    ),
    (
        get_operator("matmul")(m=3, n=5, k=7),
        "matmul(constant_b=False, dtype=float32, k=7, m=3, n=5, transpose_a=False, transpose_b=False)",
        "3ad6d9636e2cec048082867455dd25406e89f294f1e98ed2dc1ec7dfbda672f7",
    ),
    (
        dot(),
        "expression float32[3,5]; float32[5] const; float32[3|5]=(reduce sum (mul (read 0 axis 0 axis 1) (read 1 axis 1)))",
        "d0a27de18f8c5b2aea1f6eac321d7228d106e78c65dbe21fb4454f4eb86d7e7e",
    ),
]


@pytest.mark.parametrize(("workload", "text", "key"), GOLDEN, ids=["conv2d", "matmul", "expression"])
def test_text_and_key_never_change(workload: Workload, text: str, key: str) -> None:
    assert (workload.text, workload.key) == (text, key)


def test_counts() -> None:
    workload = get_operator("conv2d")()
    assert workload.flops == 2 * 128 * 28 * 28 * 128 * 9
    assert workload.bytes == 4 * (128 * 28 * 28 * 2 + 128 * 128 * 9)
    assert dot().flops == 2 * 3 * 5


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
@pytest.mark.parametrize(
    ("name", "params"),
    [("conv2d", CONV), ("matmul", {"m": 3, "n": 4, "k": 5, "transpose_a": True, "transpose_b": True})],
)
def test_the_definition_agrees_with_the_reference(name: str, params: dict[str, int | str], dtype: str) -> None:
    workload = get_operator(name)(**params, dtype=dtype)
    inputs = workload.random_inputs(3)
    assert np.allclose(evaluate(workload.output, inputs), workload.compute_reference(inputs))


def test_random_inputs_are_seeded_and_typed() -> None:
    workload = get_operator("matmul")(m=3, n=4, k=5, dtype="int32")
    first, second = workload.random_inputs(1), workload.random_inputs(1)
    assert all(np.array_equal(first[name], second[name]) and first[name].dtype == np.int32 for name in first)


REFUSED = [
    ("conv2d", {"groups": 3}, r"groups is 3, which must divide in_channels \(128\) and out_channels \(128\)"),
    (
        "conv2d",
        {"kernel": "40", "padding": "0"},
        r"the kernel spans 40x40 with its dilation, more than the padded input's 28x28",
    ),
    ("conv2d", {"height": 0}, r"height is 0; it must be a whole number from 1"),
    ("conv2d", {"stride": "1,2,3"}, r"stride is '1,2,3'; it takes one number or 2"),
    ("conv2d", {"padding": "x"}, r"padding is 'x'; it must be a whole number of at least 0"),
    ("conv2d", {"dtype": "bool"}, r"conv2d takes dtype float32, float64, float16, bfloat16, int32, got 'bool'"),
    ("conv2d", {"colour": 1}, r"unknown parameter of conv2d 'colour'; known: batch, dilation"),
    ("matmul", {"m": 2**40}, r"m is 1099511627776; it must be a whole number from 1 to"),
    ("matmul", {"k": "many"}, r"k is 'many'; it must be a whole number"),
]


@pytest.mark.parametrize(("name", "params", "message"), REFUSED)
def test_refusals(name: str, params: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        get_operator(name)(**params)


def test_unknown_operator_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"unknown operator 'conv9d'; .*\bconv2d\b"):
        get_operator("conv9d")
