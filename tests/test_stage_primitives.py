"""Primitives that derive or place stages: on all targets that run here, with several components, chained."""

from __future__ import annotations

import numpy as np
import pytest
import stage_primitives
from differential import compare
from operators_for_tests import chain, matmul, row_sums, transposed_copy

from autotune import tensor_expr as te
from autotune.errors import ScheduleError
from autotune.lowering.ir import For, Load, statements
from autotune.lowering.pipeline import lower
from autotune.schedules.bounds import Bounds
from autotune.schedules.dependences import ORDERED, REDUCTION, carried, independent_loops, permutable, producers
from autotune.schedules.primitives import Knob
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.targets.facts import TARGETS, Target
from autotune.targets.host import supports
from autotune.tensor_expr import Tensor, compute, placeholder, reduce_axis
from autotune.tensor_expr.expr import walk

RUNNABLE = [target for target in TARGETS.values() if supports(target)]
on_all_targets = pytest.mark.parametrize("target", RUNNABLE, ids=lambda target: target.name)


@on_all_targets
@pytest.mark.parametrize("entry", stage_primitives.GOLDEN, ids=lambda entry: entry[0])
def test_numbers(entry: tuple[str, Tensor, stage_primitives.Apply, str], target: Target) -> None:
    assert compare(entry[2](create_schedule(entry[1])), target) == ""


# -- rfactor ---------------------------------------------------------------------------------------------------------


@on_all_targets
@pytest.mark.parametrize("columns", [1, 7, 16, 31, 97])
@pytest.mark.parametrize("lanes", [4, 16])
def test_a_sum_along_the_contiguous_axis_runs_in_vectors(columns: int, lanes: int, target: Target) -> None:
    schedule = create_schedule(row_sums(5, columns)).split("c", "k", [lanes]).rfactor("c", "k.1")
    schedule = schedule.compute_at("c.rf", "c", "i").reorder("c.rf", ["k.0", "k.1"]).vectorize("c.rf", "k.1")
    assert compare(schedule, target) == ""
    if columns >= lanes:
        loops = [s for s in statements(lower(schedule, target).body) if isinstance(s, For) and s.kind == "vectorize"]
        read = [node.buffer.name for loop in loops for s in statements(loop) for node in _loads(s)]
        assert "x" in read


def _loads(stmt: object) -> list[Load]:
    return [node for node in walk([stmt.value]) if isinstance(node, Load)] if hasattr(stmt, "value") else []


def _best(rows: int, columns: int) -> Tensor:
    x = placeholder((rows, columns), "float32", "x")
    k = reduce_axis(columns, "k")
    _, index = compute((rows,), lambda i: te.argmax(x[i, k], axis=k), name="best")
    return compute((rows,), lambda i: index[i], name="place")


@on_all_targets
@pytest.mark.parametrize("loop", ["k.0", "k.1"])
def test_argmax_is_factored(loop: str, target: Target) -> None:
    schedule = create_schedule(_best(6, 29)).split("best", "k", [8]).rfactor("best", loop)
    assert compare(schedule.parallel("best.rf", "i"), target) == ""


@on_all_targets
def test_a_reducer_of_ones_own_is_factored(target: Target) -> None:
    def merge(a: tuple[te.Expr, te.Expr], b: tuple[te.Expr, te.Expr]) -> tuple[te.Expr, te.Expr]:
        top = te.max(a[0], b[0])
        return top, a[1] * te.exp(a[0] - top) + b[1] * te.exp(b[0] - top)

    softmax = te.reducer(merge, identity=(-1e30, 0.0), name="softmax")
    x = placeholder((5, 23), "float32", "x")
    k = reduce_axis(23, "k")
    top, total = compute((5,), lambda i: softmax((x[i, k], 1.0), axis=k), name="stats")
    y = compute((5, 23), lambda i, j: te.exp(x[i, j] - top[i]) / total[i], name="y")
    schedule = create_schedule(y).split("stats", "k", [8]).rfactor("stats", "k.1").compute_at("stats", "y", "i")
    schedule = schedule.compute_at("stats.rf", "y", "i").reorder("stats.rf", ["k.0", "k.1"])
    assert compare(schedule.vectorize("stats.rf", "k.1"), target) == ""


