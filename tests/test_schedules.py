"""Each primitive: the loops that it makes, the numbers that they compute, and what it refuses."""
# ruff: noqa: E501  (tables of messages and texts stay one line an entry)

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import stage_primitives
from differential import compare
from operators_for_tests import chain, double, matmul
from test_kept_stages import GOLDEN as KEPT
from test_shared_loops import GOLDEN as SHARED
from test_storage_primitives import GOLDEN as STORAGE
from test_tensorize import GOLDEN as TENSORIZED

from autotune.errors import ScheduleError, UsageError
from autotune.lowering.pipeline import lower
from autotune.lowering.printer import show
from autotune.schedules.bounds import Bounds
from autotune.schedules.primitives import Knob, primitives
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.targets.facts import X86_AVX512
from autotune.targets.host import native_target
from autotune.tensor_expr import Tensor, compute, placeholder

Apply = Callable[[Schedule], Schedule]
GOLDEN: list[tuple[Tensor, Apply, str]] = [
    (
        double(),
        lambda s: s.split("y", "i", [4]),
        """
kernel(x: input float32[13, 7], y: output float32[13, 7])
    for i.0 in 0..4:
        for i.1 in 0..min(4, 13 - i.0 * 4):
            for j in 0..7:
                y[i.0 * 4 + i.1, j] = x[i.0 * 4 + i.1, j] * 2.0
""",
    ),
    (
        double(),
        lambda s: s.split("y", "i", [3, 2]),
        """
kernel(x: input float32[13, 7], y: output float32[13, 7])
    for i.0 in 0..3:
        for i.1 in 0..min(3, 7 - i.0 * 3):
            for i.2 in 0..min(2, 13 - i.0 * 6 - i.1 * 2):
                for j in 0..7:
                    y[i.0 * 6 + i.1 * 2 + i.2, j] = x[i.0 * 6 + i.1 * 2 + i.2, j] * 2.0
""",
    ),
    (
        double(),
        lambda s: s.tile("y", ["i", "j"], [4, 3]),
        """
kernel(x: input float32[13, 7], y: output float32[13, 7])
    for i.0 in 0..4:
        for j.0 in 0..3:
            for i.1 in 0..min(4, 13 - i.0 * 4):
                for j.1 in 0..min(3, 7 - j.0 * 3):
                    y[i.0 * 4 + i.1, j.0 * 3 + j.1] = x[i.0 * 4 + i.1, j.0 * 3 + j.1] * 2.0
""",
    ),
    (
        double(),
        lambda s: s.split("y", "i", [4]).fuse("y", ["i.1", "j"]),
        """
kernel(x: input float32[13, 7], y: output float32[13, 7])
    for i.0 in 0..4:
        for (i.1+j) in 0..28:
            if i.0 * 4 + (i.1+j) // 7 < 13:
                y[i.0 * 4 + (i.1+j) // 7, (i.1+j) % 7] = x[i.0 * 4 + (i.1+j) // 7, (i.1+j) % 7] * 2.0
""",
    ),
    (
        double(),
        lambda s: s.reorder("y", ["j", "i"]),
        """
kernel(x: input float32[13, 7], y: output float32[13, 7])
    for j in 0..7:
        for i in 0..13:
            y[i, j] = x[i, j] * 2.0
""",
    ),
    (
        double(3, 21),
        lambda s: s.vectorize("y", "j"),
        """
kernel(x: input float32[3, 21], y: output float32[3, 21])
    for i in 0..3:
        vectorize for j in 0..16:
            y[i, j] = x[i, j] * 2.0
        vectorize for j_2 in 0..5:
            y[i, j_2 + 16] = x[i, j_2 + 16] * 2.0
""",
    ),
    (
        double(),
        lambda s: s.split("y", "i", [4]).unroll("y", "i.1"),
        """
kernel(x: input float32[13, 7], y: output float32[13, 7])
    for i.0 in 0..3:
        unroll for i.1 in 0..4:
            for j_2 in 0..7:
                y[i.0 * 4 + i.1, j_2] = x[i.0 * 4 + i.1, j_2] * 2.0
    for j in 0..7:
        y[12, j] = x[12, j] * 2.0
""",
    ),
    (
        double(),
        lambda s: s.parallel("y", "i"),
        """
kernel(x: input float32[13, 7], y: output float32[13, 7])
    parallel for i in 0..13:
        for j in 0..7:
            y[i, j] = x[i, j] * 2.0
""",
    ),
    (
        chain(),
        lambda s: s.split("b", "j", [4]).compute_at("a", "b", "j.0"),
        """
kernel(x: input float32[9, 11], b: output float32[9, 10])
    for i in 0..9:
        for j.0 in 0..3:
            a = buffer float32[1, 5]
            for j in 0..min(4, 10 - j.0 * 4) + 1:
                a[0, j] = x[i, j.0 * 4 + j] + 1.0
            for j.1 in 0..min(4, 10 - j.0 * 4):
                b[i, j.0 * 4 + j.1] = a[0, j.1] * a[0, j.1 + 1]
""",
    ),
    (
        chain(),
        lambda s: s.compute_inline("a"),
        """
kernel(x: input float32[9, 11], b: output float32[9, 10])
    for i in 0..9:
        for j in 0..10:
            b[i, j] = (x[i, j] + 1.0) * (x[i, j + 1] + 1.0)
""",
    ),
    (
        matmul(),
        lambda s: s.cache_read("b", "c").compute_at("b.c", "c", "j"),
        """
kernel(a: input float32[7, 5], b: constant float32[5, 21], c: output float32[7, 21])
    for i in 0..7:
        for j in 0..21:
            b.c = buffer float32[5, 1]
            for d0 in 0..5:
                b.c[d0, 0] = b[d0, j]
            c[i, j] = 0.0
            c.sum = buffer float32[1]
            c.sum[0] = c[i, j]
            for r in 0..5:
                c.sum[0] = c.sum[0] + a[i, r] * b.c[r, 0]
            c[i, j] = c.sum[0]
""",
    ),
    (
        matmul(),
        lambda s: s.cache_write("c").compute_at("c.tile", "c", "i"),
        """
kernel(a: input float32[7, 5], b: constant float32[5, 21], c: output float32[7, 21])
    for i in 0..7:
        c.tile = buffer float32[1, 21]
        for j in 0..21:
            c.tile[0, j] = 0.0
            c.tile.sum = buffer float32[1]
            c.tile.sum[0] = c.tile[0, j]
            for r in 0..5:
                c.tile.sum[0] = c.tile.sum[0] + a[i, r] * b[r, j]
            c.tile[0, j] = c.tile.sum[0]
        for j_2 in 0..21:
            c[i, j_2] = c.tile[0, j_2]
""",
    ),
    (
        matmul(),
        lambda s: s.decompose_reduction("c", "j"),
        """
kernel(a: input float32[7, 5], b: constant float32[5, 21], c: output float32[7, 21])
    for i in 0..7:
        for j in 0..21:
            c[i, j] = 0.0
        for j_2 in 0..21:
            c.sum = buffer float32[1]
            c.sum[0] = c[i, j_2]
            for r in 0..5:
                c.sum[0] = c.sum[0] + a[i, r] * b[r, j_2]
            c[i, j_2] = c.sum[0]
""",
    ),
    (
        matmul(),
        lambda s: s.transform_layout("b", [[1, 8]], ["1.outer", "0", "1.inner"]),
        """
kernel(a: input float32[7, 5], b: constant float32[3, 5, 8], c: output float32[7, 21])
    for i in 0..7:
        for j in 0..21:
            c[i, j] = 0.0
            c.sum = buffer float32[1]
            c.sum[0] = c[i, j]
            for r in 0..5:
                c.sum[0] = c.sum[0] + a[i, r] * b[j // 8, r, j % 8]
            c[i, j] = c.sum[0]
""",
    ),
]
NAMES = [
    "split",
    "split into three",
    "tile",
    "fuse",
    "reorder",
    "vectorize",
    "unroll",
    "parallel",
    "compute_at",
    "compute_inline",
    "cache_read",
    "cache_write",
    "decompose_reduction",
    "transform_layout",
]
GOLDEN += [(output, apply, text) for _, output, apply, text in stage_primitives.GOLDEN]
NAMES += [name for name, *_ in stage_primitives.GOLDEN]


