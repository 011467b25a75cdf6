"""Who serves a schedule without tuning: exact, near (made legal for the asked shape), analytic."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_cli import run

import autotune
from autotune.cost_model.models.analytic import AnalyticModel
from autotune.schedules.schedule import Schedule
from autotune.search.lookup import Asked, find_near, find_schedule
from autotune.search.relegalize import relegalized
from autotune.search.space import SearchSpace
from autotune.search.task import TuningTask
from autotune.targets.callable import Kernel
from autotune.targets.host import host_device, native_target
from autotune.targets.llvm.build import build
from autotune.tensor_expr import Workload, compute, placeholder, reduce_axis
from autotune.tensor_expr import sum as total
from autotune.tensor_expr.operators import get_operator
from autotune.tuning_logs import Accept, Database, DeviceInfo, Record, Run, Task

TUNED = get_operator("matmul")(m=48, n=64, k=40)


def candidate(workload: Workload) -> tuple[Schedule, str, dict[str, int]]:
    """A legal candidate of the workload's space that promises much: its schedule, and what a record keeps of it."""
    space = SearchSpace(workload.output, native_target())
    population = space.evaluate(space.sample(np.random.default_rng(0), 2_000))
    row = int(np.where(population.legal, AnalyticModel().predict(population.features), np.inf).argmin())
    chosen = population.population
    return space.schedule(chosen, row), space.sketches[int(chosen.sketch[row])].schedule.text, space.knobs(chosen, row)


def task(workload: Workload) -> Task:
    return TuningTask(workload, native_target(), host_device()).key


def store(database: Database, trial: str, where: Task, sketch: str, knobs: dict[str, int], **fields: Any) -> None:
    run_row = Run(run_id="run", seed=0, package_version="0", llvm_version="20")
    database.start_run(run_row, where)
    values: dict[str, Any] = {"seconds": 1e-5, "verified": True} | fields
    database.add(Record(trial=trial, run_id="run", sketch=sketch, knobs=knobs, seed=0, **values), where)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path / "tuning.db") as opened:
        store(opened, "tuned", task(TUNED), *candidate(TUNED)[1:])
        yield opened


def check(workload: Workload, schedule: Schedule) -> None:
    """The schedule computes what the workload means."""
    inputs = workload.random_inputs(0)
    output = Kernel(build(schedule, native_target()))(*inputs.values())
    np.testing.assert_allclose(output, workload.compute_reference(inputs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(48, 64, 41), (37, 100, 31), (50, 20, 40), (48, 64, 80)])
def test_a_near_shape_is_served_and_computes_what_it_should(database: Database, shape: tuple[int, int, int]) -> None:
    asked = get_operator("matmul")(**dict(zip("mnk", shape, strict=True)))
    found = find_schedule(asked, native_target(), 1, database)
    assert found.source == "near" and found.record is not None and found.task is not None
    assert found.record.trial == "tuned" and found.task.workload.text == TUNED.text and 0 < found.distance <= 3
    check(asked, found.schedule)


def test_exact_before_near_before_analytic(database: Database) -> None:
    exact = find_schedule(TUNED, native_target(), 1, database)
    assert (exact.source, exact.distance) == ("exact", 0) and exact.schedule.text == candidate(TUNED)[0].text
    far = get_operator("matmul")(m=4096, n=4096, k=4096)
    assert find_schedule(far, native_target(), 1, database).source == "analytic"
    assert find_schedule(TUNED, native_target(), 1, None).source == "analytic"
    strict = Accept(toolchain="another", others="never")
    assert find_schedule(TUNED, native_target(), 1, database, strict).source == "analytic"


def test_the_face_takes_which_records_count(database: Database) -> None:
    shape = {"m": 48, "n": 64, "k": 40}
    assert autotune.find("matmul", database=database, **shape).source == "exact"
    strict = autotune.Accept(toolchain="another", others="never")
    assert autotune.find("matmul", database=database, accept=strict, **shape).source == "analytic"


def test_the_nearest_that_works_is_served(database: Database) -> None:
    nearer = get_operator("matmul")(m=48, n=64, k=42)
    store(database, "broken", task(nearer), '{"steps":[["split",{"axis":"i","stage":"none"}]],"version":1}', {})
    found = find_schedule(get_operator("matmul")(m=48, n=64, k=43), native_target(), 1, database)
    assert found.source == "near" and found.record is not None and found.record.trial == "tuned"


