"""Conversions and integer arithmetic have one meaning: in NumPy's evaluation, in constants and in generated code."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

import autotune
from autotune import cast, compute, placeholder, saturating_cast
from autotune.errors import UsageError
from autotune.schedules.schedule import create_schedule
from autotune.targets.facts import ARM_NEON, TARGETS, X86_AVX2, X86_AVX512
from autotune.targets.host import supports
from autotune.tensor_expr import Expr, Workload, dtypes
from autotune.tensor_expr.expr import Const, as_expr

pytestmark = pytest.mark.compiler
RUNNABLE = [target for target in (X86_AVX512, X86_AVX2, ARM_NEON) if supports(target)]


def values_of(dtype: str) -> np.ndarray:
    """Numbers where conversions bend: limits, ties, infinities, NaN, and random ones of all magnitudes."""
    generator = np.random.default_rng(0)
    if dtype == "bool":
        return np.array([False, True] * 9)
    if dtype in dtypes.INTEGERS:
        info = np.iinfo(dtype)
        edges = np.array([0, 1, 3, 100, 127, info.min, info.min + 1, info.max - 1, info.max], dtype)
        powers = np.array([2**24 + 1, 2**24 + 2**16 + 1, 2**30 + 2**22, 2**30 + 2**22 + 1]).astype(dtype)
        return np.concatenate([edges, powers, generator.integers(info.min, info.max, 24).astype(dtype)])
    edges = np.array(
        [0, -0.0, np.inf, -np.inf, np.nan, 0.5, 1.5, 2.5, -2.7, 127.9, 128, -128.5, 255.5, 256, 32768, 2.0**31,
         -(2.0**31), 2.0**63, -(2.0**63), 1e10, -1e30, 65504, 65519.9, 65520, 1e-8, 6e-8, 3.4e38, 1e39, 1 + 2**-8,
         1 + 2**-8 + 2**-30, 1 + 2**-11 + 2**-40, 1 + 3 * 2**-11]
    )  # fmt: skip
    spread = generator.normal(size=80) * 10.0 ** generator.integers(-8, 8, 80)
    with np.errstate(over="ignore"):
        return np.concatenate([edges, spread]).astype(dtype)


def run(function: Callable[[Expr], Expr], values: np.ndarray) -> list[np.ndarray]:
    """The function's values in generated code: scalar and in vectors that do not divide the length, on all targets."""
    x = placeholder(values.shape, values.dtype.name, "x")
    plain = create_schedule(compute(values.shape, lambda i: function(x[i]), name="y"))
    schedules = (plain, plain.split("y", "i", [8]).vectorize("y", "i.1"))
    return [autotune.build(schedule, target)(values) for schedule in schedules for target in RUNNABLE]


def equal(a: np.ndarray, b: np.ndarray) -> bool:
    """Bit for bit, but for the payload of NaN."""
    same = (a == b) & (np.signbit(a.astype(np.float64)) == np.signbit(b.astype(np.float64)))
    return a.dtype == b.dtype and bool((same | ((a != a) & (b != b))).all())


def wide(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float64) if dtypes.is_float(values.dtype.name) else values


@pytest.mark.parametrize("source", dtypes.DTYPES)
def test_generated_casts_equal_the_reference(source: str) -> None:
    values = values_of(source)
    for target in dtypes.DTYPES:
        with np.errstate(all="ignore"):
            wanted = dtypes.converted(wide(values), target).astype(target)
        for got in run(lambda value, target=target: cast(value, target), values):  # type: ignore[misc]
            assert equal(got, wanted), (target, values[got != wanted], got[got != wanted], wanted[got != wanted])


@pytest.mark.parametrize(("source", "target"), [*product(dtypes.DTYPES, dtypes.DTYPES)])
def test_constants_are_cast_alike(source: str, target: str) -> None:
    for value in values_of(source):
        folded = cast(as_expr(value.item(), source), target)
        assert isinstance(folded, Const)
        with np.errstate(all="ignore"):
            wanted = dtypes.converted(wide(np.asarray(value)), target)
        assert np.array_equal(np.asarray(folded.value), wanted, equal_nan=dtypes.is_float(target))


FLOAT_TO_INTEGER = [
    ("int8", [np.nan, np.inf, -np.inf, 127.9, 128, -129, 2.7, -2.7], [0, 127, -128, 127, 127, -128, 2, -2]),
    ("uint8", [np.nan, np.inf, -0.9, -1, 255.9, 256, 2.5], [0, 255, 0, 0, 255, 255, 2]),
    ("int32", [3e9, -3e9, np.nan, 2147483520.0], [2**31 - 1, -(2**31), 0, 2147483520]),
    ("int64", [1e19, -1e19, 2.0**62], [2**63 - 1, -(2**63), 2**62]),
    ("bool", [0.0, -0.0, np.nan, 0.25], [False, False, True, True]),
]  # fmt: skip


@pytest.mark.parametrize(("target", "given", "wanted"), FLOAT_TO_INTEGER, ids=lambda value: str(value)[:8])
def test_floating_point_saturates(target: str, given: list[float], wanted: list[int]) -> None:
    for got in run(lambda value: cast(value, target), np.array(given, np.float32)):
        assert got.tolist() == wanted


def test_integers_wrap() -> None:
    given = np.array([127, 128, 255, 256, -129, 2**31 - 1, -(2**31)], np.int32)
    for got in run(lambda value: cast(value, "int8"), given):
        assert got.tolist() == [127, -128, -1, 0, 127, -1, 0]