@pytest.mark.parametrize(("output", "apply", "text"), GOLDEN, ids=NAMES)
def test_loops(output: Tensor, apply: Apply, text: str) -> None:
    assert show(lower(apply(create_schedule(output)), X86_AVX512)) == text.strip()


@pytest.mark.parametrize(("output", "apply", "text"), GOLDEN, ids=NAMES)
def test_numbers(output: Tensor, apply: Apply, text: str) -> None:
    assert compare(apply(create_schedule(output)), native_target()) == ""


@pytest.mark.parametrize(("output", "apply", "text"), GOLDEN, ids=NAMES)
def test_json_both_ways(output: Tensor, apply: Apply, text: str) -> None:
    schedule = apply(create_schedule(output))
    again = Schedule.from_json(output, json.loads(schedule.text))
    assert again.text == schedule.text
    assert show(lower(again, X86_AVX512)) == text.strip()


def test_every_primitive_is_covered() -> None:
    elsewhere = [
        (output, apply) for table in (STORAGE, KEPT, SHARED, TENSORIZED) for output, apply, _ in table.values()
    ]
    programs = [*((output, apply) for output, apply, _ in GOLDEN), *elsewhere]
    used = {step.name for output, apply in programs for step in apply(create_schedule(output)).steps}
    assert used | {"bind"} == set(primitives())  # bind: no target here runs it


