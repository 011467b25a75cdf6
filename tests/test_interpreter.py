"""The interpreter of loop IR: the values that generated code computes, and each kind of fault, named."""

from __future__ import annotations

import time

import numpy as np
import pytest
from differential import inputs_of
from operators_for_tests import matmul

from autotune.lowering.interpreter import Fault, TooLarge, interpret, packed, unpacked
from autotune.lowering.ir import Allocate, Buffer, For, Function, If, Param, Stmt, Store, block
from autotune.lowering.pipeline import lower
from autotune.schedules.layout import Dim, Layout
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.targets.facts import X86_AVX512, Target
from autotune.tensor_expr import compute, placeholder, select
from autotune.tensor_expr.evaluate import evaluate
from autotune.tensor_expr.expr import Binary, Call, Cast, Expr, Load, Select, Var, const

ROW, COL = Var("int64", "i"), Var("int64", "j")
X, Y = Buffer("x", "float32", (8,), "input"), Buffer("y", "float32", (8,), "output")
T = Buffer("t", "float32", (8,))
ONES = np.ones(8, np.float32)


def n(value: int) -> Expr:
    return const(value, "int64")


def load(buffer: Buffer, *indices: Expr) -> Load:
    return Load(buffer.dtype, buffer, indices)


def loop(body: Stmt, kind: str = "serial", var: Var = ROW, extent: int = 8) -> For:
    return For(var, n(extent), kind, body, extent if kind == "vectorize" else 0)


def function(body: Stmt, *buffers: Buffer) -> Function:
    return Function("kernel", tuple(Param(buffer, buffer.shape, None) for buffer in buffers or (X, Y)), body)


def run(body: Stmt, *buffers: Buffer, given: np.ndarray = ONES) -> np.ndarray:
    return interpret(function(body, *buffers), [given])[0]


def interpreted(schedule: Schedule, target: Target = X86_AVX512) -> np.ndarray:
    lowered = lower(schedule, target, check=True)
    inputs = inputs_of(schedule.output, 0)
    return interpret(lowered, [inputs[param.buffer.name] for param in lowered.params if param.buffer.name in inputs])[0]


COPY = Store(Y, (ROW,), load(X, ROW))