@on_all_targets
def test_factored_twice(target: Target) -> None:
    schedule = create_schedule(row_sums(3, 101)).split("c", "k", [10]).rfactor("c", "k.0", first=True)
    schedule = schedule.split("c.rf", "k.1", [4]).rfactor("c.rf", "k.1.1").parallel("c.rf.rf", "k.0")
    assert compare(schedule, target) == ""


def test_extents_that_are_columns_cannot_be_factored() -> None:
    sketch = create_schedule(row_sums()).split("c", "k", [Knob("lanes", (8, 16))]).rfactor("c", "k.1")
    assert sketch.with_knobs({"lanes": 16}).state.stages["c.rf"].tensor.shape == (5, 16)
    with pytest.raises(ScheduleError, match=r"'c': rfactor needs a number for the extent of 'k.0'"):
        sketch.replay({"lanes": np.array([8, 16])})


# -- pad, reverse_compute_at -----------------------------------------------------------------------------------------


@on_all_targets
@pytest.mark.parametrize("axis", ["i", "j", "r"])
@pytest.mark.parametrize("multiple", [1, 4, 16])
def test_padded_loops_have_no_tails(axis: str, multiple: int, target: Target) -> None:
    schedule = create_schedule(matmul()).pad("c", axis, multiple).split("c.padded", axis, [multiple])
    schedule = schedule.unroll("c.padded", f"{axis}.1") if multiple < 16 else schedule
    assert compare(schedule, target) == ""
    loops = [s for s in statements(lower(schedule, target).body) if isinstance(s, For)]
    assert all(str(getattr(loop.extent, "value", "?")).isdigit() for loop in loops)


@on_all_targets
@pytest.mark.parametrize("reduce", [te.sum, te.max, te.min, te.prod])
def test_padding_changes_no_reduction(reduce: object, target: Target) -> None:
    x = placeholder((4, 13), "int32", "x")
    k = reduce_axis(13, "k")
    c = compute((4,), lambda i: reduce(x[i, k], axis=k), name="c")  # type: ignore[operator]
    assert compare(create_schedule(c).pad("c", "k", 8).pad("c.padded", "i", 3), target) == ""


@on_all_targets
@pytest.mark.parametrize("axis", ["i.0", "j.0", "i.1"])
def test_a_consumer_follows_its_producers_tiles(axis: str, target: Target) -> None:
    schedule = create_schedule(transposed_copy()).tile("a", ["i", "j"], [4, 3]).parallel("a", "i.0")
    schedule = schedule.reverse_compute_at("b", "a", axis)
    assert compare(schedule, target) == ""
    assert schedule.state.stages["b"].kind("q.0") == "parallel"
    assert schedule.state.stages["a"].attach == ("b", {"i.0": "q.0", "j.0": "p.0", "i.1": "q.1"}[axis])


@on_all_targets
def test_a_reduction_that_reads_element_by_element_keeps_its_loops_inside(target: Target) -> None:
    x = placeholder((13, 7), "float32", "x")
    a = compute((13,), lambda i: x[i, 0] + 1, name="a")
    k = reduce_axis(7, "k")
    b = compute((13,), lambda m: te.sum(a[m] * x[m, k], axis=k), name="b")
    schedule = create_schedule(b).split("a", "i", [4], ["outer", "inner"]).reverse_compute_at("b", "a", "outer")
    assert schedule.state.stages["b"].loops == ("outer", "inner", "k")
    assert compare(schedule, target) == ""


def test_what_else_reads_the_producer_keeps_it_at_the_root() -> None:
    x = placeholder((9,), "float32", "x")
    a = compute((9,), lambda i: x[i] + 1, name="a")
    b = compute((9,), lambda i: a[i] * 2, name="b")
    c = compute((9,), lambda i: a[i] + b[i], name="c")
    with pytest.raises(ScheduleError, match="'a' cannot be computed at 'b' axis 'i': 'c' reads it outside that axis"):
        create_schedule(c).reverse_compute_at("b", "a", "i")


# -- places, blocks and dependences ----------------------------------------------------------------------------------


