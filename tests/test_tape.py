"""What is recorded of a function of columns, and played for others, is what the function does."""

from __future__ import annotations

import numpy as np
import pytest

from autotune.cost_model.features import Evaluator, evaluate
from autotune.errors import ScheduleError
from autotune.schedules.primitives import Knob
from autotune.schedules.schedule import create_schedule
from autotune.schedules.tape import Untraceable, record
from autotune.search.space import SearchSpace
from autotune.targets.facts import X86_AVX512
from autotune.tensor_expr.operators import get_operator

A, B = np.array([1, 2, 3]), np.array([4, 5, 6])


def test_other_columns_give_what_the_function_gives():
    def function(columns):
        a, b = columns["a"], columns["b"]
        whole = np.where(a * b > 8, np.minimum(a, 2), -(-b // a))
        return [whole, 7, 2.0 * np.ceil(b / 2), whole & -whole, a + b]

    tape, results = record(function, {"a": A, "b": B})
    other = {"a": np.array([9, 1]), "b": np.array([3, 8])}
    given = [*results, *tape.play(other)]
    for found, expected in zip(given, [*function({"a": A, "b": B}), *function(other)], strict=True):
        assert np.array_equal(found, expected)
        assert np.asarray(found).dtype == np.asarray(expected).dtype


def test_equal_operations_are_recorded_once_and_unused_ones_not_at_all():
    tape, _ = record(lambda c: [(c["a"] + c["b"]) * (c["a"] + c["b"]), c["a"] - 1][:1], {"a": A, "b": B})
    assert [function.__name__ for function, _, _ in tape.operations] == ["add", "multiply"]


def test_a_tape_does_not_hold_where_it_would_decide_otherwise():
    def function(columns):
        return [columns["a"] * (2 if np.all(columns["a"] < 10) else 3)]

    tape, _ = record(function, {"a": A})
    assert np.array_equal(tape.play({"a": B})[0], 2 * B)
    assert tape.play({"a": 3 * B}) is None


@pytest.mark.parametrize(
    "function",
    [
        lambda a: int(a), lambda a: float(a), lambda a: [1, 2, 3][a], list, np.asarray,
        lambda a: np.maximum.reduce([a, a]), lambda a: np.sum(a, axis=0), lambda a: a + np.arange(3), hash,
    ],
)  # fmt: skip
def test_numbers_do_not_escape(function):
    with pytest.raises((Untraceable, TypeError)):
        record(lambda columns: [function(columns["a"])], {"a": A})


@pytest.mark.parametrize(
    "operator, params",
    [
        ("conv2d", {"in_channels": 13, "out_channels": 37, "height": 11, "width": 17, "stride": 2}),
        ("matmul", {"m": 37, "n": 100, "k": 29}),
        ("softmax", {}),
        ("blur", {}),
    ],
)
def test_populations_look_the_same_recorded_and_played(operator, params):
    space = SearchSpace(get_operator(operator)(**params), X86_AVX512, threads=4)
    generator = np.random.default_rng(0)
    first, second, third = (space.evaluate(space.sample(generator, 20 * len(space.sketches))) for _ in range(3))
    for evaluated in (first, second, third):
        for number, sketch in enumerate(space.sketches):
            rows = np.flatnonzero(evaluated.population.sketch == number)
            genes = evaluated.population.genes[rows].T
            columns = {n: c[g] for n, c, g in zip(space.names[number], space.choices[number], genes, strict=False)}
            features, cost = evaluate(sketch.schedule.replay(columns), X86_AVX512, 4, len(rows))
            assert np.array_equal(evaluated.features[rows], features)
            assert np.array_equal(evaluated.legal[rows], cost.legal)


def test_illegal_numbers_are_refused_after_recording_too():
    workload = get_operator("matmul")(m=16, n=16, k=16)
    schedule = create_schedule(workload).split(workload.output.name, "j", (Knob("n", (1, 2, 0)),))
    evaluator = Evaluator(schedule, X86_AVX512, 1)
    for _ in range(3):
        evaluator({"n": np.array([1, 2, 2])}, 3)
    with pytest.raises(ScheduleError, match="factor"):
        evaluator({"n": np.array([1, 0])}, 2)
