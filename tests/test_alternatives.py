"""Search among definitions of one workload: spaces, trials, the filter, lookups, and what kernels of them may err."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from autotune import api
from autotune.errors import UsageError
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.search.options import TuneOptions
from autotune.search.relegalize import relegalized
from autotune.search.space import SearchSpace
from autotune.search.tuner import Tuner
from autotune.targets.artifact import KernelObject
from autotune.targets.callable import Kernel
from autotune.targets.facts import X86_AVX512
from autotune.targets.host import native_target
from autotune.tensor_expr.algorithms import algorithm_of, definition, definitions, executed_flops
from autotune.tensor_expr.operators import get_operator
from autotune.tensor_expr.workload import Workload
from autotune.tuning_logs import Database

ODD = {"in_channels": 5, "out_channels": 7, "height": 11, "width": 13}
ALTERNATIVES = ("im2col", "winograd_f2x3", "winograd_f4x3")


def odd() -> Workload:
    return get_operator("conv2d")(**ODD)


def test_a_space_has_the_sketches_of_every_definition_that_is_accepted() -> None:
    work, target = odd(), native_target()
    every = SearchSpace(work, target)
    assert {sketch.schedule.algorithm for sketch in every.sketches} == {"direct", *ALTERNATIVES}
    some = SearchSpace(work, target, algorithms=("im2col", "winograd_f4x3"))
    assert {sketch.schedule.algorithm for sketch in some.sketches} == {"im2col", "winograd_f4x3"}
    population = every.sample(np.random.default_rng(0), 400)
    assert np.isfinite(every.evaluate(population).features).all()


def test_a_candidate_comes_back_from_its_records_text() -> None:
    work = odd()
    space = SearchSpace(work, native_target(), algorithms=ALTERNATIVES)
    population = space.sample(np.random.default_rng(1), 20)
    for row in range(20):
        text = space.sketches[int(population.sketch[row])].schedule.text
        knobs = space.knobs(population, row)
        found = space.find(text, knobs)
        assert found is not None and found.key(0) == population.key(row)
        replayed = Schedule.from_json(work, json.loads(text)).with_knobs(knobs)
        assert replayed.text == space.schedule(population, row).text
        assert (
            algorithm_of(text) == replayed.algorithm == space.sketches[int(population.sketch[row])].schedule.algorithm
        )


def test_the_operators_own_schedules_name_no_algorithm() -> None:
    assert "algorithm" not in create_schedule(odd()).to_json()
    assert algorithm_of(create_schedule(odd()).text) == "direct"
    assert create_schedule(odd(), "im2col").to_json()["algorithm"] == "im2col"


def test_names_are_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="unknown algorithm 'fft'; known: direct, im2col, winograd_f2x3"):
        api.find("conv2d", algorithms="direct,fft")
    with pytest.raises(UsageError, match=r"matmul.* has the algorithms direct, of which none is accepted"):
        api.find("matmul", algorithms="im2col")
    with pytest.raises(UsageError, match=r"has no algorithm 'winograd_f4x3'; it has: direct, im2col"):
        create_schedule(get_operator("conv2d")(**ODD, stride=2), "winograd_f4x3")
    with pytest.raises(UsageError, match="algorithms are names"):
        api.find("conv2d", algorithms=5)  # type: ignore[arg-type]


def test_a_schedule_of_an_alternative_is_one_of_the_workload() -> None:
    work = odd()
    assert api.lower(work, schedule=create_schedule(work, "im2col"))
    assert api.lower(work, schedule=Schedule(definition(work, "winograd_f2x3")))
    with pytest.raises(UsageError, match="the schedule is not one of"):
        api.lower(work, schedule=create_schedule(get_operator("conv2d")(), "im2col"))


def test_winograd_executes_fewer_operations() -> None:
    work = get_operator("conv2d")(in_channels=64, out_channels=64, height=56, width=56)
    assert executed_flops(work, "direct") == work.flops
    assert executed_flops(work, "winograd_f4x3") == 36 * 14 * 14 * 64 * 64 * 2
    assert executed_flops(work, "winograd_f2x3") == 16 * 28 * 28 * 64 * 64 * 2


@pytest.mark.compiler
def test_tuning_among_alternatives_and_looking_up_some(tmp_path: Path) -> None:
    work, path = odd(), tmp_path / "db.sqlite"
    for name in definitions(work):
        result = api.tune(work, trials=4, algorithms=name, strategy="random", database=path)
        assert result.algorithm == name and result.new_trials == result.trials == 4 and result.failed == 0
    result = api.tune(work, trials=20, algorithms="all", strategy="random", database=path)
    assert result.verified and result.new_trials == 4
    with Database.open(path) as database:
        task = api.tuning_task(work).key
        by_name: dict[str, list[float]] = {}
        for record in database.records(task):
            by_name.setdefault(algorithm_of(record.sketch), []).append(record.max_error or 0.0)
        assert by_name.keys() == {"direct", *ALTERNATIVES}
        assert max(by_name["direct"] + by_name["im2col"]) <= 1e-5 and max(by_name["winograd_f4x3"]) <= 1e-4
        assert api.find(work, database=database).source == "exact"
        for name in definitions(work):
            found = api.find(work, database=database, algorithms=name)
            assert found.source == "exact" and found.schedule.algorithm == name
            near = api.find(get_operator("conv2d")(**{**ODD, "height": 12}), database=database, algorithms=name)
            assert near.source in ("near", "analytic") and near.schedule.algorithm == name
        # A search among some takes no other's trials for its own, and leaves what it refuses the best of the task.
        best = api.find(work, database=database).schedule
        others = tuple(name for name in definitions(work) if name != best.algorithm)
        again = Tuner(api.tuning_task(work), database, TuneOptions(trials=12, algorithms=others)).run()
        assert again.algorithm in others and 12 <= again.trials < 20
        raced = {
            algorithm_of(r.sketch) for r in database.records(task, phase="final") if r.run_id == _last_run(database)
        }
        assert best.algorithm in raced


def _last_run(database: Database) -> str:
    found = database.find(database.last_trial())
    assert found is not None
    return found[0].run_id


@pytest.mark.compiler
@pytest.mark.parametrize("name", ALTERNATIVES)
def test_every_sketch_of_an_alternative_computes_the_convolution(name: str) -> None:
    work = odd()
    space = SearchSpace(work, native_target(), algorithms=(name,))
    inputs = work.random_inputs(0)
    expected = work.compute_reference(inputs)
    drawn = space.evaluate(space.sample(np.random.default_rng(2), 600))
    legal = np.flatnonzero(drawn.legal)
    for number in range(0, len(space.sketches), 3):
        rows = [row for row in legal if drawn.population.sketch[row] == number][:1]
        for row in rows:
            kernel = api.build(space.schedule(drawn.population, int(row)))
            got = kernel(**inputs)
            assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()
            # Weights bound, or packed by hand, are transformed once and give the same.
            assert (kernel.bind(w=inputs["w"])(inputs["x"]) == got).all()
            packed = kernel.pack("w", inputs["w"])
            assert packed.shape == kernel.object.parameters[1].stored_shape
            raw = kernel.run_packed(kernel.pack("x", inputs["x"]), packed)
            assert (kernel.unpack("conv", raw) == got).all()
            header = json.loads(json.dumps(kernel.object.header()))
            again = Kernel(KernelObject.from_header(header, kernel.object.code))
            assert (again(**inputs) == got).all()


@pytest.mark.parametrize("name", ["winograd_f2x3", "winograd_f4x3"])
def test_transforms_are_unrolled_over_their_rows_around_vectors(name: str) -> None:
    """No element of a transform is computed in every way that there is, and its rows share what they read."""
    space = SearchSpace(odd(), native_target(), algorithms=(name,))
    for sketch in space.sketches:
        for transform, *unrolled in (("data", "u", "v"), ("tiles", "i.1", "j.1")):
            stage = sketch.schedule.state.stages[transform]
            assert list(stage.loops[-3:-1]) == unrolled and {stage.kind(loop) for loop in unrolled} == {"unroll"}
            assert stage.kind(stage.loops[-1]) == "vectorize" and stage.attach is None
        for transposed, columns in (("pixels", "z.1"), ("conv", "o.1")):  # blocks of columns are turned in registers
            assert sketch.schedule.state.stages[transposed].kind(columns) == "unroll"


def test_winograd_pays_where_channels_are_many() -> None:
    """The analytic estimate counts all stages, so that definitions of one workload can be compared by it."""

    def best(name: str, channels: int, size: int) -> float:
        work = get_operator("conv2d")(in_channels=channels, out_channels=channels, height=size, width=size)
        space = SearchSpace(work, X86_AVX512, algorithms=(name,))
        drawn = space.evaluate(space.sample(np.random.default_rng(5), 4000))
        return float(drawn.features[drawn.legal, 0].min())

    assert best("winograd_f4x3", 256, 14) < best("direct", 256, 14) < best("im2col", 256, 14)
    assert best("direct", 4, 28) < best("winograd_f4x3", 4, 28)


@pytest.mark.parametrize("name", ALTERNATIVES)
def test_weights_are_transformed_before_the_kernel_runs(name: str) -> None:
    for sketch in SearchSpace(odd(), native_target(), algorithms=(name,)).sketches:
        assert "w" not in sketch.schedule.state.stages
        assert not {"weights", "weight_columns", "filters"} & {
            stage.name for stage in sketch.schedule.state.stages.values() if not stage.tensor.is_placeholder
        }


def test_an_alternatives_sketch_is_made_legal_for_another_shape() -> None:
    target = native_target()
    first = SearchSpace(odd(), target, algorithms=("winograd_f4x3",))
    drawn = first.evaluate(first.sample(np.random.default_rng(3), 200))
    row = int(np.flatnonzero(drawn.legal)[0])
    text = first.sketches[int(drawn.population.sketch[row])].schedule.text
    other = get_operator("conv2d")(**{**ODD, "width": 29, "in_channels": 8})
    found = relegalized(SearchSpace(other, target), text, first.knobs(drawn.population, row))
    assert found is not None and found.algorithm == "winograd_f4x3"
    assert (
        relegalized(SearchSpace(other, target, algorithms=("direct",)), text, first.knobs(drawn.population, row))
        is None
    )