def test_units_are_columns_of_ones() -> None:
    sketch = create_schedule(chain()).add_unit_loop("b", "i").split("b", "i", [Knob("rows", (2, 4))])
    extents = Bounds(sketch.replay({"rows": np.array([2, 4])})).stages["b"].extents
    assert extents["unit"] == 1 and list(extents["i.1"]) == [2, 4]


def test_what_a_stage_at_the_root_reads_must_be_at_the_root() -> None:
    x = placeholder((9,), "float32", "x")
    a = compute((9,), lambda i: x[i] + 1, name="a")
    b = compute((9,), lambda i: a[i] * 2, name="b")
    c = compute((9,), lambda i: b[i] - 3, name="c")
    schedule = create_schedule(c).compute_at("b", "c", "i").compute_at("a", "c", "i")
    with pytest.raises(ScheduleError, match="'a' is computed at 'c' axis 'i', but 'b' would read it outside that axis"):
        schedule.compute_root("b")
    assert schedule.compute_root("a").compute_root("b").state.stages["b"].attach is None


class TestDependences:
    def scan(self) -> Schedule:
        x = placeholder((4, 9), "float32", "x")
        return create_schedule(compute((4, 9), lambda i, t: te.cumulative("sum", x[i, t], axis=t), name="y"))

    def test_kinds_follow_splits_and_fusions(self) -> None:
        reduction = create_schedule(matmul()).split("c", "r", [2]).fuse("c", ["i", "j"]).state.stages["c"]
        assert carried(reduction) == {"r.0": REDUCTION, "r.1": REDUCTION}
        assert independent_loops(reduction) == ("i+j",)

    def test_reductions_permute_freely(self) -> None:
        stage = create_schedule(matmul()).split("c", "r", [2]).state.stages["c"]
        assert permutable(stage, ("r.1", "j", "r.0", "i"))

    def test_ordered_loops_stay_in_their_order(self) -> None:
        stage = self.scan().split("y", "t", [3]).state.stages["y"]
        assert set(carried(stage).values()) == {ORDERED}
        assert permutable(stage, ("t.0", "i", "t.1")) and permutable(stage, ("t.0", "t.1", "i"))
        assert not permutable(stage, ("t.1", "i", "t.0"))

    def test_producers_are_found_through_others(self) -> None:
        state = create_schedule(chain()).cache_write("b").state
        assert producers(state, "b") == {"b.tile", "a", "x"}
        assert producers(state, "x") == frozenset()

    @pytest.mark.parametrize(
        ("apply", "message"),
        [
            (lambda s: s.parallel("a", "j"), r"'c': axis 'j' runs in order, .*cannot be parallel"),
            (lambda s: s.bind("a", "j", "threadIdx.x"), r"'c': axis 'j' runs in order, .* bound to threadIdx.x"),
            (lambda s: s.split("a", "j", [4]).reorder("a", ["j.1", "j.0"]), r"'c': each iteration of j.0, j.1 needs"),
        ],
    )  # fmt: skip
    def test_a_scan_does_not_follow_loops_that_break_its_order(
        self, apply: stage_primitives.Apply, message: str
    ) -> None:
        x = placeholder((13, 17), "float32", "x")
        a = compute((13, 17), lambda j, i: x[j, i] * 2, name="a")
        c = compute((13, 17), lambda j, i: te.cumulative("max", a[j, i], j), name="c")
        schedule = apply(create_schedule(c))
        with pytest.raises(ScheduleError, match=message):
            schedule.reverse_compute_at("c", "a", schedule.state.stages["a"].loops[0])

    def test_scans_refuse_what_would_break_their_order(self) -> None:
        with pytest.raises(ScheduleError, match="'y': axis 't' is no reduction; rfactor takes one of: none"):
            self.scan().rfactor("y", "t")
        with pytest.raises(ScheduleError, match="'y' is not a reduction: it has no updates to make atomic"):
            self.scan().atomic("y")
        with pytest.raises(ScheduleError, match="'y': cannot fuse ordered axis 't' with a spatial one"):
            self.scan().fuse("y", ["i", "t"])

    @on_all_targets
    def test_a_scan_is_padded(self, target: Target) -> None:
        assert compare(self.scan().pad("y", "t", 4), target) == ""
