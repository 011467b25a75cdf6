"""Deep and wide operators: nothing recurses over them, and nothing takes time that grows with their square.

Each goes all the way: declared, stored and read back, evaluated, lowered, verified, compiled and run.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

import autotune as at
from autotune.errors import UsageError
from autotune.lowering.pipeline import lower
from autotune.lowering.printer import show
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.targets.callable import Kernel
from autotune.targets.host import native_target
from autotune.targets.llvm.build import build
from autotune.tensor_expr import Expr, Tensor, Workload, compute, placeholder, select
from autotune.tensor_expr import max as maximum
from autotune.tensor_expr.evaluate import evaluate
from autotune.tensor_expr.expr import walk
from autotune.tensor_expr.serialize import canonical_text, from_json, to_json

DEEP = 2000
WIDE = 500


def all_the_way(output: Tensor, schedule: Callable[[Schedule], Schedule] = lambda s: s) -> None:
    """Every stage of compilation, on the operator as it comes back from JSON."""
    again = from_json(json.loads(json.dumps(to_json(output))))
    assert canonical_text(again) == canonical_text(output)
    made = schedule(create_schedule(again))
    assert show(lower(made, native_target(), check=True))
    inputs = Workload(again).random_inputs(1)
    got = Kernel(build(made, native_target()))(**inputs)
    assert np.allclose(got, evaluate(again, inputs), rtol=1e-4, atol=1e-4)


def operations(count: int) -> Tensor:
    """A chain of operations within one compute."""
    x = placeholder((37,), "float32", "x")

    def body(i: Expr) -> Expr:
        value = x[i]
        for number in range(count):
            value = value * 0.5 + 1.0 if number % 2 else maximum(value, 0.25)
        return value

    return compute((37,), body, name="y")


def computes(count: int) -> Tensor:
    """A chain of computes of one operation each."""
    tensor = placeholder((37,), "float32", "x")
    for number in range(count):
        tensor = compute((37,), lambda i, source=tensor: maximum(source[i] * 0.5, 0.25), name=f"s{number}")  # type: ignore[misc]
    return tensor


def concat(count: int, rows: int = 3) -> Tensor:
    """Many tensors below each other."""
    parts = [placeholder((rows, 8), "float32", f"x{number}") for number in range(count)]

    def body(i: Expr, j: Expr) -> Expr:
        value = parts[-1][i - rows * (count - 1), j]
        for number in reversed(range(count - 1)):
            value = select(i < rows * (number + 1), parts[number][i - rows * number, j], value)
        return value

    return compute((rows * count, 8), body, name="y")


def test_operations_in_one_compute() -> None:
    all_the_way(operations(DEEP))
    all_the_way(operations(DEEP), lambda schedule: schedule.vectorize("y", "i"))


def test_computes_in_a_row() -> None:
    all_the_way(computes(DEEP))


def test_computes_in_a_row_inlined() -> None:
    names = [f"s{number}" for number in range(DEEP - 1)]
    all_the_way(computes(DEEP), lambda schedule: schedule.compute_inline(names).vectorize(f"s{DEEP - 1}", "i"))


def test_computes_in_a_row_by_the_rules_of_the_search() -> None:
    found = at.find(computes(DEEP)).schedule
    assert len(found.state.stages) == 2


def test_wide_concat() -> None:
    all_the_way(concat(WIDE))
    all_the_way(concat(WIDE), lambda schedule: schedule.vectorize("y", "j"))


def test_wide_concat_across_the_lanes() -> None:
    all_the_way(concat(60), lambda schedule: schedule.reorder("y", ["j", "i"]).vectorize("y", "i"))


def test_what_is_read_twice_is_inlined_once() -> None:
    tensor = placeholder((5,), "float32", "x")
    for number in range(60):  # expanding each read by itself would make 2**60 of them
        tensor = compute((5,), lambda i, source=tensor: (source[i] + source[i]) * 0.5, name=f"s{number}")  # type: ignore[misc]
    schedule = create_schedule(tensor).compute_inline([f"s{number}" for number in range(59)])
    inlined = schedule.state.stages["s59"].tensor
    assert len(list(walk(inlined.bodies))) < 400
    all_the_way(tensor, lambda plain: plain.compute_inline([f"s{number}" for number in range(59)]))


@pytest.mark.parametrize(
    ("make", "schedule"),
    [
        (operations, lambda s, n: s),
        (computes, lambda s, n: s),
        (computes, lambda s, n: s.compute_inline([f"s{k}" for k in range(n - 1)])),
        (concat, lambda s, n: s),
    ],
)
def test_time_does_not_grow_with_the_square(make: object, schedule: object) -> None:
    def seconds(count: int) -> float:
        output = make(count)  # type: ignore[operator]
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            lower(schedule(create_schedule(output), count), native_target(), check=True)  # type: ignore[operator]
            best = min(best, time.process_time() - began)
        return best

    seconds(10)
    assert seconds(400) < 10 * seconds(100) + 0.1  # 4 times where linear, 16 where quadratic


def test_no_recursion_limit_is_raised() -> None:
    assert sys.getrecursionlimit() == 1000


def test_expressions_cannot_be_cyclic() -> None:
    """A node takes its operands when it is made, and cannot be changed: there is nothing to refuse."""
    x = placeholder((4,), "float32", "x")
    y = compute((4,), lambda i: x[i] + 1, name="y")
    assert y.body is not None
    with pytest.raises(AttributeError):
        y.body.a = y.body  # type: ignore[attr-defined]
    with pytest.raises(AttributeError):
        y.bodies = (y[y.axes[0]],)  # type: ignore[misc]
    with pytest.raises(UsageError, match=r"uses axis 'i' of another compute"):
        compute((4,), lambda j: y[j] + y.axes[0], name="z")
