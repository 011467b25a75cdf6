"""Reductions: definitions and kernels against NumPy over any axes, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from operator_checks import check_definition, check_kernels

from autotune.errors import UsageError
from autotune.tensor_expr.evaluate import evaluate
from autotune.tensor_expr.operators import get_operator, operators

REDUCTIONS = {name: op for name, op in operators().items() if op.family == "reduction"}
OVER_AXES = [name for name, op in REDUCTIONS.items() if op.params[1].name == "axes"]
OVER_ONE = [name for name, op in REDUCTIONS.items() if name.startswith("arg")]
CUMULATIVE = [name for name, op in REDUCTIONS.items() if name.startswith("cum")]


def test_every_reduction_is_in_a_group() -> None:
    assert {*OVER_AXES, *OVER_ONE, *CUMULATIVE} == set(REDUCTIONS) and OVER_ONE and CUMULATIVE


def cases(name: str) -> list[dict[str, Any]]:
    if name in CUMULATIVE:
        return [
            {"shape": "3,7,19", "axis": axis, "exclusive": exclusive, "reverse": reverse}
            for axis, exclusive, reverse in ((-1, 0, 0), (1, 1, 0), (0, 0, 1), (2, 1, 1))
        ] + [{"shape": "1", "axis": 0, "exclusive": True}]
    axis = "axis" if name in OVER_ONE else "axes"
    found: list[dict[str, Any]] = [
        {"shape": "3,7,19", axis: 1},
        {"shape": "3,7,19", axis: -1, "keepdims": True},
        {"shape": "37", axis: 0},
    ]
    if name in OVER_AXES:
        found += [{"shape": "5,1,6,7", "axes": "-1,0", "keepdims": True}, {"shape": "3,5,9", "axes": ""}]
    return found


@pytest.mark.parametrize("name", REDUCTIONS)
def test_definitions_equal_numpy(name: str) -> None:
    dtypes = REDUCTIONS[name].params[-1].help.split("one of ")[1].split(", ")
    for params in [*cases(name), *({"shape": "4,23", "dtype": dtype} for dtype in dtypes)]:
        check_definition(get_operator(name)(**params))


@pytest.mark.compiler
@pytest.mark.parametrize("name", REDUCTIONS)
def test_kernels_equal_numpy(name: str) -> None:
    for seed, params in enumerate(cases(name)):
        check_kernels(get_operator(name)(**params), seed)


@pytest.mark.compiler
@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("reduce_sum", "int32"),
        ("reduce_prod", "int64"),
        ("reduce_max", "int8"),
        ("reduce_min", "uint8"),
        ("argmax", "int16"),
        ("argmin", "bfloat16"),
        ("reduce_sum", "bfloat16"),
        ("reduce_log_sum_exp", "float16"),
        ("cumsum", "bfloat16"),
    ],
)
def test_kernels_of_other_dtypes(name: str, dtype: str) -> None:
    check_kernels(get_operator(name)(shape="5,33", dtype=dtype))


def test_exponentials_do_not_overflow() -> None:
    workload = get_operator("reduce_log_sum_exp")(shape="2,3", dtype="float64")
    x = np.array([[1000.0, 1000.0, -1000.0], [-2000.0, -2000.0, -2000.0]])
    np.testing.assert_allclose(evaluate(workload.output, {"x": x}), [1000 + np.log(2), -2000 + np.log(3)])


def test_the_first_of_equal_elements_counts() -> None:
    x = np.array([[2, 7, 7, 1, 1]], np.int32)
    for name, expected in (("argmax", 1), ("argmin", 3)):
        workload = get_operator(name)(shape="1,5", dtype="int32")
        assert evaluate(workload.output, {"x": x}).tolist() == [expected]


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("reduce_sum", {"axes": "2"}, "axes is 2; with 2 dimensions it is from -2 to 1"),
        ("reduce_sum", {"axes": "1,-1"}, "axes is '1,-1'; each axis is given once"),
        ("reduce_mean", {"dtype": "int32"}, "dtype is 'int32'; it is one of float32, float64"),
        ("argmax", {"axis": "last"}, "axis is 'last'; it must be a whole number"),
        ("argmin", {"dtype": "bool"}, "dtype is 'bool'; it is one of"),
    ],
)
def test_refusals(name: str, params: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        get_operator(name)(**params)
