"""Stages that share loops: the loops, the numbers, and what is refused."""
# ruff: noqa: E501  (tables of messages and texts stay one line an entry)

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from test_kept_stages import correct

from autotune.errors import ScheduleError
from autotune.lowering.pipeline import lower
from autotune.lowering.printer import show
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.targets.facts import X86_AVX512
from autotune.tensor_expr import Tensor, compute, placeholder, reduce_axis
from autotune.tensor_expr import max as maximum
from autotune.tensor_expr import sum as total

Apply = Callable[[Schedule], Schedule]


def siblings(rows: int = 7, columns: int = 19) -> Tensor:
    """The mean and the largest element of each row, and both together."""
    x = placeholder((rows, columns), "float32", "x")
    k, m = reduce_axis(columns, "k"), reduce_axis(columns, "m")
    a = compute((rows,), lambda i: total(x[i, k], axis=k), name="a")
    b = compute((rows,), lambda i: maximum(x[i, m], axis=m), name="b")
    return compute((rows,), lambda i: a[i] - b[i], name="c")


def pointwise(width: int = 11) -> Tensor:
    """Two stages of one shape, of which the second reads a third one."""
    x = placeholder((9, 11), "float32", "x")
    a = compute((9, 11), lambda i, j: x[i, j] + 1, name="a")
    d = compute((9, 11), lambda i, j: x[i, j] * 3, name="d")
    b = compute((9, width), lambda p, q: d[p, q % 11] + d[8 - p, 0], name="b")
    return compute((9, 11), lambda i, j: a[i, j] * b[i, j % width], name="c")


