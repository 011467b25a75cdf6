"""The expression language: its meaning in NumPy, its dtypes, its JSON, and what it refuses."""
# ruff: noqa: E501  (tables of messages and texts stay one line an entry)

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from autotune.errors import UsageError
from autotune.tensor_expr import (
    Expr,
    Tensor,
    absolute,
    all_of,
    cast,
    compute,
    exp,
    floor,
    graph,
    placeholder,
    reduce_axis,
    select,
    sqrt,
)
from autotune.tensor_expr import max as maximum
from autotune.tensor_expr import min as minimum
from autotune.tensor_expr import sum as total
from autotune.tensor_expr.evaluate import evaluate
from autotune.tensor_expr.operators import get_operator
from autotune.tensor_expr.serialize import canonical_text, from_json, to_json

X = np.array([[-1.5, 2.0, 0.25], [4.0, -3.0, 0.5]])


def value_of(fn: object, dtype: str = "float32", data: np.ndarray = X) -> np.ndarray:
    x = placeholder(data.shape, dtype, "x")
    return evaluate(compute(data.shape, lambda i, j: fn(x[i, j]), name="y"), {"x": data})  # type: ignore[operator]


class TestMeaning:
    def test_arithmetic(self) -> None:
        assert np.allclose(value_of(lambda v: (1 - v) * 2 / (v + 5)), (1 - X) * 2 / (X + 5))
        assert np.allclose(value_of(lambda v: -v // 2 + v % 3), -X // 2 + X % 3)

    def test_intrinsics(self) -> None:
        assert np.allclose(
            value_of(lambda v: exp(v) + sqrt(absolute(v)) + floor(v)), np.exp(X) + np.sqrt(abs(X)) + np.floor(X)
        )

    def test_comparisons_and_select(self) -> None:
        assert np.array_equal(value_of(lambda v: (v > 0) & ~(v >= 2) | (v == -3)), (X > 0) & ~(X >= 2) | (X == -3))
        assert np.allclose(value_of(lambda v: select(v < 0, 0.0, v)), np.maximum(X, 0))

    def test_casts(self) -> None:
        assert np.array_equal(value_of(lambda v: cast(v, "int32")), X.astype("int32"))
        assert value_of(lambda v: cast(v, "uint8") + 1, "int32", X.astype("int32")).dtype == np.uint8

    def test_reductions(self) -> None:
        x = placeholder(X.shape, "float32", "x")
        k = reduce_axis(3, "k")
        for reducer, expected in ((total, X.sum(1)), (maximum, X.max(1)), (minimum, X.min(1))):
            assert np.allclose(
                evaluate(compute((2,), lambda i, r=reducer: r(x[i, k], axis=k), "y"), {"x": X}), expected
            )  # type: ignore[misc]

    def test_guarded_reads_may_point_outside(self) -> None:
        x = placeholder((4,), "float32", "x")
        shifted = compute((6,), lambda i: select(all_of(i >= 1, i < 5), x[i - 1], 0.0), name="y")
        assert evaluate(shifted, {"x": np.arange(1.0, 5.0)}).tolist() == [0, 1, 2, 3, 4, 0]

    def test_gather(self) -> None:
        table, index = placeholder((4, 2), "float32", "table"), placeholder((3,), "int32", "index")
        picked = compute((3, 2), lambda i, j: table[index[i], j], name="y")
        data = np.arange(8.0).reshape(4, 2)
        assert np.array_equal(evaluate(picked, {"table": data, "index": np.array([3, 0, 1])}), data[[3, 0, 1]])

    def test_large_grids_go_in_slices(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("autotune.tensor_expr.evaluate.GRID_ELEMENTS", 4)
        assert np.allclose(value_of(lambda v: v + 1), X + 1)


def test_numbers_take_the_other_operands_dtype() -> None:
    x, n = placeholder((2,), "float64", "x"), placeholder((2,), "int8", "n")
    assert compute((2,), lambda i: x[i] * 2 + 1, name="y").dtype == "float64"
    assert compute((2,), lambda i: n[i] + 1, name="y").dtype == "int8"
    assert compute((2,), lambda i: n[i] * 1.5, name="y").dtype == "float32"
    assert compute((2,), lambda i: n[i] + x[i], name="y").dtype == "float64"


def test_two_thousand_operations_deep() -> None:
    x = placeholder((3,), "float32", "x")

    def chain(i: Expr) -> Expr:
        value = x[i]
        for number in range(2000):
            value = value + 1.0 if number % 2 else select(value > 0, value, value - 1.0)
        return value

    y = compute((3,), chain, name="y")
    again = from_json(json.loads(json.dumps(to_json(y))))
    assert canonical_text(again) == canonical_text(y)
    data = {"x": np.array([1.0, -2.0, 3.0])}
    assert np.array_equal(evaluate(again, data), evaluate(y, data))


class TestJson:
    def network(self) -> Tensor:
        x = placeholder((2, 5), "float32", "x")
        w = placeholder((5,), "float32", "w", constant=True)
        k = reduce_axis(5, "k")
        s = compute((2,), lambda i: total(x[i, k] * w[k], axis=k), name="s")
        return compute((2,), lambda i: select(s[i] > 0.5, exp(s[i]), cast(~(s[i] < -1), "float32")), name="y")

    def test_round_trip(self) -> None:
        output = self.network()
        again = from_json(json.loads(json.dumps(to_json(output))))
        assert to_json(again) == to_json(output)
        assert [(t.name, t.shape, t.dtype, t.constant) for t in graph(again)] == [
            (t.name, t.shape, t.dtype, t.constant) for t in graph(output)
        ]
        inputs = {"x": np.linspace(-1, 1, 10).reshape(2, 5), "w": np.linspace(0, 2, 5)}
        assert np.array_equal(evaluate(again, inputs), evaluate(output, inputs))

    def test_infinities_survive(self) -> None:
        x = placeholder((1,), "float32", "x")
        y = compute((1,), lambda i: minimum(x[i], float("inf")), name="y")
        assert canonical_text(from_json(json.loads(json.dumps(to_json(y))))) == canonical_text(y)


def test_canonical_text_ignores_names_and_operand_order() -> None:
    def operator(names: tuple[str, str], swap: bool) -> Tensor:
        a, b = placeholder((4,), "float32", names[0]), placeholder((4,), "float32", names[1])
        return compute((4,), lambda i: b[i] * a[i] if swap else a[i] * b[i], name="y")

    assert canonical_text(operator(("a", "b"), False)).startswith("float32[4]; float32[4]; float32[4|]=")
    assert canonical_text(operator(("a", "b"), False)) == canonical_text(operator(("u", "v"), False))


def x_() -> Tensor:
    return placeholder((4, 8), "float32", "x")


K = reduce_axis(8, "k")
FLAG = placeholder((4,), "bool", "flag")
BYTE = placeholder((4,), "uint8", "byte")
REFUSED = {
    r"shape of 'x' has 0; sizes are positive": lambda: placeholder((0,), "float32", "x"),
    r"shape of 'x' is 4; a shape is a tuple of positive integers, such as \(8,\)": lambda: placeholder(4, "float32", "x"),  # type: ignore[arg-type]
    r"shape of 'y' is None; a shape is a tuple": lambda: compute(None, lambda i: i, name="y"),  # type: ignore[call-overload]
    r"compute 'y' is given 3; it takes a function of its indices": lambda: compute((4,), 3, name="y"),  # type: ignore[call-overload]
    r"shape of 'x' has 2.5": lambda: placeholder((2.5,), "float32", "x"),  # type: ignore[list-item]
    r"'x' would have \d+ elements": lambda: placeholder((2**30, 2**30), "float32", "x"),
    r"unknown dtype 'float12'; known: float32": lambda: placeholder((1,), "float12", "x"),
    r"tensor 'x' has 2 dimensions, got 1 indices": lambda: x_()[0],
    r"1.5 is no int64": lambda: x_()[1.5, 0],
    r"index 0 of tensor 'x' is float32; indices are integers": lambda: x_()[x_()[0, 0], 0],
    r"compute 'y' has 2 dimensions, but its function takes 1": lambda: compute((2, 2), lambda i: i, name="y"),
    r"compute 'y' uses axis 'k' outside its reducer": lambda: compute((4,), lambda i: x_()[i, K], name="y"),
    r"'y' has a reduction inside an expression": lambda: compute((4,), lambda i: total(x_()[i, K], axis=K) + 1, name="y"),
    r"sum runs over axes made by reduce_axis, got 3": lambda: total(x_()[0, 0], axis=3),  # type: ignore[arg-type]
    r"sum takes one or more reduction axes, each once": lambda: total(x_()[0, K], axis=(K, K)),
    r"max takes two values, or one value and axis=": lambda: maximum(x_()[0, 0]),
    r"an expression has no truth value; use select": lambda: bool(x_()[0, 0] > 1),
    r"/ needs floating point operands, got uint8": lambda: BYTE[0] / 2,
    r"&, \|, \^, ~, << and >> need bool or integer operands, got float32": lambda: x_()[0, 0] & x_()[0, 1],
    r"arithmetic needs numbers, got bool": lambda: FLAG[0] + FLAG[1],
    r"sum needs numbers, got bool": lambda: total(FLAG[K], axis=K),
    r"300 does not fit uint8": lambda: BYTE[0] + 300,
    r"-1 does not fit uint8": lambda: maximum(BYTE[0], -1),
    r"exp needs a floating point operand, got uint8": lambda: exp(BYTE[0]),
    r"cannot use str 'a' in an expression": lambda: x_()[0, 0] + "a",  # type: ignore[operator]
    r"compute 'y' reads 'x' out of bounds: index 1 runs from 1 to 8, but that dimension has 8": lambda: compute(
        (4, 8), lambda i, j: x_()[i, j + 1], name="y"
    ),
    r"'x' out of bounds: index 0 runs from -2 to 1, .* guard the read with select": lambda: compute(
        (4,), lambda i: x_()[i - 2, 0], name="y"
    ),
    r"'x' out of bounds: index 1 runs from 0 to 14": lambda: compute((4,), lambda i: total(x_()[i, K * 2], axis=K), name="y"),
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_refusals(message: str) -> None:
    with pytest.raises(UsageError, match=message):
        REFUSED[message]()


def test_two_tensors_of_one_name() -> None:
    a, b = placeholder((4,), "float32", "a"), placeholder((4,), "float32", "a")
    with pytest.raises(UsageError, match="two tensors are named 'a'"):
        graph(compute((4,), lambda i: a[i] + b[i], name="y"))


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (lambda i: i // 2, "index 0 runs from 0 to 9, but that dimension has 8 elements"),
        (lambda i: (i - 3) // 2, "index 0 runs from -2 to 8"),
        (lambda i: minimum(i, 12), "index 0 runs from 0 to 12"),
    ],
)
def test_monotone_reads_that_leave_their_tensor_are_refused(index: Any, message: str) -> None:
    x = placeholder((8, 9), name="x")
    with pytest.raises(UsageError, match=message):
        compute((20,), lambda i: x[index(i), 0])
    guarded = compute((20,), lambda i: select((index(i) >= 0) & (index(i) < 8), x[index(i), 0], 0.0))
    values = np.arange(72, dtype=np.float32).reshape(8, 9)
    rows = evaluate(compute((20,), index), {})
    expected = [values[row, 0] if 0 <= row < 8 else 0 for row in rows]
    np.testing.assert_array_equal(evaluate(guarded, {"x": values}), expected)


def test_an_operators_parameters_go_by_name() -> None:
    with pytest.raises(UsageError, match="matmul takes its parameters by name, not 4; they are: m, n, k"):
        get_operator("matmul")(4, 4, 4)
