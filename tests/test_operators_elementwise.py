"""Element-wise operators: definitions and kernels against NumPy, every dtype, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from operator_checks import check_definition, check_kernels

from autotune.errors import UsageError
from autotune.schedules.schedule import create_schedule
from autotune.targets.callable import Kernel
from autotune.targets.host import native_target
from autotune.targets.llvm.build import build
from autotune.tensor_expr import Workload
from autotune.tensor_expr.operators import Operator, get_operator, operators

ELEMENTWISE = {name: op for name, op in operators().items() if op.family == "element-wise"}
UNARY = [name for name, op in ELEMENTWISE.items() if op.params[0].name == "shape"]
BINARY = [name for name, op in ELEMENTWISE.items() if op.params[0].name == "a"]
TERNARY = ["where"]


def known_dtypes(operator: Operator) -> list[str]:
    (param,) = (p for p in operator.params if p.name == "dtype")
    return param.help.split("one of ")[1].split(", ")


def small(name: str, **params: Any) -> Workload:
    """The operator at a small, odd shape; binary ones broadcast both operands."""
    if name == "where":
        return get_operator(name)(**{"condition": "5,1", "a": "3,1,37", "b": "5,37", **params})
    if name in BINARY:
        return get_operator(name)(**{"a": "3,1,37", "b": "5,1", **params})
    return get_operator(name)(**{"shape": "3,37", **params})


def test_every_operator_is_in_a_group() -> None:
    assert {*UNARY, *BINARY, *TERNARY} == set(ELEMENTWISE)


@pytest.mark.parametrize(
    ("name", "dtype"), [(name, dtype) for name, operator in ELEMENTWISE.items() for dtype in known_dtypes(operator)]
)
def test_definitions_equal_numpy(name: str, dtype: str) -> None:
    check_definition(small(name, dtype=dtype))


@pytest.mark.compiler
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_kernels_equal_numpy(name: str) -> None:
    check_kernels(small(name), seed=len(name))


@pytest.mark.compiler
@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("abs", {"dtype": "int8"}), ("neg", {"dtype": "float64"}), ("sign", {"dtype": "uint8"}),
        ("relu", {"dtype": "int32"}), ("bitwise_not", {"dtype": "uint8"}), ("gelu", {"approximate": True}),
        ("clip", {"low": 1.0, "high": -1.0}), ("celu", {"alpha": 0.5}), ("elu", {"alpha": 2.0}),
        ("shrink", {"lambd": 1.5, "bias": 0.5}), ("swish", {"alpha": 2.0}), ("hard_sigmoid", {"alpha": 0.3}),
        ("add", {"dtype": "int8"}), ("mul", {"dtype": "uint8"}), ("div", {"dtype": "int64"}),
        ("min", {"dtype": "int16"}), ("mod", {"fmod": True}), ("mod", {"dtype": "float64", "fmod": True}),
        ("mod", {"dtype": "int64"}),
        ("bit_shift", {"right": True}), ("less", {"dtype": "uint8"}), ("prelu", {"dtype": "int32"}),
        ("where", {"dtype": "bool"}), ("cast", {"to": "float64"}), ("cast", {"to": "bool"}), ("cast", {"to": "uint8"}),
        ("cast", {"dtype": "bool", "to": "float32"}), ("cast", {"dtype": "int64", "to": "int8"}),
        ("add", {"a": "1", "b": "1"}), ("add", {"a": "7,1", "b": "1,11"}), ("exp", {"shape": "1,1,1"}),
        ("tanh", {"shape": "2,3,1,5,7"}),
        ("gelu", {"dtype": "bfloat16"}), ("softplus", {"dtype": "float16"}), ("pow", {"dtype": "bfloat16"}),
        ("less", {"dtype": "float16"}), ("where", {"dtype": "float16"}), ("isnan", {"dtype": "float16"}),
        ("cast", {"dtype": "bfloat16", "to": "int8"}), ("cast", {"dtype": "float64", "to": "bfloat16"}),
    ],
)  # fmt: skip
def test_kernels_of_other_dtypes_shapes_and_parameters(name: str, params: dict[str, Any]) -> None:
    check_definition(small(name, **params))
    check_kernels(small(name, **params), seed=len(str(params)))


def run(name: str, *arrays: np.ndarray, **params: Any) -> np.ndarray:
    """The operator's kernel on arrays of one shape."""
    shape = ",".join(map(str, arrays[0].shape))
    shapes = {"shape": shape} if len(arrays) == 1 else {"a": shape, "b": shape}
    workload = get_operator(name)(**shapes, dtype=arrays[0].dtype.name, **params)
    return Kernel(build(create_schedule(workload.output), native_target(), 1))(*arrays)


