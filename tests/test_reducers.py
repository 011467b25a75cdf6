"""Reductions of one and several components, computes of several components: their meaning, JSON, code and refusals."""
# ruff: noqa: E501  (tables of messages and texts stay one line an entry)

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from differential import compare
from programs import RandomSource, draw_schedule

import autotune as at
from autotune.errors import UsageError
from autotune.lowering.interpreter import interpret
from autotune.lowering.pipeline import lower
from autotune.lowering.printer import show
from autotune.schedules.schedule import create_schedule
from autotune.targets.facts import TARGETS, X86_AVX512
from autotune.targets.host import native_target, supports
from autotune.tensor_expr import (
    Tensor,
    Workload,
    all,
    any,
    argmax,
    argmin,
    cast,
    compute,
    exp,
    placeholder,
    prod,
    reduce_axis,
    reducer,
    select,
)
from autotune.tensor_expr import max as maximum
from autotune.tensor_expr import sum as total
from autotune.tensor_expr.evaluate import evaluate, evaluate_all
from autotune.tensor_expr.reducers import ReducerFamily
from autotune.tensor_expr.serialize import canonical_text, from_json, to_json
from autotune.tensor_expr.tensor import as_output

RUNNABLE = [target for target in TARGETS.values() if supports(target)]
K, L = reduce_axis(7, "k"), reduce_axis(7, "l")


def rows(fn: object, dtype: str = "float32", shape: tuple[int, int] = (5, 7)) -> Tensor:
    """A reduction of the rows of ``x``."""
    x, k = placeholder(shape, dtype, "x"), reduce_axis(shape[1], "k")
    return as_output(compute((shape[0],), lambda i: fn(x[i, k], k), name="y"))  # type: ignore[operator]


def stable_softmax() -> ReducerFamily:
    """The largest value and the sum of exponentials relative to it."""

    def merge(a: tuple[at.Expr, ...], b: tuple[at.Expr, ...]) -> tuple[at.Expr, ...]:
        m = maximum(a[0], b[0])
        return m, a[1] * exp(a[0] - m) + b[1] * exp(b[0] - m)

    return reducer(merge, identity=(-1e30, 0.0), name="softmax")


def welford() -> ReducerFamily:
    """Count, mean and sum of squared deviations (Chan, Golub and LeVeque, 1983)."""

    def merge(a: tuple[at.Expr, ...], b: tuple[at.Expr, ...]) -> tuple[at.Expr, ...]:
        n, delta = a[0] + b[0], b[1] - a[1]
        share = select(n > 0, b[0] / maximum(n, 1.0), 0.0)
        return n, a[1] + delta * share, a[2] + b[2] + delta * delta * a[0] * share

    return reducer(merge, identity=(0, 0, 0), name="welford")