SATURATED = [
    ("int32", "int8", [127, 128, -128, -129, 5], [127, 127, -128, -128, 5]),
    ("int32", "uint8", [-1, 0, 255, 256], [0, 0, 255, 255]),
    ("uint8", "int8", [0, 127, 128, 255], [0, 127, 127, 127]),
    ("int8", "int32", [-128, 127], [-128, 127]),
    ("float32", "int8", [np.nan, 300, -300, -1.5], [0, 127, -128, -1]),
    ("float64", "float16", [1e6, -1e6, np.inf, 1.5], [65504, -65504, 65504, 1.5]),
    ("int32", "float16", [100000, -100000, 7], [65504, -65504, 7]),
    ("bfloat16", "float16", [70144, -1e19, np.inf, 1.5], [65504, -65504, 65504, 1.5]),
]


@pytest.mark.parametrize(("source", "target", "given", "wanted"), SATURATED, ids=lambda value: str(value)[:8])
def test_saturating_casts(source: str, target: str, given: list[float], wanted: list[float]) -> None:
    values = np.array(given, np.dtype(source))
    for got in run(lambda value: saturating_cast(value, target), values):
        assert got.tolist() == wanted
    x = placeholder(values.shape, source, "x")
    workload = Workload(compute(values.shape, lambda i: saturating_cast(x[i], target), name="y"))
    assert workload.compute_reference({"x": values}).tolist() == wanted


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_no_library_is_called(target: object, lanes: int) -> None:
    for source in ("float64", "float16", "bfloat16", "int64"):
        x = placeholder((19,), source, "x")
        for dtype in ("float16", "bfloat16", "int64", "uint8"):
            schedule = create_schedule(compute((19,), lambda i: cast(x[i], dtype), name="y"))  # noqa: B023
            if lanes > 1:
                schedule = schedule.split("y", "i", [lanes]).vectorize("y", "i.1")
            lines = autotune.assemble(schedule, target).splitlines()  # type: ignore[arg-type]
            assert not [line for line in lines if "@PLT" in line or "\tbl\t" in line or "\tcall" in line]


# -- integer arithmetic ----------------------------------------------------------------------------------------------

OPERATIONS: dict[str, Callable[[Expr, Expr], Expr]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "//": lambda a, b: a // b,
    "%": lambda a, b: a % b, "&": lambda a, b: a & b, "|": lambda a, b: a | b, "^": lambda a, b: a ^ b,
    "<<": lambda a, b: a << b, ">>": lambda a, b: a >> b, "~": lambda a, b: ~a ^ b, "fmod": autotune.fmod,
}  # fmt: skip


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("dtype", dtypes.INTEGERS)
def test_integer_arithmetic_equals_numpy(dtype: str, operation: str) -> None:
    """Overflow, division by 0 and by -1, and shifts beyond the width or by negative amounts."""
    info = np.iinfo(dtype)
    edges = np.array([0, 1, 2, 3, 7, 8, 63, 64, 100, info.max, info.max - 1, info.min, info.min + 1], dtype)
    edges = np.concatenate([edges, (0 - edges[1:6]).astype(dtype)])
    a, b = (grid.ravel().copy() for grid in np.meshgrid(edges, edges))
    function = OPERATIONS[operation]
    x, y = placeholder(a.shape, dtype, "x"), placeholder(b.shape, dtype, "y")
    output = compute(a.shape, lambda i: function(x[i], y[i]), name="z")
    with np.errstate(all="ignore"):
        wanted = Workload(output).compute_reference({"x": a, "y": b})
    meaning = {"//": np.floor_divide, "<<": np.left_shift, ">>": np.right_shift, "%": np.mod, "fmod": np.fmod}
    if operation in meaning:
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(wanted, meaning[operation](a, b))
    plain = create_schedule(output)
    for schedule in (plain, plain.split("z", "i", [8]).vectorize("z", "i.1")):
        for target in RUNNABLE:
            np.testing.assert_array_equal(autotune.build(schedule, target)(a, b), wanted)


def test_what_the_edges_give() -> None:
    a = np.array([5, -5, -128, 1, 1, -1, -1], np.int8)
    b = np.array([0, 0, -1, 8, -1, 8, -1], np.int8)
    got = {name: OPERATIONS[name] for name in ("//", "%", "<<", ">>")}
    x, y = placeholder(a.shape, "int8", "x"), placeholder(b.shape, "int8", "y")
    results = {
        name: autotune.build(create_schedule(compute(a.shape, lambda i: fn(x[i], y[i]), name="z")))(a, b).tolist()  # noqa: B023
        for name, fn in got.items()
    }
    assert results == {
        "//": [0, 0, -128, 0, -1, -1, 1], "%": [0, 0, 0, 1, 0, 7, 0], "<<": [5, -5, 0, 0, 0, 0, 0],
        ">>": [5, -5, -1, 0, 0, -1, -1],
    }  # fmt: skip


REFUSED: dict[str, Callable[[Expr, Expr], object]] = {
    "// by the constant 0": lambda n, x: n // 0,
    "% by the constant 0": lambda n, x: n % 0,
    "need bool or integer operands, got float32": lambda n, x: x << 1,
    "unknown dtype 'int4'": lambda n, x: saturating_cast(n, "int4"),
    "arithmetic needs numbers, got bool": lambda n, x: (n > 0) << (n > 1),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refusals(message: str) -> None:
    n, x = placeholder((3,), "int32", "n"), placeholder((3,), "float32", "x")
    with pytest.raises(UsageError, match=message):
        REFUSED[message](n[0], x[0])