INF, NAN = float("inf"), float("nan")


@pytest.mark.compiler
def test_infinities_and_nan() -> None:
    x = np.array([0.0, -INF, INF, NAN, 1.0], np.float32)
    assert run("isnan", x).tolist() == [False, False, False, True, False]
    assert run("isinf", x).tolist() == [False, True, True, False, False]
    assert run("isinf", x, ignore_negative=True).tolist() == [False, False, True, False, False]
    assert run("isinf", x, ignore_positive=True).tolist() == [False, True, False, False, False]
    assert not run("isinf", x, ignore_negative=True, ignore_positive=True).any()
    np.testing.assert_array_equal(run("sigmoid", x), np.float32([0.5, 0, 1, NAN, 1 / (1 + np.exp(-1.0))]))
    for name, limits in {"relu": [0, INF, NAN], "softplus": [0, INF, NAN], "tanh": [-1, 1, NAN]}.items():
        np.testing.assert_array_equal(run(name, x)[1:4], np.float32(limits), err_msg=name)


@pytest.mark.compiler
def test_large_arguments_do_not_overflow() -> None:
    x = np.array([-200.0, -90.0, 90.0, 200.0], np.float32)
    np.testing.assert_allclose(run("softplus", x), np.logaddexp(0, x.astype(float)), rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(run("mish", x), [0, 0, 90, 200], atol=1e-30)
    np.testing.assert_allclose(run("silu", x), [0, 0, 90, 200], atol=1e-30)
    np.testing.assert_allclose(run("elu", x), [-1, -1, 90, 200])


@pytest.mark.compiler
def test_integer_division_and_remainders_have_onnx_signs() -> None:
    a, b = np.array([7, -7, 7, -7, 6, 5], np.int32), np.array([2, 2, -2, -2, -3, 1], np.int32)
    assert run("div", a, b).tolist() == [3, -3, -3, 3, -2, 5]
    assert run("mod", a, b).tolist() == [1, 1, -1, -1, 0, 0]
    assert run("mod", a, b, fmod=True).tolist() == [1, -1, 1, -1, 0, 0]


@pytest.mark.compiler
def test_halves_are_rounded_to_even() -> None:
    x = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5], np.float32)
    assert run("round", x).tolist() == [-2, -2, 0, 0, 2, 2]


def test_one_operation_an_element() -> None:
    assert get_operator("gelu")(shape="3,5").flops == 15
    assert get_operator("add")(a="3,1", b="5").flops == 15


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("relu", {"shape": "1,0"}, "shape is 0; it must be a whole number from 1"),
        ("relu", {"shape": ""}, "shape is empty; a single value has the shape 1"),
        ("relu", {"dtype": "uint8"}, "dtype is 'uint8'; it is one of float32, float64"),
        ("leaky_relu", {"alpha": "steep"}, "alpha is 'steep'; it must be a number"),
        ("leaky_relu", {"alpha": INF}, "alpha is inf; it must be finite"),
        ("celu", {"alpha": 0}, "alpha is 0; celu divides by it"),
        ("not", {"dtype": "int8"}, "dtype is 'int8'; it is one of bool"),
        ("add", {"a": "3,4", "b": "3"}, "the shapes 3,4 and 3 do not broadcast to one shape"),
        ("add", {"dtype": "bool"}, "dtype is 'bool'; it is one of"),
        ("where", {"condition": "2", "a": "3", "b": "1"}, "the shapes 2 and 3 and 1 do not broadcast to one shape"),
        ("cast", {"to": "complex64"}, "to is 'complex64'; it is one of"),
    ],
)  # fmt: skip
def test_refusals(name: str, params: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        get_operator(name)(**params)