class TestMeaning:
    data = np.random.default_rng(0).integers(-3, 4, (5, 7)).astype(np.float64)

    @pytest.mark.parametrize(
        ("fn", "expected"),
        [
            (lambda v, k: prod(v, axis=k), data.prod(1)),
            (lambda v, k: any(v > 2, axis=k), (data > 2).any(1)),
            (lambda v, k: all(v > -3, axis=k), (data > -3).all(1)),
            (lambda v, k: argmax(v, axis=k), (data.max(1), data.argmax(1))),
            (lambda v, k: argmin(v, axis=k), (data.min(1), data.argmin(1))),
            (lambda v, k: (total(v, axis=k), maximum(v, axis=k)), (data.sum(1), data.max(1))),
            (lambda v, k: welford()((1.0, v, 0.0), axis=k)[1:], None),
            (lambda v, k: reducer(lambda a, b: a + b, 0, "plus")(v, axis=k), data.sum(1)),
        ],
    )
    def test_against_numpy(self, fn: object, expected: object) -> None:
        if expected is None:
            with pytest.raises(UsageError, match="must return all 3 components of welford, side by side"):
                rows(fn)
            return
        got = evaluate_all(rows(fn), {"x": self.data})
        wanted = expected if isinstance(expected, tuple) else (expected,)
        for a, b in zip(got, wanted, strict=True):
            assert np.array_equal(a, b)

    def test_statistics_in_one_pass(self) -> None:
        count, mean, squares = evaluate_all(rows(lambda v, k: welford()((1.0, v, 0.0), axis=k)), {"x": self.data})
        assert (
            np.allclose(count, 7)
            and np.allclose(mean, self.data.mean(1))
            and np.allclose(squares / 7, self.data.var(1))
        )

    def test_argmax_of_infinities_and_nan(self) -> None:
        nan, inf = np.nan, np.inf
        data = np.array(
            [[1, nan, 3, nan], [-inf, -inf, -inf, -inf], [inf, nan, inf, 1], [2, 3, 3, 1], [-inf, inf, 0, inf]]
        )
        for kind, numpy_kind in ((argmax, np.argmax), (argmin, np.argmin)):
            output = rows(lambda v, k, kind=kind: kind(v, axis=k), shape=(5, 4))  # type: ignore[misc]
            value, index = evaluate_all(output, {"x": data})
            assert np.array_equal(index, numpy_kind(data, 1))
            assert np.array_equal(value, np.take_along_axis(data, index[:, None], 1)[:, 0], equal_nan=True)
            got = at.build(create_schedule(output))(x=data.astype(np.float32))
            assert np.array_equal(got[1], index) and np.array_equal(got[0], value, equal_nan=True)

    def test_argmax_over_two_axes_is_row_major(self) -> None:
        x = placeholder((3, 4, 5), "int32", "x")
        r, c = reduce_axis(4, "r"), reduce_axis(5, "c")
        output = as_output(compute((3,), lambda i: argmax(x[i, r, c], axis=(r, c)), name="y"))
        data = np.random.default_rng(1).integers(0, 4, (3, 4, 5)).astype(np.int32)
        assert np.array_equal(evaluate_all(output, {"x": data})[1], data.reshape(3, -1).argmax(1))
        assert compare(create_schedule(output), native_target()) == ""


class TestComponents:
    def test_handles_are_indexed_like_tensors(self) -> None:
        x = placeholder((5, 7), "float32", "x")
        k = reduce_axis(7, "k")
        value, index = compute((5,), lambda i: argmax(x[i, k], axis=k), name="best")
        assert (value.name, index.name, index.dtype, index.shape) == ("best.v0", "best.v1", "int64", (5,))
        y = compute((5,), lambda i: value[i] + x[i, index[i]], name="y")
        data = {"x": np.random.default_rng(2).random((5, 7))}
        assert np.allclose(evaluate(y, data), 2 * data["x"].max(1))
        assert compare(create_schedule(y), native_target()) == ""

    def test_a_compute_of_several_expressions(self) -> None:
        x = placeholder((5, 7), "float32", "x")
        low, high = compute((5, 7), lambda i, j: (x[i, j] - 1, x[i, j] > 0), name="pair")
        output = as_output((low, high))
        assert output.dtypes == ("float32", "bool") and output.name == "pair"
        assert compare(create_schedule(output).vectorize("pair", "j"), native_target()) == ""

    def test_one_component_or_several_arrays_as_the_output(self) -> None:
        x = placeholder((5, 7), "float32", "x")
        k = reduce_axis(7, "k")
        value, index = compute((5,), lambda i: argmax(x[i, k], axis=k), name="best")
        twice = compute((5,), lambda i: value[i] * 2, name="twice")
        data = np.random.default_rng(3).random((5, 7)).astype(np.float32)
        assert np.array_equal(at.build(index)(x=data), data.argmax(1))
        got = at.build((twice, index))(x=data)
        assert np.allclose(got[0], 2 * data.max(1)) and np.array_equal(got[1], data.argmax(1))

    def test_a_kernel_fills_several_arrays(self) -> None:
        output = rows(lambda v, k: argmax(v, axis=k))
        kernel = at.build(create_schedule(output))
        data = np.random.default_rng(4).random((5, 7)).astype(np.float32)
        out = (np.zeros(5, np.float32), np.zeros(5, np.int64))
        assert kernel(data, out=out)[1] is out[1] and np.array_equal(out[1], data.argmax(1))
        assert repr(kernel) == "Kernel(x: float32[5, 7]) -> y.v0: float32[5], y.v1: int64[5]"
        with pytest.raises(UsageError, match=r"out takes a tuple of 2 arrays \(y.v0, y.v1\), got a numpy.ndarray"):
            kernel(data, out=out[0])


