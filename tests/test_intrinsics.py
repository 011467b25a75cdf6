"""Math functions of generated code, against NumPy in a wider type, on scalars and on vectors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import autotune
from autotune.targets.facts import TARGETS, Target
from autotune.tensor_expr import Expr, compute, exp, log, placeholder, tanh

pytestmark = pytest.mark.compiler
FUNCTIONS = {"exp": (exp, np.exp), "log": (log, np.log), "tanh": (tanh, np.tanh)}


def run(function: Callable[[Expr], Expr], values: np.ndarray, lanes: int) -> np.ndarray:
    x = placeholder(values.shape, str(values.dtype), "x")
    schedule = autotune.create_schedule(compute(values.shape, lambda i: function(x[i]), name="y"))
    if lanes > 1:
        schedule = schedule.split("y", "i", [lanes]).vectorize("y", "i.1")
    return autotune.build(schedule)(values)


def spread(dtype: str) -> np.ndarray:
    """Numbers of all magnitudes and both signs, more of them where the functions bend."""
    generator, info = np.random.default_rng(0), np.finfo(dtype)
    exponents = generator.uniform(np.log2(info.tiny), np.log2(info.max), 4001)
    near = generator.normal(size=4001)
    with np.errstate(over="ignore"):
        values = np.concatenate(
            [np.exp2(exponents), near, 1 + near / 100, 1 + near / 1e6, 10 * near, 100 * near, np.linspace(0.5, 2, 999)]
        )
    return np.concatenate([values, -values]).astype(dtype)


@pytest.mark.parametrize("lanes", [1, 8])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_accuracy(name: str, dtype: str, lanes: int) -> None:
    function, reference = FUNCTIONS[name]
    values = spread(dtype)
    with np.errstate(all="ignore"):
        exact = reference(values.astype(np.longdouble))
        wanted = exact.astype(dtype)
        got = run(function, values, lanes)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
        np.testing.assert_array_equal(np.isinf(got), np.isinf(wanted))
        normal = np.isfinite(wanted) & (abs(wanted) >= np.finfo(dtype).tiny)
        error = abs(got.astype(np.longdouble) - exact) / np.spacing(abs(wanted))
    assert error[normal].max() < 4
    assert abs(got[np.isfinite(wanted) & ~normal]).max(initial=0) <= np.finfo(dtype).tiny


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["log", "tanh"])
def test_special_values(name: str, dtype: str, lanes: int) -> None:
    function, reference = FUNCTIONS[name]
    info = np.finfo(dtype)
    values = np.array(
        [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, info.max, -info.max, info.tiny, -info.tiny], dtype
    )
    with np.errstate(all="ignore"):
        wanted = reference(values)
    got = run(function, values, lanes)
    np.testing.assert_allclose(got, wanted, rtol=4 * info.eps)
    np.testing.assert_array_equal(np.signbit(got[wanted == 0]), np.signbit(wanted[wanted == 0]))
    tiny = np.array([info.smallest_subnormal, info.tiny / 3], dtype)
    np.testing.assert_allclose(run(function, tiny, lanes), reference(tiny), rtol=1e-5, atol=info.tiny)


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_library_is_called(target: Target, dtype: str) -> None:
    x = placeholder((19,), dtype, "x")
    plain = autotune.create_schedule(compute((19,), lambda i: log(x[i]) + tanh(x[i]) + abs(x[i]), name="y"))
    for schedule in (plain, plain.split("y", "i", [4]).vectorize("y", "i.1")):
        lines = autotune.assemble(schedule, target).splitlines()
        assert not [line for line in lines if "@PLT" in line or "\tbl\t" in line or "\tcall" in line]