FAULTS = {
    "out of bounds": {
        "out-of-bounds read of x[8], whose shape is [8], in loop 'i', at i = 7, by: y[i] = x[i + 1]": loop(
            Store(Y, (ROW,), load(X, ROW + 1))
        ),
        "out-of-bounds read of x[-1], whose shape is [8], in loop 'i', at i = 0, by: y[i] = x[i - 1]": loop(
            Store(Y, (ROW,), load(X, ROW - 1))
        ),
        "out-of-bounds write of y[8], whose shape is [8], in loop 'i', at i = 8, by: y[i] = x[0]": loop(
            Store(Y, (ROW,), load(X, n(0))), extent=9
        ),
    },
    "uninitialised": {
        "read of uninitialised memory t[0], in loop 'i', at i = 0, by: y[i] = t[i]": Allocate(
            T, loop(Store(Y, (ROW,), load(T, ROW)))
        ),
        # What an earlier iteration has written is gone: its buffer was another one.
        "read of uninitialised memory t[0], in loop 'i', at i = 1, by: y[i] = t[0]": loop(
            Allocate(
                T,
                block(If(ROW < 1, Store(T, (n(0),), const(1, "float32"))), Store(Y, (ROW,), load(T, n(0)))),
            )
        ),
        "read of uninitialised memory y[0], in loop 'i', at i = 0, by: y[i] = y[i] + x[i]": loop(
            Store(Y, (ROW,), load(Y, ROW) + load(X, ROW))
        ),
    },
    "unwritten": {
        "output 'y' is not written: 1 of its elements, first y[7]": loop(COPY, extent=7),
        "output 'y' is not written: 3 of its elements, first y[0]": loop(If(ROW >= 3, COPY)),
    },
    "race": {
        # A sum that iterations share, started before the loop.
        "race in parallel loop 'i' on y[0]: iteration ": block(
            loop(Store(Y, (COL,), const(0, "float32")), var=COL),
            loop(Store(Y, (n(0),), load(Y, n(0)) + load(X, ROW)), "parallel"),
        ),
        # Two lanes write the same half.
        "race in vectorised loop 'i' on y[": block(loop(COPY), loop(Store(Y, (ROW // 2,), load(X, ROW)), "vectorize")),
        # What one lane writes another lane reads, in another statement.
        "it by: y[i] = t[7 - i]": Allocate(
            T,
            block(
                loop(Store(T, (COL,), const(0, "float32")), var=COL),
                loop(block(Store(T, (ROW,), load(X, ROW)), Store(Y, (ROW,), load(T, 7 - ROW))), "vectorize"),
            ),
        ),
        # A buffer outside of the loop, as scratch memory of every iteration.
        "race in parallel loop 'i' on t[0]": Allocate(
            T, loop(block(Store(T, (n(0),), load(X, ROW)), Store(Y, (ROW,), load(T, n(0)))), "parallel")
        ),
    },
    "lanes": {
        "vectorised loop 'j' runs 5 lanes of 4, in loop 'i', at i = 4": loop(
            For(COL, ROW + 1, "vectorize", Store(Y, (COL,), load(X, COL)), 4)
        )
    },
}


@pytest.mark.parametrize("kind, message", [(kind, message) for kind, bodies in FAULTS.items() for message in bodies])
def test_a_fault_is_found_and_named(kind: str, message: str) -> None:
    with pytest.raises(Fault) as found:
        run(FAULTS[kind][message])
    assert message in str(found.value)
    assert found.value.kind == kind


def test_a_race_names_both_accesses() -> None:
    body = block(COPY_ALL, loop(Store(Y, (n(0),), load(X, ROW)), "parallel", extent=2))
    with pytest.raises(Fault) as found:
        run(body)
    assert "iteration 0 writes it by: y[0] = x[i]" in str(found.value)
    assert "iteration 1 writes it by: y[0] = x[i]" in str(found.value)


COPY_ALL = loop(Store(Y, (COL,), load(X, COL)), var=COL)


@pytest.mark.parametrize(
    "body",
    [
        # Every iteration has a buffer of its own.
        loop(Allocate(T, block(Store(T, (n(0),), load(X, ROW)), Store(Y, (ROW,), load(T, n(0))))), "parallel"),
        # Iterations of two runs of a parallel loop may touch the same element.
        loop(loop(Store(Y, (ROW,), load(X, ROW)), "parallel"), var=COL, extent=3),
        # All read what none writes.
        loop(Store(Y, (ROW,), load(X, n(0))), "vectorize"),
        # One iteration alone reads and writes an element.
        block(COPY_ALL, loop(Store(Y, (ROW,), load(Y, ROW) + load(X, ROW)), "parallel")),
    ],
)
def test_what_is_no_race(body: Stmt) -> None:
    assert run(body).shape == (8,)


def test_an_operand_that_is_not_chosen_is_not_evaluated() -> None:
    shifted = Select("float32", ROW < 7, load(X, ROW + 1), const(9, "float32"))
    assert run(loop(Store(Y, (ROW,), shifted)), given=np.arange(8, dtype=np.float32)).tolist() == [
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        9,
    ]


def test_a_shared_operand_is_evaluated_only_where_it_is_chosen() -> None:
    outside = load(X, ROW + 1)
    one = Select("float32", ROW < 7, outside, const(0, "float32"))
    other = Select("float32", ROW < 7, outside * 2, const(5, "float32"))
    assert run(loop(Store(Y, (ROW,), one + other))).tolist() == [3] * 7 + [5]


def test_parallel_iterations_come_in_an_order_of_the_seed() -> None:
    """The first iteration that fails is another one under another seed."""
    body = loop(Store(Y, (ROW,), load(X, ROW + 8)), "parallel")
    messages = set()
    for seed in (1, 2, 3, 1):
        with pytest.raises(Fault) as found:
            interpret(function(body), [ONES], seed=seed)
        messages.add(str(found.value))
    assert 2 <= len(messages) <= 3


def scalar(value: Expr, given: float | int, source: str, target: str) -> float | int:
    x, y = Buffer("x", source, (1,), "input"), Buffer("y", target, (1,), "output")
    replaced = value.with_children([load(x, n(0)), *value.children[1:]])
    result: float | int = run(Store(y, (n(0),), replaced), x, y, given=np.array([given], source))[0]
    return result


@pytest.mark.parametrize(
    "op, dtype, a, b, expected",
    [
        ("add", "int8", 100, 100, -56),
        ("mul", "int64", 2**62, 4, 0),
        ("sub", "uint8", 3, 5, 254),
        ("floordiv", "int32", -7, 2, -4),
        ("mod", "int32", -7, 2, 1),
        ("floordiv", "int8", -128, -1, -128),
        ("floordiv", "int32", 7, 0, 0),
        ("mod", "int32", 7, 0, 0),
        ("xor", "uint8", 12, 10, 6),
        ("shl", "int8", 65, 1, -126),
        ("shl", "int32", 1, 32, 0),
        ("shr", "int32", -8, 1, -4),
        ("shr", "int32", -8, -1, -1),
        ("mod", "float32", -7.5, 2.0, 0.5),
        ("div", "float32", 1.0, 3.0, np.float32(1) / np.float32(3)),
        ("div", "float32", -1.0, 0.0, -np.inf),
        ("add", "float32", 2.0**24, 1.0, 2.0**24),
        ("mul", "float32", 1e30, 1e30, np.inf),
        ("min", "float32", np.nan, 1.0, np.nan),
        ("max", "float64", 1.0, np.nan, np.nan),
    ],
)
def test_arithmetic_is_that_of_the_dtype(
    op: str, dtype: str, a: float | int, b: float | int, expected: float | int
) -> None:
    got = scalar(Binary(dtype, op, const(0, dtype), const(b, dtype)), a, dtype, dtype)
    assert np.array_equal(got, expected, equal_nan=True)


@pytest.mark.parametrize(
    "source, target, value, expected",
    [
        ("float32", "int8", 300.5, 127),
        ("float32", "uint8", -3.0, 0),
        ("float32", "int32", np.nan, 0),
        ("float64", "int32", -2.7, -2),
        ("int32", "int8", 200, -56),
        ("float64", "float32", 1e300, np.inf),
        ("int32", "bool", 7, True),
        ("bool", "int8", True, 1),
    ],
)
def test_casts(source: str, target: str, value: float | int, expected: float | int) -> None:
    assert scalar(Cast(target, const(0, source)), value, source, target) == expected


def test_constants_are_those_of_the_dtype() -> None:
    """What overflows the dtype is infinite; found by fuzzing."""
    assert scalar(Binary("float16", "min", const(0, "float16"), const(1e9, "float16")), 7.0, "float16", "float16") == 7
    high = scalar(Binary("float16", "max", const(0, "float16"), const(1e9, "float16")), 7.0, "float16", "float16")
    assert high == np.inf


def test_intrinsics_are_rounded_to_the_dtype() -> None:
    got = scalar(Call("float32", "exp", (const(0, "float32"),)), 1.0, "float32", "float32")
    assert got == np.float32(np.e)


def test_packed_parameters() -> None:
    layout = Layout((Dim(1, 4), Dim(0), Dim(1, 1, 4)))
    param = Param(Buffer("x", "int32", (2, 3, 4), "constant"), (3, 5), layout)
    array = np.arange(15, dtype=np.int32).reshape(3, 5)
    assert packed(param, array).shape == (2, 3, 4)
    assert np.array_equal(unpacked(param, packed(param, array)), array)
    schedule = create_schedule(matmul()).transform_layout("b", [[1, 4]], ["1.outer", "0", "1.inner"])
    inputs = inputs_of(schedule.output, 0)
    np.testing.assert_allclose(interpreted(schedule), inputs["a"] @ inputs["b"], rtol=1e-5)


def test_deep_expressions_and_deep_selects() -> None:
    x = placeholder((4,), "float32", "x")

    def chain(i: Expr) -> Expr:
        value = x[i]
        for _ in range(2000):
            value = value + 1
        return value

    def cases(i: Expr) -> Expr:
        value = x[i]
        for number in range(500):
            value = select(x[i] < number, x[i] + number, value)
        return value

    for body in (chain, cases):
        y = compute((4,), body, name="y")
        np.testing.assert_allclose(interpreted(create_schedule(y)), evaluate(y, inputs_of(y, 0)))


def test_loops_nest_deeper_than_python_does() -> None:
    body: Stmt = Store(Y, (ROW,), load(X, ROW))
    for depth in range(40):
        body = loop(body, var=Var("int64", f"d{depth}"), extent=1)
    assert run(loop(body)).tolist() == [1] * 8


def test_the_limit_on_statements() -> None:
    schedule = create_schedule(matmul())
    lowered = lower(schedule, X86_AVX512)
    arrays = list(inputs_of(schedule.output, 0).values())
    with pytest.raises(TooLarge, match="more statements than the interpreter's limit"):
        interpret(lowered, arrays, limit=100)


def test_it_is_fast_enough_for_fuzzing() -> None:
    x = placeholder((50, 400), "float32", "x")
    y = compute((50, 400), lambda i, j: x[i, j] * 2 + 1, name="y")
    lowered = lower(create_schedule(y).parallel("y", "i").vectorize("y", "j"), X86_AVX512)
    array = inputs_of(y, 0)["x"]
    began = time.process_time()
    interpret(lowered, [array])
    assert 20_000 / (time.process_time() - began) > 50_000  # some 500,000 a second on an idle core
