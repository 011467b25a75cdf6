"""Layouts of the caller's own arrays: packing, unpacking, and kernels that hand packed arrays on to each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from differential import THREADS, inputs_of
from hypothesis import given, settings
from hypothesis import strategies as st
from operators_for_tests import chain, double, matmul

from autotune.errors import ScheduleError, UsageError
from autotune.measure.local import LocalMeasurer
from autotune.measure.results import MeasureOptions, MeasureTask, write_arrays
from autotune.schedules.layout import Dim, Layout
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.targets.callable import Kernel
from autotune.targets.host import native_target
from autotune.targets.llvm.build import build
from autotune.targets.llvm.probe import host_instruments
from autotune.tensor_expr.evaluate import evaluate

BLOCKED = ([[1, 4]], ["1.outer", "0", "1.inner"])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 5)), min_size=1, max_size=3), st.randoms())
def test_unpacking_undoes_packing(sizes: list[tuple[int, int]], random: object) -> None:
    """Dimensions with a factor (0: none) in any order."""
    dims: list[Dim] = []
    for logical, (_, factor) in enumerate(sizes):
        dims += [Dim(logical, factor), Dim(logical, 1, factor)] if factor else [Dim(logical)]
    random.shuffle(dims)  # type: ignore[attr-defined]
    layout, shape = Layout(tuple(dims)), tuple(size for size, _ in sizes)
    plain = np.arange(1, np.prod(shape) + 1).reshape(shape)
    packed, again = layout.pack(plain), np.zeros_like(plain)
    assert packed.shape == layout.shape(shape) and packed.sum() == plain.sum()
    layout.unpack(packed, again)
    np.testing.assert_array_equal(again, plain)


def blocked(rows: int = 13, columns: int = 7) -> Schedule:
    """``y = x * 2`` with both arrays in blocks of 4 columns, the last of them partial."""
    return create_schedule(double(rows, columns)).transform_layout("x", *BLOCKED).transform_layout("y", *BLOCKED)


def kernel_of(schedule: Schedule) -> Kernel:
    return Kernel(build(schedule, native_target(), THREADS))


class TestCalls:
    def test_plain_arrays_are_converted_at_every_call(self) -> None:
        kernel, x = kernel_of(blocked()), np.random.default_rng(0).random((13, 7), np.float32)
        np.testing.assert_array_equal(kernel(x), x * 2)
        out = np.full((13, 7), np.nan, np.float32)
        assert kernel(x, out=out) is out
        np.testing.assert_array_equal(out, x * 2)
        np.testing.assert_array_equal(kernel.bind(x=x)(), x * 2)

    def test_packed_arrays_go_from_kernel_to_kernel(self) -> None:
        kernel, x = kernel_of(blocked()), np.random.default_rng(1).random((13, 7), np.float32)
        packed = kernel.pack("x", x)
        assert packed.shape == (2, 13, 4)
        once = kernel.run_packed(packed)
        assert once.shape == (2, 13, 4)
        out = np.empty_like(packed)
        assert kernel.run_packed(x=once, out=out) is out
        np.testing.assert_array_equal(kernel.unpack("y", out), x * 4)
        np.testing.assert_array_equal(kernel.unpack("y", kernel.bind(x=x).run_packed()), x * 2)

    def test_what_does_not_fit_is_refused(self) -> None:
        kernel, x = kernel_of(blocked()), np.zeros((13, 7), np.float32)
        with pytest.raises(UsageError, match=r"x: got .* shape \(13, 7\), expected .* shape \(2, 13, 4\)"):
            kernel.run_packed(x)
        with pytest.raises(UsageError, match=r"x: got .* shape \(2, 13, 4\), expected .* shape \(13, 7\)"):
            kernel(kernel.pack("x", x))
        with pytest.raises(UsageError, match=r"y: got .* shape \(13, 7\), expected .* shape \(2, 13, 4\)"):
            kernel.run_packed(kernel.pack("x", x), out=x)
        with pytest.raises(UsageError, match=r"y: got .* shape \(13, 7\), expected .* shape \(2, 13, 4\)"):
            kernel.unpack("y", x)
        with pytest.raises(UsageError, match="the kernel has no output 'x'; it has: y"):
            kernel.unpack("x", x)

    def test_a_constant_is_in_the_kernels_layout_too(self) -> None:
        schedule = create_schedule(matmul()).transform_layout("b", *BLOCKED).transform_layout("c", [], ["1", "0"])
        kernel, inputs = kernel_of(schedule), inputs_of(schedule.output, 0)
        expected = evaluate(schedule.output, inputs)
        np.testing.assert_allclose(kernel(**inputs), expected, rtol=1e-5)
        packed = kernel.run_packed(a=inputs["a"], b=kernel.pack("b", inputs["b"]))
        np.testing.assert_allclose(packed.T, expected, rtol=1e-5)


@pytest.mark.compiler
def test_layouts_of_outputs_are_measured(tmp_path: Path) -> None:
    plain, packed = (build(s, native_target()) for s in (create_schedule(double(64, 63)), blocked(64, 63)))
    x = np.random.default_rng(2).random((64, 63), np.float32)
    write_arrays(tmp_path, plain.parameters, (x, x * 2))
    task = MeasureTask(plain.parameters, tmp_path, (1e-6,), 0, host_instruments(16))
    with LocalMeasurer(task, MeasureOptions(min_sample_seconds=1e-4, timeout_seconds=1.0)) as measurer:
        for kernel in (plain, packed, plain):
            result = measurer.measure(kernel)
            assert result.status == "ok" and result.verified, result
        assert [result.status for result in measurer.compare([packed, plain])] == ["ok", "ok"]


class TestCaches:
    def test_a_cached_copy_in_a_layout(self) -> None:
        one = create_schedule(matmul()).cache_read("b", "c", *BLOCKED)
        two = create_schedule(matmul()).cache_read("b", "c").transform_layout("b.c", *BLOCKED)
        assert one.state.stages["b.c"].layout == two.state.stages["b.c"].layout is not None

    def test_a_result_in_a_layout(self) -> None:
        schedule = create_schedule(chain()).cache_write("a", [[0, 4]], ["1", "0.outer", "0.inner"])
        assert schedule.state.stages["a.tile"].layout is not None and schedule.state.stages["a"].layout is None
        inputs = inputs_of(schedule.output, 0)
        np.testing.assert_allclose(kernel_of(schedule)(**inputs), evaluate(schedule.output, inputs), rtol=1e-5)

    def test_what_does_not_fit_is_refused(self) -> None:
        with pytest.raises(ScheduleError, match=r"'b.c': the order must name each of 0, 1.outer, 1.inner once, got"):
            create_schedule(matmul()).cache_read("b", "c", [[1, 4]])
        with pytest.raises(ScheduleError, match=r"'c.tile' has dimensions 0 to 1, each blocked at most once; got 2"):
            create_schedule(matmul()).cache_write("c", [[2, 4]], ["0"])
