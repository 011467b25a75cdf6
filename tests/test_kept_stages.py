"""Sliding windows, double buffers, prefetches and specialised copies: the loops, the numbers, and what is refused."""
# ruff: noqa: E501  (tables of messages and texts stay one line an entry)

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from differential import compare, inputs_of
from golden import check_json, check_loops, check_numbers
from operators_for_tests import chain, double

from autotune.errors import ScheduleError
from autotune.lowering.interpreter import interpret
from autotune.lowering.ir import For, If, Stmt, Store, children
from autotune.lowering.pipeline import lower
from autotune.lowering.printer import show
from autotune.schedules.primitives import Knob
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.targets.callable import Kernel
from autotune.targets.facts import ARM_NEON, X86_AVX2, X86_AVX512, Target
from autotune.targets.host import supports
from autotune.targets.llvm.build import assembly, build
from autotune.tensor_expr import Tensor, compute, placeholder, reduce_axis, select
from autotune.tensor_expr import max as maximum
from autotune.tensor_expr import min as minimum
from autotune.tensor_expr import sum as total
from autotune.tensor_expr.affine import affine
from autotune.tensor_expr.evaluate import evaluate
from autotune.tensor_expr.expr import Compare, Expr, const, substitute
from autotune.tensor_expr.operators import get_operator

RUNNABLE = [target for target in (X86_AVX2, X86_AVX512, ARM_NEON) if supports(target)]
Apply = Callable[[Schedule], Schedule]


def blur(rows: int = 17, columns: int = 21) -> Tensor:
    """Rows of ``h`` are shared by three rows of ``v``."""
    x = placeholder((rows + 2, columns + 2), "float32", "x")
    h = compute((rows + 2, columns), lambda y, i: x[y, i] + x[y, i + 1] + x[y, i + 2], name="h")
    return compute((rows, columns), lambda y, i: h[y, i] + h[y + 1, i] + h[y + 2, i], name="v")


def scaled() -> Tensor:
    """``y = x * k`` with an input ``k`` of one element."""
    x, k = placeholder((5, 21), "float32", "x"), placeholder((1,), "float32", "k")
    a = compute((5, 21), lambda i, j: x[i, j] + k[0], name="a")
    return compute((5, 21), lambda i, j: select(k[0] > 2, a[i, j] * 2, a[i, j] * k[0]), name="y")


