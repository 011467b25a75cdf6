"""Cumulative computes: their meaning, JSON, the order that their loops must keep, and refusals."""
# ruff: noqa: E501  (tables of messages and texts stay one line an entry)

from __future__ import annotations

import json

import numpy as np
import pytest
from differential import compare
from programs import RandomSource, draw_schedule

import autotune as at
from autotune.errors import ScheduleError, UsageError
from autotune.lowering.interpreter import interpret
from autotune.lowering.pipeline import lower
from autotune.lowering.printer import show
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.targets.facts import TARGETS, X86_AVX512
from autotune.targets.host import native_target, supports
from autotune.tensor_expr import Expr, Tensor, cast, compute, cumulative, placeholder, reduce_axis, reducer, select
from autotune.tensor_expr import sum as total
from autotune.tensor_expr.evaluate import evaluate, evaluate_all
from autotune.tensor_expr.serialize import canonical_text, from_json, to_json
from autotune.tensor_expr.tensor import as_output

RUNNABLE = [target for target in TARGETS.values() if supports(target)]
DATA = np.random.default_rng(0).integers(-4, 5, (5, 7)).astype(np.float64)


def recurrence(a: tuple[Expr, ...], b: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """``h[t] = f[t] * h[t - 1] + g[t]`` as a composition of linear maps, which is associative and not commutative."""
    return a[0] * b[0], b[0] * a[1] + b[1]


LINEAR = reducer(recurrence, identity=(1, 0), name="linear")


def along_rows(by: str = "sum", shape: tuple[int, ...] = (5, 7)) -> Tensor:
    x = placeholder(shape, "float32", "x")
    return compute(shape, lambda i, t: cumulative(by, x[i, t], axis=t), name="y")


def along_columns(shape: tuple[int, int] = (7, 19)) -> Tensor:
    x = placeholder(shape, "float32", "x")
    return compute(shape, lambda t, j: cumulative("sum", x[t, j], axis=t), name="y")


class TestMeaning:
    @pytest.mark.parametrize(
        ("by", "expected"),
        [
            ("sum", np.cumsum), ("prod", np.cumprod), ("max", np.maximum.accumulate), ("min", np.minimum.accumulate),
        ],
    )  # fmt: skip
    def test_against_numpy(self, by: str, expected: object) -> None:
        assert np.array_equal(evaluate(along_rows(by), {"x": DATA}), expected(DATA, axis=1))  # type: ignore[operator]

    def test_along_the_first_axis_in_slices(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("autotune.tensor_expr.evaluate.GRID_ELEMENTS", 4)
        assert np.array_equal(evaluate(along_columns((5, 7)), {"x": DATA}), DATA.cumsum(0))
        assert np.array_equal(evaluate(along_rows(), {"x": DATA}), DATA.cumsum(1))

    def test_exclusive_and_reverse_by_index_arithmetic(self) -> None:
        x = placeholder((5, 7), "float32", "x")
        exclusive = compute((5, 7), lambda i, t: cumulative("sum", select(t > 0, x[i, t - 1], 0), axis=t), name="y")
        assert np.array_equal(evaluate(exclusive, {"x": DATA}), DATA.cumsum(1) - DATA)
        mirrored = compute((5, 7), lambda i, t: cumulative("sum", x[i, 6 - t], axis=t), name="mirrored")
        reverse = compute((5, 7), lambda i, t: mirrored[i, 6 - t], name="y")
        assert np.array_equal(evaluate(reverse, {"x": DATA}), DATA[:, ::-1].cumsum(1)[:, ::-1])
        for output in (exclusive, reverse):
            assert compare(create_schedule(output), native_target()) == ""

    def test_recurrences_and_positions(self) -> None:
        f, g = placeholder((5, 7), "float32", "f"), placeholder((5, 7), "float32", "g")
        h = compute((5, 7), lambda i, t: cumulative(LINEAR, (f[i, t], g[i, t]), axis=t), name="h")[1]
        expected = np.zeros((5, 7))
        for t in range(7):
            expected[:, t] = DATA[:, t] * (expected[:, t - 1] if t else 0) + 1
        output = as_output(h)
        assert np.array_equal(evaluate(output, {"f": DATA, "g": np.ones((5, 7))}), expected)
        got = at.build(create_schedule(output))(f=DATA.astype(np.float32), g=np.ones((5, 7), np.float32))
        assert np.allclose(got, expected)

    def test_cumulative_argmax(self) -> None:
        x = placeholder((5, 7), "float32", "x")
        best = as_output(compute((5, 7), lambda i, t: cumulative("argmax", (x[i, t], t), axis=t), name="best"))
        value, index = evaluate_all(best, {"x": DATA})
        assert np.array_equal(value, np.maximum.accumulate(DATA, axis=1))
        assert np.array_equal(index, [[row[: t + 1].argmax() for t in range(7)] for row in DATA])
        assert compare(create_schedule(best), native_target()) == ""


def test_round_trip_and_text() -> None:
    plain = along_rows()
    assert canonical_text(plain) == 'float32[5,7]; float32[5,7|]=(scan ["sum", 0, 1] (read 0 axis 0 axis 1))'
    x = placeholder((5, 7), "float32", "x")
    pair = as_output(compute((5, 7), lambda i, t: cumulative(LINEAR, (x[i, t], 1.0), axis=i), name="y"))
    for output in (plain, pair):
        again = from_json(json.loads(json.dumps(to_json(output))))
        assert to_json(again) == to_json(output) and canonical_text(again) == canonical_text(output)
        for a, b in zip(evaluate_all(again, {"x": DATA}), evaluate_all(output, {"x": DATA}), strict=True):
            assert np.array_equal(a, b)
    mirrored = as_output(compute((5, 7), lambda i, t: cumulative(LINEAR, (x[i, t], 1.0), axis=t), name="y"))
    assert canonical_text(pair) != canonical_text(mirrored)


class TestLowering:
    def test_each_point_takes_the_one_before(self) -> None:
        assert (
            show(lower(create_schedule(along_rows()), X86_AVX512, check=True))
            == """
kernel(x: input float32[5, 7], y: output float32[5, 7])
    for i in 0..5:
        for t in 0..7:
            if t > 0:
                y[i, t] = y[i, t - 1] + x[i, t]
            else:
                y[i, t] = x[i, t]
""".strip()
        )

    def test_all_of_a_scan_is_computed_where_part_of_it_is_read(self) -> None:
        x = placeholder((5, 12), "float32", "x")
        s = compute((5, 12), lambda i, t: cumulative("sum", x[i, t], axis=t), name="s")
        y = compute((5, 6), lambda i, j: s[i, j + 6] * 2, name="y")
        schedule = create_schedule(y).split("y", "j", [2]).compute_at("s", "y", "j.0")
        text = show(lower(schedule, X86_AVX512, check=True))
        assert "s = buffer float32[1, 12]" in text and "for t in 0..12" in text
        assert compare(schedule, native_target()) == ""

    def test_other_axes_are_free(self) -> None:
        schedule = create_schedule(along_columns()).split("y", "t", [3]).split("y", "j", [16])
        schedule = schedule.reorder("y", ["j.0", "t.0", "t.1", "j.1"]).unroll("y", "t.1").vectorize("y", "j.1")
        for target in RUNNABLE:
            assert compare(schedule.parallel("y", "j.0"), target) == ""

    def test_a_scan_of_a_reduction_in_registers(self) -> None:
        x, k = placeholder((6, 5, 4), "float32", "x"), reduce_axis(4, "k")
        r = compute((6, 5), lambda i, t: total(x[i, t, k], axis=k), name="r")
        y = compute((6, 5), lambda i, t: cumulative("sum", r[i, t], axis=t), name="y")
        schedule = (
            create_schedule(y).cache_write("y").compute_at("y.tile", "y", "i").unroll("y.tile", "t").unroll("y", "t")
        )
        schedule = schedule.compute_at("r", "y.tile", "i")
        for target in RUNNABLE:
            assert compare(schedule, target) == ""

    def test_interpreted(self) -> None:
        data = DATA.astype(np.float32)
        for schedule in (create_schedule(along_rows()), create_schedule(along_rows()).parallel("y", "i")):
            (got,) = interpret(lower(schedule, X86_AVX512), [data])
            assert np.array_equal(got, data.cumsum(1))


SCANS = {
    "rows": lambda x: compute((5, 7, 19), lambda i, t, j: cumulative("sum", x[i, t, j], axis=j), name="s"),
    "middle": lambda x: compute((5, 7, 19), lambda i, t, j: cumulative("max", x[i, t, j], axis=t), name="s"),
    "first": lambda x: compute((5, 7, 19), lambda i, t, j: cumulative("sum", cast(x[i, t, j], "int32"), axis=i), name="s"),
    "linear": lambda x: compute((5, 7, 19), lambda i, t, j: cumulative(LINEAR, (x[i, t, j] * 0.25, 1.0), axis=t), name="s")[1],
    "best": lambda x: compute((5, 7, 19), lambda i, t, j: cumulative("argmax", (x[i, t, j], t), axis=t), name="s")[1],
}  # fmt: skip


@pytest.mark.skipif(not RUNNABLE, reason="no target's code runs on this machine")
@pytest.mark.parametrize("name", SCANS)
def test_random_schedules(name: str) -> None:
    for seed in range(16):
        source = RandomSource(seed)
        scanned = SCANS[name](placeholder((5, 7, 19), "float32", "x"))
        output = as_output(scanned)
        if source.integer(0, 1):
            output = compute((5, 5, 19), lambda i, t, j, s=scanned: s[i, t + 2, j] + 1, name="y")  # type: ignore[misc]
        schedule = draw_schedule(source, output)
        for target in RUNNABLE:
            assert compare(schedule, target) == "", f"seed {seed} on {target.name}: {schedule}"


def test_tuned() -> None:
    for output in (along_rows(shape=(64, 50)), along_columns((50, 64))):
        for threads in (1, 2):
            data = np.random.default_rng(1).random(output.shape).astype(np.float32)
            found = at.find(output, threads=threads)
            assert np.allclose(
                at.build(found.schedule, threads=threads)(x=data),
                data.cumsum(1 if output.shape[0] == 64 else 0),
                rtol=1e-4,
            )


def tiled() -> Schedule:
    return create_schedule(along_rows()).split("y", "t", [3])


REFUSED_STEPS = {
    r"stage 'y': axis 't' runs in order, .* cannot be vectorized; its spatial axes are: i": lambda: create_schedule(along_rows()).vectorize("y", "t"),
    r"stage 'y': axis 't' runs in order, .* cannot be parallel": lambda: create_schedule(along_columns()).parallel("y", "t"),
    r"each iteration of t.0, t.1 needs the one before it; these must stay in this order": lambda: tiled().reorder("y", ["t.1", "i", "t.0"]),
    r"each iteration of t.0.*these must stay in this order": lambda: tiled().tile("y", ["t.0", "t.1"], [2, 2]),
    r"stage 'y': cannot fuse ordered axis 't' with a spatial one": lambda: create_schedule(along_rows()).fuse("y", ["i", "t"]),
    r"stage 'y' is a reduction or a scan, which reads its results again": lambda: create_schedule(along_rows()).stream("y"),
    r"stage 'y' is not a reduction": lambda: create_schedule(along_rows()).decompose_reduction("y", "i"),
    r"stage 's' is a scan and cannot be inlined": lambda: create_schedule(doubled()).compute_inline("s"),
}  # fmt: skip


def doubled() -> Tensor:
    x = placeholder((5, 7), "float32", "x")
    s = compute((5, 7), lambda i, t: cumulative("sum", x[i, t], axis=t), name="s")
    return compute((5, 7), lambda i, t: s[i, t] * 2, name="y")


@pytest.mark.parametrize("message", REFUSED_STEPS)
def test_refused_steps(message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        REFUSED_STEPS[message]()


X = placeholder((5, 7), "float32", "x")
K = reduce_axis(7, "k")
FOREIGN = along_rows().axes[1]
REFUSED = {
    r"compute 'y' accumulates along 't', which is not one of its axes: i, j": lambda: compute((5, 7), lambda i, j: cumulative("sum", X[i, j], axis=FOREIGN), name="y"),
    r"cumulative sum runs along an axis of its own compute, got 'k'": lambda: cumulative("sum", X[0, K], axis=K),
    r"cumulative sum runs along an axis of its own compute, got 3": lambda: cumulative("sum", X[0, 0], axis=3),  # type: ignore[arg-type]
    r"unknown reducer 'mean'; known: all, any": lambda: cumulative("mean", X[0, 0], axis=FOREIGN),
    r"cumulative takes a reducer or the name of one \(sum, .*\), got 3": lambda: cumulative(3, X[0, 0], axis=FOREIGN),  # type: ignore[arg-type]
    r"linear has 2 components, as its identity has; got 1 operands": lambda: cumulative(LINEAR, X[0, 0], axis=FOREIGN),
    r"compute 'y' has a reduction inside an expression": lambda: compute((5, 7), lambda i, t: cumulative("sum", X[i, t], axis=t) + 1, name="y"),
    r"must return all 2 components of linear, side by side": lambda: compute((5, 7), lambda i, t: cumulative(LINEAR, (X[i, t], 1.0), axis=t)[0], name="y"),
    r"must reduce over the same axes in every component": lambda: compute((5, 7), lambda i, t: (cumulative("sum", X[i, t], axis=t), cumulative("sum", X[i, t], axis=i)), name="y"),
    r"uses axis 'k' outside its reducer": lambda: compute((5, 7), lambda i, t: cumulative("sum", X[i, K], axis=t), name="y"),
}  # fmt: skip


@pytest.mark.parametrize("message", REFUSED)
def test_refusals(message: str) -> None:
    with pytest.raises(UsageError, match=message):
        REFUSED[message]()


def test_a_scan_in_two_buffers_in_turn() -> None:
    """Found by fuzzing: what came before was read from where no copy lies."""
    x = placeholder((5, 9), "int32", "x")
    run = compute((5, 9), lambda i, j: cumulative("sum", x[i, j], axis=j), name="run")
    twice = compute((5, 9), lambda i, j: run[i, j] * 2, name="twice")
    schedule = create_schedule(twice).compute_at("run", "twice", "i").double_buffer("run")
    assert compare(schedule, native_target()) == ""
