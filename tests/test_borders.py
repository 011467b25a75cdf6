"""Guards and padding: no test where the ranges prove it away, and NumPy's pad in every mode."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from differential import compare

import autotune
from autotune import compute, if_in_bounds, padded, placeholder
from autotune.errors import UsageError
from autotune.lowering.printer import show_expr
from autotune.schedules.schedule import create_schedule
from autotune.targets.host import native_target
from autotune.tensor_expr import Expr, Workload

X = placeholder((7, 12), "float32", "x")
READS: dict[str, tuple[Callable[[Expr, Expr], Expr], str]] = {
    "inside": (lambda i, j: if_in_bounds(X, (i, j)), "x[i, j]"),
    "one side": (lambda i, j: if_in_bounds(X, (i, j - 2)), "select(j - 2 >= 0, x[i, j - 2], 0.0)"),
    "the other": (lambda i, j: if_in_bounds(X, (i, j + 1), -1), "select(j + 1 < 12, x[i, j + 1], -1.0)"),
    "both": (
        lambda i, j: if_in_bounds(X, (2 * i - 1, j)), "select(2 * i - 1 >= 0 and 2 * i - 1 < 7, x[2 * i - 1, j], 0.0)"
    ),
    "quotient": (lambda i, j: if_in_bounds(X, (i, (j + 12 * i) // 7)), "x[i, (j + 12 * i) // 7]"),
    "remainder": (lambda i, j: if_in_bounds(X, (i, (j - 5) % 12)), "x[i, (j - 5) % 12]"),
}  # fmt: skip


@pytest.mark.parametrize("name", READS)
def test_only_what_is_not_proven_is_tested(name: str) -> None:
    read, text = READS[name]
    body = compute((7, 12), lambda i, j: read(i, j), name="y").body
    assert body is not None and show_expr(body).replace("i * 2", "2 * i").replace("i * 12", "12 * i") == text


def test_indices_that_are_data_are_guarded() -> None:
    index = placeholder((12,), "int32", "index")
    output = compute((12,), lambda i: if_in_bounds(X, (3, index[i]), -7), name="y")
    inputs = {"x": np.arange(84, dtype=np.float32).reshape(7, 12), "index": np.arange(-4, 8, dtype=np.int32) * 2}
    wanted = [inputs["x"][3, i] if 0 <= i < 12 else -7 for i in inputs["index"]]
    assert Workload(output).compute_reference(inputs).tolist() == wanted
    plain = create_schedule(output)
    for schedule in (plain, plain.vectorize("y", "i")):
        assert autotune.build(schedule)(**inputs).tolist() == wanted


def test_the_wrong_number_of_indices() -> None:
    with pytest.raises(UsageError, match="'x' has 2 dimensions, got 1 indices"):
        if_in_bounds(X, 3)


PADS = [((0, 0), (0, 0)), ((1, 2), (0, 3)), ((0, 5), (2, 0)), ((6, 1), (6, 11)), ((9, 0), (3, 30))]


@pytest.mark.compiler
@pytest.mark.parametrize("dtype", ["float32", "int8", "bool"])
@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
@pytest.mark.parametrize(("before", "after"), PADS)
def test_padding_equals_numpy(before: tuple[int, ...], after: tuple[int, ...], mode: str, dtype: str) -> None:
    x = placeholder((7, 12), dtype, "x")
    output = padded(x, before, after, mode, value=1, name="y")
    workload = Workload(output)
    inputs = workload.random_inputs(0)
    options = {"constant_values": 1} if mode == "constant" else {}
    wanted = np.pad(inputs["x"], [*zip(before, after, strict=True)], mode=mode, **options)  # type: ignore[call-overload]
    np.testing.assert_array_equal(workload.compute_reference(inputs), wanted)
    assert compare(create_schedule(output).vectorize("y", "i1"), native_target()) == ""


def test_padding_of_one_element() -> None:
    x = placeholder((1,), "float32", "x")
    for mode in ("edge", "reflect", "wrap"):
        output = padded(x, (2,), (3,), mode)
        assert Workload(output).compute_reference({"x": np.array([5], np.float32)}).tolist() == [5] * 6


def test_padding_without_padding_reads_plainly() -> None:
    body = padded(X, (0, 0), (0, 0), name="y").body
    assert body is not None and show_expr(body) == "x[i0, i1]"


REFUSED: dict[str, Callable[[], object]] = {
    "mode is 'mirror'; one of constant, edge, reflect, wrap": lambda: padded(X, (1, 1), (1, 1), "mirror"),
    r"before is \[1\]; 'x' takes 2 numbers, none negative": lambda: padded(X, (1,), (1, 1)),
    r"after is \[-1, 0\]; 'x' takes 2 numbers, none negative": lambda: padded(X, (1, 1), (-1, 0)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refusals(message: str) -> None:
    with pytest.raises(UsageError, match=message):
        REFUSED[message]()