GOLDEN: dict[str, tuple[Tensor, Apply, str]] = {
    "fold_storage": (
        blur(),
        lambda s: s.compute_at("h", "v", "y").fold_storage("h"),
        """
kernel(x: input float32[19, 23], v: output float32[17, 21])
    h = buffer float32[4, 21]
    for y in 0..17:
        if y <= 0:
            for y_2 in 0..3:
                for i_2 in 0..21:
                    h[y_2, i_2] = x[y_2, i_2] + x[y_2, i_2 + 1] + x[y_2, i_2 + 2]
        else:
            for i in 0..21:
                h[(y + 2) % 4, i] = x[y + 2, i] + x[y + 2, i + 1] + x[y + 2, i + 2]
        for i_3 in 0..21:
            v[y, i_3] = h[y % 4, i_3] + h[(y + 1) % 4, i_3] + h[(y + 2) % 4, i_3]
""",
    ),
    "double_buffer": (
        blur(),
        lambda s: s.split("v", "y", [4]).compute_at("h", "v", "y.0").double_buffer("h"),
        """
kernel(x: input float32[19, 23], v: output float32[17, 21])
    h = buffer float32[2, 6, 21]
    for y in 0..6:
        for i in 0..21:
            h[0, y, i] = x[y, i] + x[y, i + 1] + x[y, i + 2]
    for y.0 in 0..5:
        if y.0 + 1 < 5:
            for y_2 in 0..min(4, 13 - y.0 * 4) + 2:
                for i_2 in 0..21:
                    h[(y.0 + 1) % 2, y_2, i_2] = x[y.0 * 4 + y_2 + 4, i_2] + x[y.0 * 4 + y_2 + 4, i_2 + 1] + x[y.0 * 4 + y_2 + 4, i_2 + 2]
        for y.1 in 0..min(4, 17 - y.0 * 4):
            for i_3 in 0..21:
                v[y.0 * 4 + y.1, i_3] = h[y.0 % 2, y.1, i_3] + h[y.0 % 2, y.1 + 1, i_3] + h[y.0 % 2, y.1 + 2, i_3]
""",
    ),
    "prefetch": (
        double(13, 40),
        lambda s: s.prefetch("y", "x", "i", 2),
        """
kernel(x: input float32[13, 40], y: output float32[13, 40])
    for i in 0..13:
        for x.1 in 0..3:
            prefetch x[i + 2, x.1 * 16]
        for j in 0..40:
            y[i, j] = x[i, j] * 2.0
""",
    ),
    "specialize": (
        scaled(),
        lambda s: s.compute_at("a", "y", "i").specialize("y", "k", 1),
        """
kernel(k: input float32[1], x: input float32[5, 21], y: output float32[5, 21])
    if k[0] == 1.0:
        for i_2 in 0..5:
            a = buffer float32[1, 21]
            for j_3 in 0..21:
                a[0, j_3] = x[i_2, j_3] + 1.0
            for j_4 in 0..21:
                y[i_2, j_4] = a[0, j_4]
    else:
        for i in 0..5:
            a = buffer float32[1, 21]
            for j in 0..21:
                a[0, j] = x[i, j] + k[0]
            for j_2 in 0..21:
                y[i, j_2] = select(k[0] > 2.0, a[0, j_2] * 2.0, a[0, j_2] * k[0])
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


def interpreted(schedule: Schedule, target: Target = X86_AVX2) -> bool:
    """Whether the interpreter, which finds races and reads of what was never written, computes the same."""
    inputs = inputs_of(schedule.output, 0)
    lowered = lower(schedule, target, check=True)
    order = [param.buffer.name for param in lowered.params if param.buffer.role != "output"]
    (got,) = interpret(lowered, [inputs[name] for name in order])
    return bool(np.allclose(got, evaluate(schedule.output, inputs), rtol=1e-4))


def correct(schedule: Schedule) -> bool:
    return interpreted(schedule) and all(compare(schedule, target) == "" for target in RUNNABLE)


TALL = create_schedule(blur()).split("v", "y", [5])


class TestFoldStorage:
    @pytest.mark.parametrize(
        "schedule",
        [
            TALL.compute_at("h", "v", "y.1").fold_storage("h").parallel("v", "y.0").vectorize("v", "i").vectorize("h", "i"),
            TALL.compute_at("h", "v", "y.0").fold_storage("h", 0, 7).unroll("v", "y.1").vectorize("v", "i"),
            TALL.compute_at("h", "v", "y.0").fold_storage("h").split("h", "y", [2]).unroll("h", "y.1").vectorize("h", "i"),
            TALL.compute_at("h", "v", "y.0").fold_storage("h").peel("v", "y.0").storage_align("h", 0, 16, 1),
            TALL.split("v", "i", [8]).reorder("v", ["i.0", "y.0", "y.1", "i.1"]).compute_at("h", "v", "y.1").fold_storage("h"),
            TALL.split("v", "i", [8]).reorder("v", ["i.0", "y.0", "y.1", "i.1"]).compute_at("h", "v", "i.0"),
            create_schedule(blur()).reorder("v", ["i", "y"]).compute_at("h", "v", "y").fold_storage("h", extent=3),
        ],
    )  # fmt: skip
    def test_in_any_structure(self, schedule: Schedule) -> None:
        assert correct(schedule)

    def test_it_computes_nothing_twice(self) -> None:
        plain = create_schedule(blur()).compute_at("h", "v", "y")
        counted = [_stores(schedule, "h") for schedule in (plain, plain.fold_storage("h"))]
        assert counted == [17 * 3 * 21, 19 * 21]

    def test_a_pipeline_of_stencils(self) -> None:
        """Harris' structure: gradients of a border-guarded image, products, sums of windows, one point-wise end."""
        x = placeholder((14, 23), "float32", "x")
        inside = lambda y, i: select((y >= 0) & (y < 14) & (i >= 0) & (i < 23), x[y, i], 0)  # noqa: E731
        dx = compute((16, 25), lambda y, i: inside(y - 1, i) - inside(y - 1, i - 2), name="dx")
        dy = compute((16, 25), lambda y, i: inside(y, i - 1) - inside(y - 2, i - 1), name="dy")
        xy = compute((16, 25), lambda y, i: dx[y, i] * dy[y, i], name="xy")
        ry, ri = reduce_axis(3, "ry"), reduce_axis(3, "ri")
        box = compute((14, 23), lambda y, i: total(xy[y + ry, i + ri], axis=(ry, ri)), name="box")
        out = compute((14, 23), lambda y, i: box[y, i] - 0.5 * x[y, i], name="out")
        schedule = create_schedule(out).compute_at("box", "out", "y")
        for stage in ("xy", "dy", "dx"):
            schedule = schedule.compute_at(stage, "out", "y").fold_storage(stage)
        assert correct(schedule)
        assert correct(schedule.vectorize("out", "i").vectorize("dx", "i").vectorize("dy", "i").vectorize("xy", "i"))

    @pytest.mark.parametrize("target", RUNNABLE, ids=lambda target: target.name)
    def test_what_iterations_leave_to_each_other_is_in_memory(self, target: Target) -> None:
        """Every second iteration computes nothing new; a loop carries only registers that it begins with."""
        x = placeholder((3,), "float32", "x")
        a = compute((3,), lambda i: x[i] * 3, name="a")
        schedule = create_schedule(compute((6,), lambda i: x[i // 2] - a[i // 2], name="b"))
        schedule = schedule.compute_at("a", "b", "i").fold_storage("a")
        assert compare(schedule, target) == ""
        with pytest.raises(
            ScheduleError, match=r"'a' cannot live in registers: iterations of i read what an earlier one"
        ):
            build(schedule.set_scope("a", "register"), target)

    @pytest.mark.parametrize("target", RUNNABLE, ids=lambda target: target.name)
    def test_a_window_of_one_element_in_lanes(self, target: Target) -> None:
        """Its new part is one element or none, which is no vector; found by fuzzing."""
        schedule = create_schedule(get_operator("group_norm")(batch=1, channels=2, extents="3,3", groups=1).output)
        schedule = schedule.compute_at("mean", "centered", "i1").fold_storage("mean").vectorize("mean", "i1")
        assert compare(schedule, target) == ""

    def test_a_window_at_a_border_in_lanes(self) -> None:
        """The border cuts the window off, by which the new part has one element at most; found by fuzzing."""
        x = placeholder((2,), "int32", "x")
        a = compute((2,), lambda i: x[i] * 2, name="a")
        b = compute((3,), lambda i: select(i < 2, a[i], 0), name="b")
        assert correct(create_schedule(b).compute_at("a", "b", "i").vectorize("a", "i").fold_storage("a"))

    def test_a_stride_leaves_gaps(self) -> None:
        x = placeholder((40,), "float32", "x")
        a = compute((40,), lambda i: x[i] * 2, name="a")
        for stride, taps in ((3, 2), (2, 5), (1, 4)):
            b = compute((10,), lambda i, s=stride, t=taps: a[i * s] + a[i * s + t], name="b")
            assert correct(create_schedule(b).compute_at("a", "b", "i").fold_storage("a"))

    @pytest.mark.parametrize(
        ("apply", "message"),
        [
            (lambda s: s.fold_storage("h"), r"'h' is computed at the root; fold_storage needs compute_at first"),
            (lambda s: s.compute_at("h", "v", "y").fold_storage("h", 5), r"'h' has dimensions 0 to 1; fold_storage names 5"),
            (lambda s: s.compute_at("h", "v", "y").fold_storage("h", 1), r"forward in dimension 1 alone; it moves dimensions: 0$"),
            (lambda s: s.compute_at("h", "v", "y").fold_storage("h", 0, 2), r"'h': an iteration of 'y' reads 3 elements of dimension 0, more than the extent 2"),
            (lambda s: s.compute_at("h", "v", "y").fold_storage("h").parallel("v", "y"), r"'v': axis 'y' must stay serial, since by fold_storage each of"),
            (lambda s: s.compute_at("h", "v", "y").fold_storage("h").unroll("v", "y"), r"'v': axis 'y' must stay serial, since by fold_storage each of"),
            (lambda s: s.fuse("v", ["y", "i"]).compute_at("h", "v", "y+i").fold_storage("h"), r"needs a loop that moves one axis; 'y\+i' of 'v' does not"),
            (lambda s: s.compute_at("h", "v", "y").fold_storage("h").compute_root("h"), r"'h' is computed at the root; fold_storage needs"),
            (lambda s: s.compute_at("h", "v", "y").fold_storage("h").transform_layout("h", [[0, 2]], ["0.outer", "1", "0.inner"]), r"'h': dimension 0 is blocked by its layout and cannot be folded"),
            (lambda s: s.compute_at("h", "v", "y").fold_storage("h").double_buffer("h"), r"'h' keeps a window .*, which double_buffer cannot hold twice"),
        ],
    )  # fmt: skip
    def test_refusals(self, apply: Apply, message: str) -> None:
        with pytest.raises(ScheduleError, match=message):
            apply(create_schedule(blur()))

    def test_a_mirrored_read_does_not_slide_forward(self) -> None:
        x = placeholder((12,), "float32", "x")
        a = compute((12,), lambda i: x[i] * 2, name="a")
        b = compute((11,), lambda i: a[11 - i] + a[10 - i], name="b")
        with pytest.raises(
            ScheduleError, match=r"forward in dimension 0 alone; it moves dimensions: 0 \(not only forward\)"
        ):
            create_schedule(b).compute_at("a", "b", "i").fold_storage("a")

    def test_knobs(self) -> None:
        sketch = create_schedule(blur()).split("v", "y", [Knob("rows", (2, 5))]).compute_at("h", "v", "y.0")
        sketch = sketch.fold_storage("h", 0, Knob("kept", (8, 16)))
        assert correct(sketch.with_knobs({"rows": 5, "kept": 16}))
        assert len(sketch.replay({"rows": np.array([2, 5]), "kept": np.array([8, 16])}).stages) == 3


class TestDoubleBuffer:
    @pytest.mark.parametrize(
        "schedule",
        [
            create_schedule(blur()).compute_at("h", "v", "y").double_buffer("h").vectorize("v", "i").vectorize("h", "i"),
            TALL.compute_at("h", "v", "y.1").double_buffer("h").parallel("v", "y.0").storage_align("h", 0, 8),
            TALL.compute_at("h", "v", "y.0").double_buffer("h").unroll("v", "y.1").vectorize("v", "i").peel("v", "y.0", 2, 1),
            create_schedule(blur(1, 9)).compute_at("h", "v", "y").double_buffer("h"),
        ],
    )  # fmt: skip
    def test_in_any_structure(self, schedule: Schedule) -> None:
        assert correct(schedule)

    def test_what_it_reads_must_be_there_before(self) -> None:
        x = placeholder((12,), "float32", "x")
        a = compute((12,), lambda i: x[i] * 2, name="a")
        b = compute((12,), lambda i: a[i] * 2, name="b")
        c = compute((12,), lambda i: b[i] * 2, name="c")
        schedule = create_schedule(c).compute_at("b", "c", "i")
        with pytest.raises(
            ScheduleError, match=r"'b': double_buffer .* of 'i' ahead, but it reads 'a', which is computed"
        ):
            schedule.compute_at("a", "c", "i").double_buffer("b")
        assert correct(schedule.double_buffer("b").compute_at("a", "b", "i"))
        with pytest.raises(ScheduleError, match=r"'a' is computed at the root; double_buffer needs compute_at first"):
            schedule.double_buffer("a")


class TestPrefetch:
    def test_the_instruction(self) -> None:
        schedule = create_schedule(double(13, 40)).prefetch("y", "x", "i", 2)
        assert "prefetcht0" in assembly(schedule, X86_AVX2) and "prfm" in assembly(schedule, ARM_NEON)

    def test_of_a_stage_in_any_layout(self) -> None:
        schedule = (
            create_schedule(blur()).prefetch("v", "h", "y").transform_layout("h", [[1, 8]], ["1.outer", "0", "1.inner"])
        )
        assert "prefetch h[i" not in show(lower(schedule, X86_AVX2)) and "prefetch h[" in show(
            lower(schedule, X86_AVX2)
        )
        assert correct(schedule)
        assert correct(
            TALL.compute_at("h", "v", "y.0").fold_storage("h").prefetch("h", "x", "y", 3).vectorize("h", "i")
        )

    @pytest.mark.parametrize(
        ("apply", "message"),
        [
            (lambda s: s.prefetch("b", "x", "i"), r"'b': nothing inside axis 'i' reads 'x', which it prefetches"),
            (lambda s: s.compute_at("a", "b", "i").prefetch("b", "a", "i"), r"'b': 'a' is computed inside axis 'i': there is nothing to prefetch"),
            (lambda s: s.prefetch("b", "a", "i", 0), r"'b', axis 'i': distance 0 must be a whole number from 1"),
            (lambda s: s.prefetch("b", "a", "k"), r"'b': axis 'k' does not exist; its axes are: i, j"),
            (lambda s: s.prefetch("b", "a", "j").vectorize("b", "j"), r"'b': axis 'j' runs in vector lanes and cannot prefetch"),
        ],
    )  # fmt: skip
    def test_refusals(self, apply: Apply, message: str) -> None:
        with pytest.raises(ScheduleError, match=message):
            apply(create_schedule(chain()))


class TestSpecialize:
    @pytest.mark.parametrize("value", [1.0, 3.0, 0.5])
    def test_either_arm(self, value: float) -> None:
        schedule = create_schedule(scaled()).specialize("y", "k", 1).specialize("y", "k", 3).vectorize("y", "j")
        x = np.arange(105, dtype=np.float32).reshape(5, 21)
        for target in RUNNABLE:
            got = Kernel(build(schedule, target))(x=x, k=np.array([value], np.float32))
            assert np.array_equal(got, (x + np.float32(value)) * (2 if value > 2 else np.float32(value)))

    @pytest.mark.parametrize(
        ("apply", "message"),
        [
            (lambda s: s.specialize("y", "x", 1), r"'y': specialize needs an input of one element; 'x' is a placeholder x: float32\[5, 21\]"),
            (lambda s: s.specialize("y", "a", 1), r"'y': specialize needs an input of one element; 'a' is a compute a"),
            (lambda s: s.specialize("y", "k", float("nan")), r"'y': 'k' is float32 and never nan"),
            (lambda s: s.specialize("y", "k", "one"), r"'y': specialize takes a number as value, got 'one'"),
            (lambda s: s.cache_read("k", "a").specialize("a", "k", 1), r"'a' does not read 'k', for which it is specialized"),
        ],
    )  # fmt: skip
    def test_refusals(self, apply: Apply, message: str) -> None:
        with pytest.raises(ScheduleError, match=message):
            apply(create_schedule(scaled()))

    def test_integers(self) -> None:
        x, k = placeholder((9,), "int32", "x"), placeholder((1,), "uint8", "k")
        y = compute((9,), lambda i: x[i] // (k[0] + 1), name="y")
        assert correct(create_schedule(y).specialize("y", "k", 3).specialize("y", "k", 0))
        with pytest.raises(ScheduleError, match=r"'y': 'k' is uint8 and never 256"):
            create_schedule(y).specialize("y", "k", 256)


def _stores(schedule: Schedule, stage: str) -> int:
    """How many elements of a stage are computed."""
    count = 0

    def visit(stmt: Stmt, values: dict[Expr, Expr]) -> None:
        nonlocal count
        if isinstance(stmt, For):
            for step in range(_number(stmt.extent, values)):
                visit(stmt.body, {**values, stmt.var: const(step, "int64")})
        elif isinstance(stmt, If):
            test = stmt.condition
            assert isinstance(test, Compare) and test.op == "le"
            arm = stmt.then if _number(test.a, values) <= _number(test.b, values) else stmt.otherwise
            visit(arm or stmt.then, values)
        elif isinstance(stmt, Store):
            count += stmt.buffer.name == stage
        else:
            for child in children(stmt):
                visit(child, values)

    visit(lower(schedule, X86_AVX2).body, {})
    return count


def _number(expr: Expr, values: dict[Expr, Expr]) -> int:
    return affine(substitute(expr, values)).const


def test_a_clamped_border_slides() -> None:
    """Reads beyond the edges repeat the edge: one row more or less, never the whole image."""
    x = placeholder((15, 12), "float32", "x")
    a = compute((15, 12), lambda y, i: x[y, i] * 2, name="a")
    clamped = lambda y: maximum(minimum(y, 14), 0)  # noqa: E731
    b = compute((17, 12), lambda y, i: a[clamped(y - 1), i] + 1, name="b")
    c = compute((15, 12), lambda y, i: b[y, i] + b[y + 1, i] + b[y + 2, i], name="c")
    schedule = create_schedule(c).compute_at("b", "c", "y").fold_storage("b").compute_at("a", "c", "y")
    assert "a = buffer float32[3, 12]" in show(lower(schedule, X86_AVX2))
    assert correct(schedule) and correct(schedule.fold_storage("a"))