def test_what_seems_slow_is_passed_over(tmp_path: Path) -> None:
    nearest, next_one = (get_operator("matmul")(m=256, n=256, k=k) for k in (200, 150))
    asked = get_operator("matmul")(m=256, n=256, k=220)
    with Database.open(tmp_path / "tuning.db") as database:
        store(database, "slow", task(nearest), '{"steps":[],"version":1}', {})
        assert find_schedule(asked, native_target(), 1, database).source == "analytic"
        store(database, "good", task(next_one), *candidate(next_one)[1:])
        found = find_schedule(asked, native_target(), 1, database)
    assert found.source == "near" and found.record is not None and found.record.trial == "good"


def test_another_device_is_near(tmp_path: Path) -> None:
    here = task(TUNED)
    facts = {**here.device.facts, "cores": 2 * int(str(host_device().facts["cores"]))}
    other = dataclasses.replace(here, device=DeviceInfo("bigger", "bigger", facts))
    stranger = dataclasses.replace(here, device=DeviceInfo("gpu", "gpu", {"warp": 32}))
    with Database.open(tmp_path / "tuning.db") as database:
        store(database, "stranger", stranger, *candidate(TUNED)[1:])
        assert find_near(Asked(TUNED, native_target()), database) is None
        store(database, "bigger", other, *candidate(TUNED)[1:])
        found = find_schedule(TUNED, native_target(), 1, database)
    assert found.source == "near" and found.task == other and found.distance == pytest.approx(1)


Names = tuple[str, str, str, str, str]


def doubled_product(names: Names) -> Workload:
    """A chain of two computes; the names of the inputs, of the computes and of the axis that is summed over."""
    left, right, double, out, axis = names
    x, y = placeholder((32, 24), "float32", left), placeholder((24, 48), "float32", right)
    twice = compute((32, 24), lambda i, j: x[i, j] + x[i, j], name=double)
    k = reduce_axis(24, axis)
    return Workload(compute((32, 48), lambda i, j: total(twice[i, k] * y[k, j], axis=k), name=out))


@pytest.mark.parametrize(
    "names",
    [
        ("left", "right", "twice", "out", "kk"),
        ("a", "b", "d", "k", "k"),  # an axis and a stage
        ("i", "j", "d", "c", "outer"),  # a word of layouts
        ("a", "b", "inner", "outer", "inner"),
        ("a", "b", "c.tile", "tile", "tile"),  # what primitives call the stages that they make
        ("stage", "axis", "version", "steps", "knob"),  # the words of the schedule's JSON
    ],
)
def test_the_same_expression_under_other_names_is_exact(tmp_path: Path, names: Names) -> None:
    plain: Names = ("a", "b", "d", "c", "k")
    for number, (tuned, asked) in enumerate([(plain, names), (names, plain)]):
        one, other = doubled_product(tuned), doubled_product(asked)
        with Database.open(tmp_path / f"{number}.db") as database:
            schedule, *stored = candidate(one)
            store(database, "t", task(one), *stored)
            found = find_schedule(other, native_target(), 1, database)
        assert found.source == "exact" and found.schedule.text.count('"split"') == schedule.text.count('"split"')
        check(other, found.schedule)


def test_a_recorded_schedule_that_no_sketch_is_like_is_replayed() -> None:
    space = SearchSpace(TUNED.output, native_target())
    own = Schedule(TUNED.output).split("c", "i", [3]).parallel("c", "i.0")
    assert relegalized(space, own.text, {}) is not None
    found = relegalized(space, own.text, {})
    assert found is not None and found.text == own.text


@pytest.mark.parametrize("sketch", ["7", "{", "[]", '{"version":9,"steps":[]}', '{"version":1,"steps":[[]]}'])
def test_what_is_no_schedule_is_refused(sketch: str) -> None:
    assert relegalized(SearchSpace(TUNED.output, native_target()), sketch, {}) is None


def test_the_command_line_says_so(database: Database) -> None:
    words = ["best", "matmul", "--m", 48, "--n", 64, "--k", 41, "--db", database.path]
    text = run(*words)
    assert text.returncode == 0, text.stderr
    assert f"near, not measured: made legal from that of {TUNED.text} at distance 0.03" in text.stdout
    assert "GFLOP/s" not in text.stdout and "Schedule:" in text.stdout
    data = json.loads(run(*words, "--json").stdout)
    assert (data["served"], data["neighbour"], data["neighbour_seconds"]) == ("near", TUNED.text, 1e-5)
    assert data["schedule"]["steps"] and "best_seconds" not in data
    explained = run("explain", *words[1:], "--show", "schedule")
    assert "near, not measured" in explained.stdout and "verified" not in explained.stdout
    assert run("best", "matmul", "--m", 4096, "--db", database.path).returncode == 1