class TestJson:
    @pytest.mark.parametrize(
        "fn",
        [
            lambda v, k: argmin(v, axis=k),
            lambda v, k: (total(v, axis=k), prod(v, axis=k)),
            lambda v, k: stable_softmax()((v, 1.0), axis=k),
            lambda v, k: reducer(lambda a, b: maximum(a, b) + minimum_of(a, b), 0)(v, axis=k),
        ],
    )
    def test_round_trip(self, fn: object) -> None:
        output = rows(fn)
        again = from_json(json.loads(json.dumps(to_json(output))))
        assert to_json(again) == to_json(output) and canonical_text(again) == canonical_text(output)
        data = {"x": np.random.default_rng(5).random((5, 7))}
        for a, b in zip(evaluate_all(again, data), evaluate_all(output, data), strict=True):
            assert np.array_equal(a, b)

    def test_texts(self) -> None:
        assert canonical_text(rows(lambda v, k: argmax(v, axis=k))).endswith(
            "float32,int64[5|7]=%23b3acfb7343=(read 0 axis 0 axis 1) "
            '(reduce ["argmax", 0] %23b3acfb7343 axis 1), (reduce ["argmax", 1] %23b3acfb7343 axis 1)'
        )
        plus = canonical_text(rows(lambda v, k: reducer(lambda a, b: a + b, 0, "sum")(v, axis=k)))
        assert plus.endswith("(accumulate 0 {float32 0.0: (add left 0 right 0)} (read 0 axis 0 axis 1))")

    def test_the_name_of_a_reducer_is_not_its_meaning(self) -> None:
        one, other = (rows(lambda v, k, n=n: reducer(lambda a, b: a * b, 1, n)(v, axis=k)) for n in ("p", "q"))  # type: ignore[misc]
        assert canonical_text(one) == canonical_text(other)


def minimum_of(a: at.Expr, b: at.Expr) -> at.Expr:
    return at.min(a, b)


def test_operations_of_one_combination_are_counted_once() -> None:
    assert Workload(rows(lambda v, k: prod(v, axis=k))).flops == 5 * 7
    assert Workload(rows(lambda v, k: argmax(v, axis=k))).flops == 5 * 7
    assert Workload(rows(lambda v, k: stable_softmax()((v, 1.0), axis=k))).flops == 5 * 7 * 8


