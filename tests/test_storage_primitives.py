"""Primitives about storage and the ranges of loops: the loops they make, the numbers, and what they refuse."""
# ruff: noqa: E501  (tables of messages and texts stay one line an entry)

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from differential import compare
from golden import check_json, check_loops, check_numbers
from operators_for_tests import chain, double, matmul

from autotune.errors import ScheduleError
from autotune.lowering.pipeline import lower
from autotune.lowering.printer import show
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.targets.callable import Kernel
from autotune.targets.facts import ARM_NEON, X86_AVX2, X86_AVX512, Target
from autotune.targets.host import supports
from autotune.targets.llvm.build import assembly, build
from autotune.targets.llvm.generate import generate
from autotune.tensor_expr import Tensor, compute, placeholder, reduce_axis, select
from autotune.tensor_expr import sum as total

RUNNABLE = [target for target in (X86_AVX2, X86_AVX512, ARM_NEON) if supports(target)]
Apply = Callable[[Schedule], Schedule]


def padded(size: int = 11) -> Tensor:
    """A stencil that is 0 beyond the border."""
    x = placeholder((size,), "float32", "x")
    inside = lambda i: select((i >= 0) & (i < size), x[i], 0)  # noqa: E731
    return compute((size,), lambda i: inside(i - 1) + inside(i) + inside(i + 1), name="y")


def scaled() -> Tensor:
    """A product with ``t``, which is made of the constant ``w``."""
    x, w = placeholder((5, 11), "float32", "x"), placeholder((11, 7), "float32", "w", constant=True)
    half = compute((11, 7), lambda i, o: w[i, o] * 0.5, name="half")
    t = compute((7, 11), lambda o, i: half[i, o] + w[i, o], name="t")
    k = reduce_axis(11, "k")
    return compute((5, 7), lambda b, o: total(x[b, k] * t[o, k], axis=k), name="y")


