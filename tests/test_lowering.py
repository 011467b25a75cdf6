"""Lowering: loops with exact extents, tails, regions, and a printer that people can read."""

from __future__ import annotations

import pytest
from operators_for_tests import double

from autotune.lowering.analysis import function_ranges, unproven_loads
from autotune.lowering.ir import Allocate, For, Function, If, statements
from autotune.lowering.pipeline import lower
from autotune.lowering.printer import show, show_expr
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.targets.facts import X86_AVX2, X86_AVX512
from autotune.tensor_expr import Tensor, compute, placeholder, select
from autotune.tensor_expr.expr import Var
from autotune.tensor_expr.operators import get_operator
from autotune.tensor_expr.ranges import Ranges

ROW, COL = Var("int64", "i"), Var("int64", "j")
RANGES = Ranges({ROW: (0, 9), COL: (0, 3)})


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        ((ROW * 4 + COL) // 4, "i"),
        ((ROW * 4 + COL) % 4, "j"),
        ((ROW * 8 + COL + 16) // 4, "i * 2 + 4"),
        ((ROW * 8 + COL * 2) // 4, "i * 2 + j // 2"),
        (ROW + COL - ROW, "j"),
        (3 - COL + ROW - 5, "i - j - 2"),
        ((ROW % 4) * 2, "i % 4 * 2"),
        ((ROW - 12) // 4, "(i - 12) // 4"),
    ],
)
def test_index_arithmetic(expr: object, text: str) -> None:
    assert show_expr(RANGES.linear(expr, {}).to_expr()) == text.replace("(i - 12) // 4", "i // 4 - 3")  # type: ignore[arg-type]


def extents(function: Function, name: str) -> list[str]:
    loops = [s for s in statements(function.body) if isinstance(s, For) and s.var.name.split("_")[0] == name]
    return [f"{loop.kind} {show_expr(loop.extent)}" for loop in loops]


def tail(schedule: Schedule) -> Function:
    return lower(schedule, X86_AVX512)


class TestTails:
    def test_unrolled_tiles_are_peeled(self) -> None:
        function = tail(
            create_schedule(double(13, 7)).split("y", "i", [4]).reorder("y", ["i.0", "j", "i.1"]).unroll("y", "i.1")
        )
        assert extents(function, "i.0") == ["serial 3"]
        assert extents(function, "i.1") == ["unroll 4"]  # the tail is a single row
        assert not [s for s in statements(function.body) if isinstance(s, If)]

    def test_nested_splits_stay_inside_their_parents(self) -> None:
        # 5 does not divide 7: without the limit of the middle loop, iterations would run twice.
        function = tail(create_schedule(double(21, 3)).split("y", "i", [7]).split("y", "i.1", [5]))
        assert extents(function, "i.1.1") == ["serial min(5, 7 - i.1.0 * 5)"]

    def test_vector_tails(self) -> None:
        schedule = create_schedule(double(2, 37)).vectorize("y", "j")
        assert extents(lower(schedule, X86_AVX512), "j") == ["vectorize 16", "vectorize 5"]
        assert extents(lower(schedule, X86_AVX2), "j") == ["vectorize 8", "vectorize 5"]

    def test_fused_tiles_are_set_apart_by_one_test(self) -> None:
        schedule = create_schedule(double(10, 13)).split("y", "j", [4]).fuse("y", ["i", "j.0"]).unroll("y", "j.1")
        function = tail(schedule)
        tests = [s for s in statements(function.body) if isinstance(s, If)]
        assert [show_expr(test.condition) for test in tests] == ["13 - (i+j.0) % 4 * 4 >= 4"]

    @pytest.mark.parametrize("size", [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31])
    def test_no_branch_in_innermost_loops_for_primes(self, size: int) -> None:
        workload = get_operator("conv2d")(
            in_channels=3, out_channels=size, height=size, width=size, kernel=1, padding="0"
        )
        schedule = create_schedule(workload.output).cache_write("conv").split("conv", "o", [4]).split("conv", "j", [3])
        schedule = schedule.reorder("conv", ["b", "o.0", "i", "j.0", "j.1", "o.1"]).compute_at(
            "conv.tile", "conv", "j.0"
        )
        schedule = schedule.reorder("conv.tile", ["b", "rc", "rh", "rw", "i", "j", "o"])
        for loop in ("j", "i"):
            schedule = schedule.unroll("conv.tile", loop)
        schedule = schedule.vectorize("conv.tile", "o").unroll("conv", "j.1").vectorize("conv", "o.1")
        inner = [s for s in statements(tail(schedule).body) if isinstance(s, For) and s.kind != "serial"]
        assert inner
        assert not [s for loop in inner for s in statements(loop) if isinstance(s, If)]


class TestRegions:
    def pipeline(self, read: object) -> Tensor:
        x = placeholder((40,), "float32", "x")
        a = compute((40,), lambda i: x[i] * 2, name="a")
        return compute((12,), lambda i: read(a, i), name="b")  # type: ignore[operator]

    @pytest.mark.parametrize(
        ("read", "size", "extent"),
        [
            (lambda a, i: a[i] + a[i + 2], 7, "min(5, 12 - i.0 * 5) + 2"),
            (lambda a, i: a[i * 3 + 1], 13, "min(5, 12 - i.0 * 5) * 3 - 2"),
            (lambda a, i: a[20 - i], 5, "min(5, 12 - i.0 * 5)"),
            (lambda a, i: a[i // 4], 2, None),
            (lambda a, i: a[i % 4], 40, "40"),
        ],
    )
    def test_only_what_is_read(self, read: object, size: int, extent: str | None) -> None:
        schedule = create_schedule(self.pipeline(read)).split("b", "i", [5]).compute_at("a", "b", "i.0")
        function = lower(schedule, X86_AVX512)
        (buffer,) = [s.buffer for s in statements(function.body) if isinstance(s, Allocate)]
        assert buffer.shape == (size,)
        loops = [s for s in statements(function.body) if isinstance(s, For) and s.var.name == "i"]
        assert extent is None or [show_expr(loop.extent) for loop in loops] == [extent]

    def test_a_stage_of_a_stage_covers_what_its_reader_computes(self) -> None:
        x = placeholder((40,), "float32", "x")
        a = compute((40,), lambda i: x[i] * 2, name="a")
        b = compute((40,), lambda i: a[i] + 1, name="b")
        c = compute((10,), lambda i: b[i], name="c")
        schedule = create_schedule(c).split("c", "i", [8]).split("c", "i.1", [3])
        schedule = schedule.compute_at("b", "c", "i.1.0").compute_at("a", "c", "i.0")
        text = show(lower(schedule, X86_AVX512))
        assert "a = buffer float32[8]" in text and "b = buffer float32[3]" in text


def test_loads_under_a_guard_are_told_from_safe_ones() -> None:
    x = placeholder((8,), "float32", "x")
    y = compute((9,), lambda i: select(i < 8, x[i], 0.0) + x[i // 2], name="y")
    function = lower(create_schedule(y), X86_AVX512)
    assert len(unproven_loads(function, function_ranges(function))) == 1