class TestLowering:
    def test_components_change_together(self) -> None:
        plus = reducer(lambda a, b: (a[0] + b[0], a[1] + b[1] * a[0]), identity=(0, 0), name="pair")
        output = rows(lambda v, k: plus((v, 1.0), axis=k))
        assert (
            show(lower(create_schedule(output), X86_AVX512, check=True))
            == """
kernel(x: input float32[5, 7], y.v0: output float32[5], y.v1: output float32[5])
    for i in 0..5:
        y.v0[i] = 0.0
        y.v1[i] = 0.0
        for k in 0..7:
            y.v0[i], y.v1[i] = y.v0[i] + x[i, k], y.v1[i] + 1.0 * y.v0[i]
""".strip()
        )

    def test_reductions_side_by_side_stay_plain_updates(self) -> None:
        text = show(lower(create_schedule(rows(lambda v, k: (total(v, axis=k), maximum(v, axis=k)))), X86_AVX512))
        assert "y.v0.sum[0] = y.v0.sum[0] + x[i, k]" in text and "y.v1[i] = max(y.v1[i], x[i, k])" in text

    def test_components_live_in_registers(self) -> None:
        x, k = placeholder((6, 40), "float32", "x"), reduce_axis(40, "k")
        output = as_output(compute((6,), lambda i: argmax(x[i, k], axis=k), name="y"))
        schedule = create_schedule(output).cache_write("y").split("y", "i", [3]).compute_at("y.tile", "y", "i.0")
        schedule = schedule.reorder("y.tile", ["k", "i"]).unroll("y.tile", "i").unroll("y", "i.1")
        text = show(lower(schedule, X86_AVX512, check=True))
        assert "y.tile.v0 = buffer float32[3]" in text and "y.tile.v1 = buffer int64[3]" in text
        for target in RUNNABLE:
            assert compare(schedule, target) == ""

    def test_vectorised_components(self) -> None:
        x, k = placeholder((9, 37), "float32", "x"), reduce_axis(9, "k")
        output = as_output(compute((37,), lambda j: argmax(x[k, j], axis=k), name="y"))
        for make in (create_schedule(output), create_schedule(output).reorder("y", ["k", "j"])):
            schedule = make.reorder("y", ["k", "j"]).vectorize("y", "j")
            for target in RUNNABLE:
                assert compare(schedule, target) == ""


OPERATORS = {
    "prod": lambda v, k: prod(v, axis=k),
    "any": lambda v, k: any(v > 2, axis=k),
    "argmax": lambda v, k: argmax(v, axis=k),
    "argmin of integers": lambda v, k: argmin(cast(v, "int32"), axis=k),
    "softmax": lambda v, k: stable_softmax()((v, 1.0), axis=k),
    "welford": lambda v, k: welford()((1.0, v, 0.0), axis=k),
    "sum and product": lambda v, k: (total(v, axis=k), prod(v, axis=k)),
}


@pytest.mark.skipif(not RUNNABLE, reason="no target's code runs on this machine")
@pytest.mark.parametrize("name", OPERATORS)
def test_random_schedules(name: str) -> None:
    for seed in range(12):
        source = RandomSource(seed)
        x, k = placeholder((5, 7, 19), "float32", "x"), reduce_axis(7, "k")
        fn = OPERATORS[name]
        first = as_output(compute((5, 19), lambda i, j, k=k, fn=fn, x=x: fn(x[i, k, j], k), name="r"))  # type: ignore[misc]
        output = first
        if source.integer(0, 1):
            output = compute((5, 19), lambda i, j, parts=first.components: parts[-1][i, j], name="y")  # type: ignore[misc]
        schedule = draw_schedule(source, output)
        for target in RUNNABLE:
            assert compare(schedule, target) == "", f"seed {seed} on {target.name}: {schedule}"


def test_interpreted() -> None:
    output = rows(lambda v, k: argmax(v, axis=k))
    data = np.random.default_rng(6).random((5, 7)).astype(np.float32)
    value, index = interpret(lower(create_schedule(output), X86_AVX512), [data])
    assert np.array_equal(index, data.argmax(1)) and np.array_equal(value, data.max(1))