GOLDEN: dict[str, tuple[Tensor, Apply, str]] = {
    "compute_with": (
        siblings(),
        lambda s: s.compute_with("b", "a", "i"),
        """
kernel(x: input float32[7, 19], c: output float32[7])
    a = buffer float32[7]
    b = buffer float32[7]
    for i in 0..7:
        a[i] = 0.0
        a.sum = buffer float32[1]
        a.sum[0] = a[i]
        for k in 0..19:
            a.sum[0] = a.sum[0] + x[i, k]
        a[i] = a.sum[0]
        b[i] = -inf
        b.sum = buffer float32[1]
        b.sum[0] = b[i]
        for m in 0..19:
            b.sum[0] = max(b.sum[0], x[i, m])
        b[i] = b.sum[0]
    for i_2 in 0..7:
        c[i_2] = a[i_2] - b[i_2]
""",
    ),
    "compute_with after what it reads": (
        pointwise(),
        lambda s: s.compute_with("b", "a", "q"),
        """
kernel(x: input float32[9, 11], c: output float32[9, 11])
    d = buffer float32[9, 11]
    for i in 0..9:
        for j in 0..11:
            d[i, j] = x[i, j] * 3.0
    a = buffer float32[9, 11]
    b = buffer float32[9, 11]
    for i_2 in 0..9:
        for j_2 in 0..11:
            a[i_2, j_2] = x[i_2, j_2] + 1.0
            b[i_2, j_2] = d[i_2, j_2] + d[8 - i_2, 0]
    for i_3 in 0..9:
        for j_3 in 0..11:
            c[i_3, j_3] = a[i_3, j_3] * b[i_3, j_3]
""",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_loops(name: str) -> None:
    output, apply, text = GOLDEN[name]
    assert show(lower(apply(create_schedule(output)), X86_AVX512, check=True)) == text.strip()


@pytest.mark.parametrize("name", GOLDEN)
def test_numbers(name: str) -> None:
    output, apply, _ = GOLDEN[name]
    assert correct(apply(create_schedule(output)))


@pytest.mark.parametrize("name", GOLDEN)
def test_json_both_ways(name: str) -> None:
    output, apply, text = GOLDEN[name]
    schedule = apply(create_schedule(output))
    again = Schedule.from_json(output, json.loads(schedule.text))
    assert again.text == schedule.text
    assert show(lower(again, X86_AVX512)) == text.strip()


PLAIN = create_schedule(pointwise())
ROWS = create_schedule(siblings())
FUSED = PLAIN.fuse("a", ["i", "j"]).split("a", "i+j", [8]).fuse("b", ["p", "q"]).split("b", "p+q", [8])


@pytest.mark.parametrize(
    "schedule",
    [
        PLAIN.compute_with("a", "b", "j"),
        PLAIN.compute_with("b", "a", "p").vectorize("a", "j").vectorize("b", "q"),
        PLAIN.compute_with("d", "a", "j"),
        PLAIN.tile("a", ["i", "j"], [4, 8]).tile("b", ["p", "q"], [4, 8]).compute_with("b", "a", "q.1"),
        PLAIN.tile("a", ["i", "j"], [4, 8]).tile("b", ["p", "q"], [4, 8]).compute_with("b", "a", "q.0").unroll("a", "i.1").vectorize("b", "q.1"),
        FUSED.compute_with("b", "a", "p+q.0"),
        FUSED.compute_with("b", "a", "p+q.1"),
        FUSED.compute_with("b", "a", "p+q.0").vectorize("a", "i+j.1").unroll("b", "p+q.1"),
        PLAIN.reorder("b", ["p", "q"]).compute_with("b", "a", "p").unroll("b", "q"),
        PLAIN.compute_at("a", "c", "i").compute_at("b", "c", "i").compute_with("b", "a", "p"),
        PLAIN.split("c", "i", [4]).compute_at("a", "c", "i.0").compute_at("b", "c", "i.0").compute_with("b", "a", "p"),
        ROWS.compute_with("a", "b", "i").reorder("a", ["i", "k"]).split("a", "k", [8]),
        create_schedule(pointwise(13)).compute_with("b", "a", "p"),
    ],
)  # fmt: skip
def test_in_any_structure(schedule: Schedule) -> None:
    assert correct(schedule)


@pytest.mark.parametrize(
    ("schedule", "apply", "message"),
    [
        (PLAIN, lambda s: s.compute_with("b", "d", "p"), r"'b' cannot be computed with 'd': 'b' depends on 'd'"),
        (PLAIN, lambda s: s.compute_with("d", "b", "i"), r"'d' cannot be computed with 'b': 'b' depends on 'd'"),
        (PLAIN, lambda s: s.compute_with("a", "a", "i"), r"'a' cannot be computed with itself"),
        (PLAIN, lambda s: s.compute_with("a", "x", "i"), r"'x' is a placeholder"),
        (PLAIN, lambda s: s.compute_at("a", "c", "i").compute_with("b", "a", "p"), r"one is computed at the root, the other at 'c' axis 'i'"),
        (PLAIN, lambda s: s.split("a", "i", [4]).compute_with("b", "a", "p"), r"axis 'p' \(9 iterations\) and 'i.0' of 'a' \(3\) are not made in the same way"),
        (PLAIN, lambda s: s.compute_with("b", "a", "p").split("a", "i", [4]), r"'b' cannot be computed with 'a': axis 'p' \(9 iterations\) and 'i.0' of 'a'"),
        (PLAIN, lambda s: s.reorder("a", ["j", "i"]).compute_with("b", "a", "p"), r"axis 'p' \(9 iterations\) and 'j' of 'a' \(11\) are not made"),
        (PLAIN, lambda s: s.compute_with("b", "a", "p").parallel("a", "i"), r"axis 'p' is serial, and 'i' of 'a' is parallel"),
        (PLAIN, lambda s: s.compute_with("b", "a", "p").split("b", "p", [2]), r"'b': axis 'p' was split or fused away"),
        (PLAIN, lambda s: s.compute_with("b", "a", "p").partition("b", "p", [2]), r"axis 'p' is partitioned, prefetches or has a pragma; let 'i' of 'a' do that"),
        (PLAIN, lambda s: s.compute_with("b", "a", "p").compute_with("a", "b", "i"), r"'b' shares loops with another stage already"),
        (ROWS, lambda s: s.compute_with("b", "a", "m"), r"'b' cannot be computed with 'a': axis 'm' of 'b' is a reduction"),
        (ROWS, lambda s: s.compute_with("b", "a", "i").decompose_reduction("a", "i"), r"'a' is initialised before axis 'i'"),
    ],
)  # fmt: skip
def test_refusals(schedule: Schedule, apply: Apply, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        apply(schedule)


def test_both_may_run_on_threads() -> None:
    schedule = PLAIN.parallel("a", "i").parallel("b", "p").compute_with("b", "a", "p")
    assert show(lower(schedule, X86_AVX512)).count("parallel for") == 1
    assert correct(schedule)


def test_what_readers_need_must_be_the_same() -> None:
    x = placeholder((12,), "float32", "x")
    a = compute((12,), lambda i: x[i] + 1, name="a")
    b = compute((12,), lambda i: x[i] * 2, name="b")
    for read in (lambda i: a[i + 1] - b[i], lambda i: a[i] - b[11 - i], lambda i: a[i] - b[i] * b[i + 1]):
        c = compute((11,), read, name="c")
        schedule = create_schedule(c).split("c", "i", [4]).compute_at("a", "c", "i.0").compute_at("b", "c", "i.0")
        with pytest.raises(
            ScheduleError, match=r"'i.0', their readers may need different parts of them|are not made in"
        ):
            schedule.compute_with("b", "a", "i")


def test_pairs_that_would_wait_for_each_other() -> None:
    """Found by fuzzing: a runs with b's copy and b with a's copy, so that neither can be first."""
    a, b = (compute((4, 4), lambda i, j, v=v: v * (i + j), name=name) for name, v in (("a", 2), ("b", 3)))
    c = compute((4, 4), lambda i, j: a[i, j] + b[i, j], name="c")
    schedule = create_schedule(c).cache_read("a", "c").cache_read("b", "c").compute_with("b", "a.c", "i")
    with pytest.raises(ScheduleError, match="through 'b', which shares its loops as well, each would have to wait"):
        schedule.compute_with("a", "b.c", "i")