REFUSED: list[tuple[Tensor, Apply, str]] = [
    (double(), lambda s: s.split("z", "i", [4]), r"no stage 'z'; the stages are: x, y"),
    (double(), lambda s: s.split("y", "k", [4]), r"'y': axis 'k' does not exist; its axes are: i, j"),
    (double(), lambda s: s.split("y", "i", [4]).split("y", "i", [2]), r"'i' was split or fused away; its axes are: i.0, i.1, j"),
    (double(), lambda s: s.split("y", "i", [0]), r"'y', axis 'i': factor 0 must be a whole number from 1 to 2147483647"),
    (double(), lambda s: s.split("y", "i", [10**30]), r"factor 1000000000000000000000000000000 must be a whole number"),
    (double(), lambda s: s.tile("y", ["i"], [2**31]), r"factor 2147483648 must be a whole number from 1 to 2147483647"),
    (double(), lambda s: s.split("y", "i", []), r"'y', axis 'i': split takes a list of factors"),
    (double(), lambda s: s.split("y", "i", 4), r"'y': split takes a list of numbers as factors, got 4"),
    (double(), lambda s: s.tile("y", "ij", [2, 4]), r"'y': tile takes a list of names as axes, got 'ij'"),
    (double(), lambda s: s.transform_layout("y", [8], ["0", "1"]), r"'y': transform_layout takes a list of pairs of a dimension and a factor as blocks"),
    (double(), lambda s: s.split("y", "i", [2], ["j", "k"]), r"the name 'j' is taken; its axes are: i, j"),
    (double(), lambda s: s.split("x", "i", [2]), r"'x' is a placeholder: it has no loops"),
    (double(), lambda s: s.tile("y", ["i"], [2, 2]), r"'y': tile takes one factor per axis"),
    (double(), lambda s: s.fuse("y", ["j", "i"]), r"j, i are not next to each other in this order; its axes are: i, j"),
    (double(), lambda s: s.fuse("y", ["i"]), r"'y': fuse takes two or more axes"),
    (matmul(), lambda s: s.fuse("c", ["j", "r"]), r"cannot fuse reduction axis 'r' with a spatial one; its axes are: i, j, r"),
    (double(), lambda s: s.reorder("y", ["i", "i"]), r"'y': reorder names an axis twice"),
    (double(), lambda s: s.vectorize("y", "i"), r"vectorized axis 'i' must be innermost, but 'j' is inside it"),
    (matmul(), lambda s: s.vectorize("c", "r"), r"axis 'r' is a reduction, .* cannot be vectorized; its spatial axes are: i, j"),
    (double(), lambda s: s.vectorize("y", "j").vectorize("y", "j"), r"'y': axis 'j' is already vectorize; its plain axes are: i"),
    (double(), lambda s: s.unroll("y", "j").split("y", "j", [2]), r"axis 'j' is already unroll; its plain axes are: i"),
    (double(), lambda s: s.parallel("y", "j"), r"only the outermost axis can be parallel, not 'j'; its axes are: i, j"),
    (double(), lambda s: s.parallel("y", "i").reorder("y", ["j", "i"]), r"parallel axis 'i' must stay outermost; its axes are: j, i"),
    (matmul(), lambda s: s.reorder("c", ["r", "i", "j"]).parallel("c", "r"), r"'r' is a reduction, .* cannot be parallel"),
    (chain(), lambda s: s.compute_at("b", "a", "i"), r"'b' is the output: nothing reads it"),
    (chain(), lambda s: s.compute_at("a", "b", "k"), r"'b': axis 'k' does not exist; its axes are: i, j"),
    (chain(), lambda s: s.vectorize("b", "j").compute_at("a", "b", "j"), r"'b': axis 'j' is vectorized; compute 'a' at an axis outside it: i"),
    (chain(), lambda s: s.compute_at("a", "b", "j").vectorize("b", "j"), r"'b': axis 'j' holds the computation of 'a'"),
    (chain(), lambda s: s.compute_at("a", "b", "i").split("b", "i", [2]), r"'b': axis 'i' holds the computation of 'a'"),
    (matmul(), lambda s: s.compute_inline("c"), r"'c' is the output and cannot be inlined"),
    (matmul(), lambda s: s.cache_write("c").compute_inline("c.tile"), r"'c.tile' is a reduction and cannot be inlined"),
    (chain(), lambda s: s.cache_read("x", "b"), r"'b' does not read 'x', which is read by: a"),
    (chain(), lambda s: s.compute_at("a", "b", "i").cache_write("b"), r"'a' is computed at 'b' axis 'i', but 'b.tile' would read it outside"),
    (double(), lambda s: s.split("y", "i", [2]).cache_write("y"), r"'y' has been scheduled already; .*its axes are: i.0, i.1, j"),
    (double(), lambda s: s.decompose_reduction("y", "i"), r"'y' is not a reduction; its axes are: i, j"),
    (matmul(), lambda s: s.split("c", "r", [2]).decompose_reduction("c", "r.1"), r"'r.1' is inside the reduction, .*allowed axes are: i, j, r.0"),
    (matmul(), lambda s: s.transform_layout("b", [[2, 4]], ["0", "1"]), r"'b' has dimensions 0 to 1"),
    (matmul(), lambda s: s.transform_layout("b", [[1, 4]], ["0", "1"]), r"'b': the order must name each of 0, 1.outer, 1.inner once"),
    (double(), lambda s: s.split("y"), r"split takes \(stage, axis, factors, names\)"),
]  # fmt: skip