X = placeholder((5, 7), "float32", "x")
FLAG = placeholder((7,), "bool", "flag")
REFUSED = {
    r"prod needs numbers, got bool; cast to an integer first": lambda: prod(FLAG[K], axis=K),
    r"any needs bools, got float32; compare first": lambda: any(X[0, K], axis=K),
    r"argmax runs over axes made by reduce_axis, got 3": lambda: argmax(X[0, 0], axis=3),  # type: ignore[arg-type]
    r"softmax has 2 components, as its identity has; got 1 operands": lambda: stable_softmax()(X[0, K], axis=K),
    r"combine of pair gives 1 values for 2 components": lambda: reducer(lambda a, b: a[0], (0, 0), "pair")((X[0, K], 1.0), axis=K),
    r"combine of odd gives bool for component 0, whose operand is float32; cast one": lambda: reducer(lambda a, b: a < b, 0, "odd")(X[0, K], axis=K),
    r"combine of far uses 'x'; it may use nothing but the values": lambda: reducer(lambda a, b: a + b + X[0, 0], 0, "far")(X[0, K], axis=K),
    r"combine of far uses 'k'; it may use nothing but the values": lambda: reducer(lambda a, b: a + b + K, 0, "far")(cast(X[0, K], "int64"), axis=K),
    r"the identity of low is .*x.*; it must be a number of the operand's dtype float32": lambda: reducer(lambda a, b: a + b, X[0, 0], "low")(X[0, K], axis=K),
    r"1.5 is no int32": lambda: reducer(lambda a, b: a + b, 1.5, "low")(cast(X[0, K], "int32"), axis=K),
    r"a reducer is named 'a b'; names are identifiers": lambda: reducer(lambda a, b: a, 0, "a b"),
    r"combine of r is 3; it must be a function of two values": lambda: reducer(3, 0, "r"),  # type: ignore[arg-type]
    r"combine of r is <function .*; it must be a function of two values": lambda: reducer(lambda a: a, 0, "r"),
    r"the identity of r is empty": lambda: reducer(lambda a, b: (), (), "r"),
    r"compute 'y' must reduce over the same axes in every component, or in none": lambda: compute((5,), lambda i: (total(X[i, K], axis=K), X[i, 0]), name="y"),
    r"must reduce over the same axes in every component, or in no": lambda: compute((5,), lambda i: (total(X[i, K], axis=K), maximum(X[i, L], axis=L)), name="y"),
    r"must return all 2 components of argmax, side by side; what": lambda: compute((5,), lambda i: (argmax(X[i, K], axis=K)[0], argmax(X[i, K], axis=K)[1]), name="y"),
    r"must return all 2 components of argmax, side by side; what is not needed need not be read": lambda: compute((5,), lambda i: argmax(X[i, K], axis=K)[1], name="y"),
    r"compute 'y' has a reduction inside an expression": lambda: compute((5,), lambda i: argmax(X[i, K], axis=K)[1] + 1, name="y"),
    r"compute 'y' gives no value": lambda: compute((5,), lambda i: (), name="y"),
    r"the outputs 'x' and 'flag' have shapes \[5, 7\] and \[7\]": lambda: as_output((X, FLAG)),
    r"an operator's output is a tensor, or a tuple of tensors, not 3": lambda: as_output(3),  # type: ignore[arg-type]
    r"tensor 'y.v1' has 1 dimensions, got 2 indices": lambda: rows(lambda v, k: argmax(v, axis=k)).components[1][0, 0],
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_refusals(message: str) -> None:
    with pytest.raises(UsageError, match=message):
        REFUSED[message]()


@pytest.mark.skipif(not supports(native_target()), reason="no target's code runs on this machine")
def test_tuned(tmp_path: Path) -> None:
    x, k = placeholder((60, 50), "float32", "x"), reduce_axis(50, "k")
    best = compute((60,), lambda i: argmax(x[i, k], axis=k), name="best")
    data = np.random.default_rng(7).random((60, 50)).astype(np.float32)
    for output, expected in ((best, (data.max(1), data.argmax(1))), (best[1], (data.argmax(1),))):
        result = at.tune(output, trials=3, database=tmp_path / "tuning.db")
        assert result.verified and not result.failed
        got = at.build(output, database=tmp_path / "tuning.db")(x=data)
        for a, b in zip(got if isinstance(got, tuple) else (got,), expected, strict=True):
            assert np.array_equal(a, b)
