"""Math functions of generated code, against NumPy in a wider type, on scalars and on vectors."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

import autotune
from autotune import placeholder
from autotune.errors import UsageError
from autotune.targets.facts import TARGETS, Target
from autotune.tensor_expr import Expr, compute, functions

pytestmark = pytest.mark.compiler
# The function in NumPy, and the greatest error in units in the last place that the function's docstring states.
FUNCTIONS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], float]] = {
    "exp": (np.exp, 2), "exp2": (np.exp2, 2), "expm1": (np.expm1, 8), "log": (np.log, 2), "log2": (np.log2, 4),
    "log1p": (np.log1p, 8), "tanh": (np.tanh, 3), "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 4),
    "erf": (np.vectorize(math.erf, [np.longdouble]), 3), "sin": (np.sin, 2), "cos": (np.cos, 2), "tan": (np.tan, 4),
    "asin": (np.arcsin, 4), "acos": (np.arccos, 4), "atan": (np.arctan, 3), "sinh": (np.sinh, 8), "cosh": (np.cosh, 6),
    "asinh": (np.arcsinh, 8), "acosh": (np.arccosh, 8), "atanh": (np.arctanh, 8),
    "rsqrt": (lambda x: 1 / np.sqrt(x), 2), "sqrt": (np.sqrt, 0.5), "reciprocal": (lambda x: 1 / x, 0.5),
    "floor": (np.floor, 0), "ceil": (np.ceil, 0),
    "trunc": (np.trunc, 0), "round": (np.rint, 0), "absolute": (np.abs, 0), "sign": (np.sign, 0),
}  # fmt: skip
PERIODIC = ("sin", "cos", "tan")  # up to 2**50
PAIRS: dict[str, tuple[Callable[..., Expr], Callable[..., np.ndarray]]] = {
    "pow": (lambda a, b: a**b, np.power), "fmod": (functions.fmod, np.fmod), "mod": (lambda a, b: a % b, np.mod),
    "floordiv": (lambda a, b: a // b, np.floor_divide),
}  # fmt: skip


def run(function: Callable[..., Expr], lanes: int, *operands: np.ndarray) -> np.ndarray:
    count = len(operands[0])
    given = [placeholder((count,), str(array.dtype), name) for array, name in zip(operands, "xy", strict=False)]
    schedule = autotune.create_schedule(compute((count,), lambda i: function(*(x[i] for x in given)), name="out"))
    if lanes > 1:
        schedule = schedule.split("out", "i", [lanes]).vectorize("out", "i.1")
    return autotune.build(schedule)(*operands)


def spread(dtype: str) -> np.ndarray:
    """Numbers of all magnitudes and both signs, more of them where the functions bend."""
    generator, info = np.random.default_rng(0), np.finfo(dtype)
    exponents = generator.uniform(np.log2(info.tiny), np.log2(info.max), 2001)
    near = generator.normal(size=2001)
    with np.errstate(over="ignore"):
        values = np.concatenate(
            [np.exp2(exponents), near, 1 + near / 100, 1 + near / 1e6, 10 * near, 100 * near, np.linspace(0.5, 2, 999)]
        )
    return np.concatenate([values, -values]).astype(dtype)


@pytest.mark.parametrize("lanes", [1, 8])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_accuracy(name: str, dtype: str, lanes: int) -> None:
    reference, bound = FUNCTIONS[name]
    values = spread(dtype)
    if name in PERIODIC:
        values = values[abs(values) < 2.0**50]
    with np.errstate(all="ignore"):
        exact = reference(values.astype(np.longdouble))
        wanted = exact.astype(dtype)
        got = run(getattr(functions, name), lanes, values)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(wanted))
        np.testing.assert_array_equal(np.isinf(got), np.isinf(wanted))
        normal = np.isfinite(wanted) & (abs(wanted) >= np.finfo(dtype).tiny)
        error = abs(got.astype(np.longdouble) - exact) / np.spacing(abs(wanted))
    assert error[normal].max(initial=0) <= bound
    assert abs(got[np.isfinite(wanted) & ~normal]).max(initial=0) <= np.finfo(dtype).tiny


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values(name: str, dtype: str, lanes: int) -> None:
    function, (reference, _) = getattr(functions, name), FUNCTIONS[name]
    info = np.finfo(dtype)
    values = np.array(
        [0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 0.5, 1.5, 2.5, -2.5, info.max, -info.max, info.tiny, -info.tiny],
        dtype,
    )
    if name in PERIODIC:
        values = values[~(abs(values) == info.max)]
    with np.errstate(all="ignore"):
        wanted = reference(values.astype(np.longdouble)).astype(dtype)
        got = run(function, lanes, values)
        np.testing.assert_allclose(got, wanted, rtol=8 * info.eps, atol=info.tiny)
        if name not in ("erf", "sign"):  # which keep the sign of zero, other than Python's erf and NumPy's sign
            np.testing.assert_array_equal(np.signbit(got[wanted == 0]), np.signbit(wanted[wanted == 0]))
        tiny = np.array([info.smallest_subnormal, info.tiny / 3], dtype)
        if name not in ("rsqrt", "reciprocal"):
            wanted = reference(tiny.astype(np.longdouble)).astype(dtype)
            np.testing.assert_allclose(run(function, lanes, tiny), wanted, rtol=1e-5, atol=info.tiny)


def test_angles_beyond_the_reduction_are_refused_by_nan() -> None:
    values = np.array([2.0**50, 2.0**51, -(2.0**60)], np.float64)
    got = run(functions.sin, 1, values)
    assert got[0] == pytest.approx(np.sin(2.0**50), abs=1e-15)
    assert np.isnan(got[1:]).all()


@pytest.mark.parametrize("lanes", [1, 8])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
class TestPairs:
    @pytest.mark.parametrize("name", PAIRS)
    def test_special_values(self, name: str, dtype: str, lanes: int) -> None:
        function, reference = PAIRS[name]
        info = np.finfo(dtype)
        edges = [0, -0.0, 1, -1, 2, -2, 0.5, -0.5, 3, -3, 2.5, -2.5, 1e10, -(2.0**33), np.inf, -np.inf, np.nan]
        a, b = (
            grid.ravel().copy() for grid in np.meshgrid(np.array([*edges, info.tiny], dtype), np.array(edges, dtype))
        )
        with np.errstate(all="ignore"):
            wanted = reference(a, b)
        got = run(function, lanes, a, b)
        np.testing.assert_allclose(got, wanted, rtol=4 * info.eps)
        np.testing.assert_array_equal(np.signbit(got[wanted == 0]), np.signbit(wanted[wanted == 0]))

    @pytest.mark.parametrize("name", ["fmod", "mod", "floordiv"])
    def test_divisions_are_exact(self, name: str, dtype: str, lanes: int) -> None:
        function, reference = PAIRS[name]
        generator = np.random.default_rng(2)
        a = (generator.normal(size=3001) * 10.0 ** generator.integers(-5, 30, 3001)).astype(dtype)
        b = generator.normal(size=3001).astype(dtype)
        np.testing.assert_array_equal(run(function, lanes, a, b), reference(a, b))

    def test_remainders_beyond_reach_are_nan(self, dtype: str, lanes: int) -> None:
        """Quotients of 2**150 and more: no number that is left over by chance."""
        a = (np.random.default_rng(3).uniform(1, 2, 501) * 2.0**120).astype(dtype)
        for quotient in (-100, -70, -60):
            got = run(functions.fmod, lanes, a, np.full(501, 2.0**quotient / 3, dtype))
            assert np.isnan(got).all()

    def test_pow(self, dtype: str, lanes: int) -> None:
        generator = np.random.default_rng(1)
        largest = float(np.log2(float(np.finfo(dtype).max)))
        base = np.exp2(generator.uniform(-0.9, 0.9, 2001))
        near = generator.uniform(-largest, largest, 2001) / np.log2(base)  # powers of all magnitudes
        base = np.concatenate([base, np.exp2(generator.uniform(-largest, largest, 2001))]).astype(dtype)
        power = np.concatenate([near, generator.normal(size=2001)]).astype(dtype)
        with np.errstate(all="ignore"):
            exact = np.power(base.astype(np.longdouble), power.astype(np.longdouble))
            wanted = exact.astype(dtype)
            got = run(functions.pow, lanes, base, power)
            normal = np.isfinite(wanted) & (wanted >= np.finfo(dtype).tiny)
            error = abs(got.astype(np.longdouble) - exact) / np.spacing(wanted)
        np.testing.assert_array_equal(np.isinf(got), np.isinf(wanted))
        assert error[normal].max() <= (1 if dtype == "float32" else 4)


def test_tests_of_floats() -> None:
    values = np.array([0, -1, np.inf, -np.inf, np.nan], np.float32)
    for name in ("isnan", "isinf", "isfinite"):
        np.testing.assert_array_equal(run(getattr(functions, name), 1, values), getattr(np, name)(values))


REFUSED = {
    "pow takes 2 operands, got 1": lambda x, n: autotune.call("pow", x),
    "sqrt takes 1 operand, got 2": lambda x, n: autotune.call("sqrt", x, x),
    "sin needs a floating point operand, got int32": lambda x, n: functions.sin(n),
    "isnan needs a floating point operand, got int32": lambda x, n: functions.isnan(n),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refusals(message: str) -> None:
    x, n = placeholder((3,), "float32", "x"), placeholder((3,), "int32", "n")
    with pytest.raises(UsageError, match=message):
        REFUSED[message](x[0], n[0])


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_library_is_called(target: Target, dtype: str) -> None:
    x = placeholder((19,), dtype, "x")

    def everything(i: Expr) -> Expr:
        one_operand = [getattr(functions, name)(x[i]) for name in FUNCTIONS]
        two_operands = [function(x[i], x[18 - i]) for function, _ in PAIRS.values()]
        return sum([*one_operand, *two_operands], start=x[i])

    plain = autotune.create_schedule(compute((19,), everything, name="y"))
    for schedule in (plain, plain.split("y", "i", [4]).vectorize("y", "i.1")):
        lines = autotune.assemble(schedule, target).splitlines()
        assert not [line for line in lines if "@PLT" in line or "\tbl\t" in line or "\tcall" in line]