REFUSED += stage_primitives.REFUSED


@pytest.mark.parametrize(("output", "apply", "message"), REFUSED, ids=[message for *_, message in REFUSED])
def test_refusals_name_what_exists(output: Tensor, apply: Apply, message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        apply(create_schedule(output))


def test_no_stage_is_computed_inside_vectors() -> None:
    split = create_schedule(chain()).split("b", "j", [2]).unroll("b", "j.1")
    with pytest.raises(ScheduleError, match=r"'b': axis 'j.1' is unrolled; compute 'a' at an axis outside it: i, j.0"):
        split.compute_at("a", "b", "j.1")
    with pytest.raises(ScheduleError, match=r"'b': axis 'j.0' is vectorized; compute 'a' at an axis outside it: i$"):
        split.vectorize("b", "j.0").compute_at("a", "b", "j.1")
    inside = create_schedule(chain()).split("b", "j", [2]).compute_at("a", "b", "j.1").unroll("b", "j.1")
    with pytest.raises(ScheduleError, match=r"'b': axis 'j.1' holds the computation of 'a'"):
        inside.vectorize("b", "j.0")


def test_a_stage_that_others_read_stays_where_they_find_it() -> None:
    x = placeholder((8,), "float32", "x")
    a = compute((8,), lambda i: x[i] + 1, name="a")
    b = compute((8,), lambda i: a[i] * 2, name="b")
    c = compute((8,), lambda i: b[i] + 3, name="c")
    schedule = create_schedule(c).split("c", "i", [4]).compute_at("b", "c", "i.1").compute_at("a", "c", "i.1")
    with pytest.raises(
        ScheduleError, match=r"'a' is computed at 'c' axis 'i.1', but 'b' would read it outside that axis"
    ):
        schedule.compute_at("b", "c", "i.0")
    with pytest.raises(ScheduleError, match=r"'a' is computed at 'b' axis 'i', which this step would remove"):
        create_schedule(c).compute_at("a", "b", "i").compute_inline("b")


def test_unknown_primitive_names_the_known_ones() -> None:
    with pytest.raises(
        AttributeError, match=r"no primitive 'no_such'; known: add_unit_loop, .*cache_read, cache_write"
    ):
        _ = create_schedule(double()).no_such


def test_schedules_are_values() -> None:
    schedule = create_schedule(double())
    longer = schedule.split("y", "i", [4])
    assert (len(schedule.steps), len(longer.steps)) == (0, 1)
    assert longer == create_schedule(longer.output).split("y", "i", [4])
    assert '.split("y", "i", [4])' in str(longer)


class TestKnobs:
    def sketch(self) -> Schedule:
        return (
            create_schedule(double()).split("y", "i", [Knob("rows", (4, 2))]).split("y", "j", [Knob("columns", (3, 7))])
        )

    def test_values_take_their_place(self) -> None:
        sketch = self.sketch()
        assert [knob.name for knob in sketch.knobs] == ["rows", "columns"]
        chosen = sketch.with_knobs({"rows": 2, "columns": 7})
        assert chosen.knobs == ()
        assert chosen == create_schedule(chosen.output).split("y", "i", [2]).split("y", "j", [7])

    def test_json_keeps_the_choices(self) -> None:
        sketch = self.sketch()
        assert Schedule.from_json(sketch.output, json.loads(sketch.text)).knobs == sketch.knobs

    def test_missing_value(self) -> None:
        with pytest.raises(UsageError, match=r"no value for knob 'columns'; the knobs are: rows, columns"):
            self.sketch().with_knobs({"rows": 2})

    def test_one_name_one_set_of_choices(self) -> None:
        with pytest.raises(ScheduleError, match=r"knob 'rows' must have the same choices"):
            self.sketch().split("y", "j.1", [Knob("rows", (1, 2))])

    def test_columns_agree_with_numbers(self) -> None:
        sketch = self.sketch()
        rows, columns = np.array([4, 2, 13, 5]), np.array([3, 7, 1, 2])
        together = Bounds(sketch.replay({"rows": rows, "columns": columns})).stages["y"].extents
        for position in range(4):
            values = {"rows": int(rows[position]), "columns": int(columns[position])}
            alone = Bounds(sketch.with_knobs(values).state).stages["y"].extents
            assert {name: int(np.broadcast_to(extent, 4)[position]) for name, extent in together.items()} == alone