GOLDEN: dict[str, tuple[Tensor, Apply, str]] = {
    "set_scope": (
        chain(),
        lambda s: s.compute_at("a", "b", "i").set_scope("a", "workspace"),
        """
kernel(x: input float32[9, 11], b: output float32[9, 10])
    for i in 0..9:
        a = buffer float32[1, 11] in workspace
        for j in 0..11:
            a[0, j] = x[i, j] + 1.0
        for j_2 in 0..10:
            b[i, j_2] = a[0, j_2] * a[0, j_2 + 1]
""",
    ),
    "precompute": (
        scaled(),
        lambda s: s.precompute("t"),
        """
kernel(x: input float32[5, 11], t: constant float32[7, 11], y: output float32[5, 7])
    for b in 0..5:
        for o in 0..7:
            y[b, o] = 0.0
            y.sum = buffer float32[1]
            y.sum[0] = y[b, o]
            for k in 0..11:
                y.sum[0] = y.sum[0] + x[b, k] * t[o, k]
            y[b, o] = y.sum[0]
""",
    ),
    "storage_align": (
        chain(),
        lambda s: s.storage_align("a", 0, 8, 1),
        """
kernel(x: input float32[9, 11], b: output float32[9, 10])
    a = buffer float32[9, 11] strides [17, 1]
    for i in 0..9:
        for j in 0..11:
            a[i, j] = x[i, j] + 1.0
    for i_2 in 0..9:
        for j_2 in 0..10:
            b[i_2, j_2] = a[i_2, j_2] * a[i_2, j_2 + 1]
""",
    ),
    "stream": (
        double(3, 21),
        lambda s: s.vectorize("y", "j").stream("y"),
        """
kernel(x: input float32[3, 21], y: output float32[3, 21])
    for i in 0..3:
        vectorize for j in 0..16:
            y[i, j] = x[i, j] * 2.0  # non-temporal
        vectorize for j_2 in 0..5:
            y[i, j_2 + 16] = x[i, j_2 + 16] * 2.0  # non-temporal
""",
    ),
    "partition": (
        padded(),
        lambda s: s.partition("y", "i", [1, 10]),
        """
kernel(x: input float32[11], y: output float32[11])
    y[0] = 0.0 + x[0] + x[1]
    for i in 0..9:
        y[i + 1] = x[i] + x[i + 1] + x[i + 2]
    y[10] = x[9] + x[10] + 0.0
""",
    ),
    "peel": (
        padded(),
        lambda s: s.split("y", "i", [4]).peel("y", "i.0", 0, 1).peel("y", "i.1"),
        """
kernel(x: input float32[11], y: output float32[11])
    for i.0 in 0..2:
        y[i.0 * 4] = select(i.0 * 4 - 1 >= 0, x[i.0 * 4 - 1], 0.0) + x[i.0 * 4] + x[i.0 * 4 + 1]
        for i.1 in 0..2:
            y[i.0 * 4 + i.1 + 1] = x[i.0 * 4 + i.1] + x[i.0 * 4 + i.1 + 1] + x[i.0 * 4 + i.1 + 2]
        y[i.0 * 4 + 3] = x[i.0 * 4 + 2] + x[i.0 * 4 + 3] + x[i.0 * 4 + 4]
    y[8] = x[7] + x[8] + x[9]
    y[9] = x[8] + x[9] + x[10]
    y[10] = x[9] + x[10] + 0.0
""",
    ),
    "pragma": (
        double(),
        lambda s: s.parallel("y", "i").pragma("y", "i", "parallel_chunk", 3),
        """
kernel(x: input float32[13, 7], y: output float32[13, 7])
    parallel for i in 0..13:  # parallel_chunk = 3
        for j in 0..7:
            y[i, j] = x[i, j] * 2.0
""",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_loops(name: str) -> None:
    check_loops(GOLDEN[name])


@pytest.mark.parametrize("target", RUNNABLE, ids=lambda target: target.name)
@pytest.mark.parametrize("name", GOLDEN)
def test_numbers(name: str, target: Target) -> None:
    check_numbers(GOLDEN[name], target)


@pytest.mark.parametrize("name", GOLDEN)
def test_json_both_ways(name: str) -> None:
    check_json(GOLDEN[name])


@pytest.mark.parametrize(
    ("output", "apply", "message"),
    [
        (chain(), lambda s: s.set_scope("a", "heap"), r"'a': unknown scope 'heap'; the scopes are: auto, stack, workspace"),
        (chain(), lambda s: s.set_scope("b", "stack"), r"'b' is the output, whose memory belongs to the caller; cache_write it"),
        (chain(), lambda s: s.set_scope("x", "stack"), r"'x' is a placeholder"),
        (scaled(), lambda s: s.precompute("y"), r"'y': what is computed ahead is one array, not the output"),
        (scaled(), lambda s: s.precompute("half"), r"'half': 'w' is read by 't', too"),
        (scaled(), lambda s: s.precompute("w"), r"'w' is a placeholder"),
        (scaled(), lambda s: s.reorder("t", ["i", "o"]).precompute("t"), r"'t': .* no step's so far"),
        (chain(), lambda s: s.precompute("a"), r"'a' is made of 'x'; what is computed ahead is made of one plain constant"),
        (chain(), lambda s: s.storage_align("a", 2, 8), r"'a' has dimensions 0 to 1 in memory; storage_align names 2"),
        (chain(), lambda s: s.storage_align("a", 0, 0), r"'a', dimension 0: factor 0 must be a whole number from 1"),
        (chain(), lambda s: s.storage_align("a", 0, 8, -1), r"'a': offset -1 must be a whole number, 0 or more"),
        (matmul(), lambda s: s.stream("c"), r"'c' is a reduction or a scan, which reads its results again; cache_write it"),
        (double(), lambda s: s.partition("y", "k", [2]), r"'y': axis 'k' does not exist; its axes are: i, j"),
        (double(), lambda s: s.partition("y", "i", [0]), r"'y', axis 'i': point 0 must be a whole number from 1"),
        (double(), lambda s: s.partition("y", "i", 3), r"'y': partition takes a list of numbers as points, got 3"),
        (double(), lambda s: s.partition("y", "i", [3]).split("y", "i", [4]), r"'y': axis 'i' was split or fused away"),
        (double(), lambda s: s.peel("y", "i", 0, 0), r"'y', axis 'i': peel of 0 and 0 iterations changes nothing"),
        (double(), lambda s: s.peel("y", "i", -1), r"'y', axis 'i': count -1 must be a whole number from 1"),
        (double(), lambda s: s.pragma("y", "i", "speed", 3), r"'y', axis 'i': unknown pragma 'speed'; the pragmas are: parallel_chunk"),
        (double(), lambda s: s.pragma("y", "i", "parallel_chunk", 3), r"'y': axis 'i' is serial; parallel_chunk is for parallel axes"),
        (double(), lambda s: s.bind("y", "i", "threadIdx.w"), r"'y', axis 'i': unknown thread 'threadIdx.w'; the threads are: blockIdx.x"),
        (matmul(), lambda s: s.bind("c", "r", "threadIdx.x"), r"axis 'r' is a reduction, .* cannot be bound to threadIdx.x"),
        (double(), lambda s: s.bind("y", "i", "threadIdx.x").bind("y", "j", "threadIdx.x"), r"'y': axis 'i' is bound to threadIdx.x already"),
    ],
)  # fmt: skip
def test_refusals_name_what_exists(output: Tensor, apply: Apply, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        apply(create_schedule(output))


def test_what_only_gpus_have_is_shown_and_refused_by_cpus() -> None:
    bound = create_schedule(double()).bind("y", "i", "blockIdx.x").bind("y", "j", "threadIdx.x")
    assert "    blockIdx.x for i in 0..13:\n        threadIdx.x for j in 0..7:" in show(
        lower(bound, X86_AVX2, check=True)
    )
    with pytest.raises(
        ScheduleError, match=r"axis 'i' is bound to blockIdx.x, which x86_avx2 does not have; .* parallel"
    ):
        build(bound, X86_AVX2)
    shared = create_schedule(chain()).set_scope("a", "shared")
    with pytest.raises(
        ScheduleError, match=r"'a' is to live in shared memory, which arm_neon does not have; .* auto, st"
    ):
        build(shared, ARM_NEON)


class TestScopes:
    def test_registers_where_they_are_possible(self) -> None:
        schedule = create_schedule(matmul()).cache_write("c").compute_at("c.tile", "c", "i").vectorize("c", "j")
        schedule = schedule.reorder("c.tile", ["i", "r", "j"]).vectorize("c.tile", "j")
        for scope in ("register", "stack", "workspace"):
            assert all(compare(schedule.set_scope("c.tile", scope), target) == "" for target in RUNNABLE)
        assert build(schedule.set_scope("c.tile", "workspace"), X86_AVX2).workspace_bytes
        assert not build(schedule.set_scope("c.tile", "register"), X86_AVX2).workspace_bytes

    def test_registers_where_they_are_not(self) -> None:
        schedule = create_schedule(chain()).compute_at("a", "b", "i").set_scope("a", "register")
        with pytest.raises(
            ScheduleError, match=r"'a' cannot live in registers: a\[0, j\] moves with j, which is not unr"
        ):
            build(schedule, X86_AVX2)

    def test_the_stack_is_small(self) -> None:
        x = placeholder((1 << 19,), "float32", "x")
        a = compute((1 << 19,), lambda i: x[i] + 1, name="a")
        b = compute((1 << 19,), lambda i: a[i] + a[(1 << 19) - 1 - i], name="b")
        with pytest.raises(ScheduleError, match=r"'a' has 2097152 bytes, more than the 1048576 that the stack holds"):
            build(create_schedule(b).set_scope("a", "stack"), X86_AVX2)


class TestStream:
    def test_the_instructions(self) -> None:
        schedule = create_schedule(double(3, 64)).vectorize("y", "j").stream("y")
        assert all(word in assembly(schedule, X86_AVX512) for word in ("vmovntps", "vmovups", "sfence"))
        assert "stnp" in assembly(schedule, ARM_NEON) and "sfence" not in assembly(schedule, ARM_NEON)
        assert "sfence" not in assembly(create_schedule(double(3, 64)).vectorize("y", "j"), X86_AVX512)

    def test_what_threads_read_is_there_before_they_run(self) -> None:
        schedule = create_schedule(chain()).stream("a").parallel("b", "i")
        text = generate(lower(schedule, X86_AVX2), X86_AVX2, 2).text
        assert text.index("nontemporal") < text.index("call void @llvm.x86.sse.sfence") < text.index("ptr @parallel0,")

    @pytest.mark.parametrize("threads", [False, True])
    @pytest.mark.parametrize("shift", [0, 1, 3])
    def test_arrays_of_any_alignment(self, shift: int, threads: bool) -> None:
        schedule = create_schedule(double(5, 67)).vectorize("y", "j").stream("y")
        schedule = schedule.parallel("y", "i") if threads else schedule
        x = np.arange(5 * 67, dtype=np.float32).reshape(5, 67)
        for target in RUNNABLE:
            out = np.zeros(5 * 67 + 16, np.float32)[shift : shift + 5 * 67].reshape(5, 67)
            assert np.array_equal(Kernel(build(schedule, target, 2))(x=x, out=out), x * 2)


@pytest.mark.parametrize("points", [[1], [5, 3], [2, 4, 100], [13]])
def test_partitions_of_any_loop(points: list[int]) -> None:
    plain = create_schedule(matmul())
    schedules = [
        plain.partition("c", "r", points), plain.partition("c", "i", points).parallel("c", "i"),
        plain.reorder("c", ["i", "r", "j"]).partition("c", "j", points).vectorize("c", "j"),
        plain.partition("c", "i", points).unroll("c", "i"), plain.split("c", "j", [4]).partition("c", "j.1", points),
        plain.fuse("c", ["i", "j"]).partition("c", "i+j", points),
    ]  # fmt: skip
    for schedule in schedules:
        assert all(compare(schedule, target) == "" for target in RUNNABLE), str(schedule)


def test_the_inside_of_a_padded_stencil_has_no_test() -> None:
    text = show(lower(create_schedule(padded()).peel("y", "i").vectorize("y", "i"), X86_AVX2))
    assert "select" not in text and "vectorize for i in 0..8:" in text


@pytest.mark.parametrize("chunk", [1, 2, 5, 100])
def test_chunks_cover_every_iteration(chunk: int) -> None:
    schedule = create_schedule(double(13, 21)).parallel("y", "i").pragma("y", "i", "parallel_chunk", chunk)
    assert all(compare(schedule.vectorize("y", "j"), target) == "" for target in RUNNABLE)
    assert f"atomicrmw add ptr %closure, i64 {chunk} " in generate(lower(schedule, X86_AVX2), X86_AVX2, 2).text
