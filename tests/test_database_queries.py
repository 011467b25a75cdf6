"""What the database answers: the best, the top few, what is near, and which records are served at all."""

from __future__ import annotations

import json
import math
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from test_tuning_logs import DEVICE, TASK, WORKLOAD, make_record, make_run

from autotune.errors import UsageError
from autotune.tensor_expr import Workload as Computation
from autotune.tensor_expr import compute, placeholder
from autotune.tuning_logs import Accept, Database, DeviceInfo, TargetInfo, Task, Workload
from autotune.tuning_logs.accept import days_ago
from autotune.tuning_logs.nearness import device_distance, place, shape_distances


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path / "tuning.db") as opened:
        opened.start_run(make_run(), TASK)
        yield opened


def matmul(m: int, n: int = 64, k: int = 64, **others: Any) -> Workload:
    params = {"m": m, "n": n, "k": k, "dtype": "float32", **others}
    return Workload(f"matmul({', '.join(f'{name}={value}' for name, value in params.items())})", "matmul", params)


def task_of(workload: Workload, **changes: Any) -> Task:
    fields = {"target": TASK.target, "device": DEVICE, "threads": 1, "toolchain": "llvm 20", "space_version": 1}
    return Task(workload, **(fields | changes))


class TestTop:
    def test_each_candidate_once_and_the_best_first(self, database: Database) -> None:
        rows = [("lucky", 1e-3, "trial", 1), ("slow", 9e-3, "trial", 2), ("mid", 4e-3, "trial", 3),
                ("f1", 3e-3, "final", 1), ("f3", 3.5e-3, "final", 3)]  # fmt: skip
        for trial, seconds, phase, tile in rows:
            database.add(make_record(trial, seconds, phase=phase, knobs={"tile": tile}), TASK)
        best = database.best(WORKLOAD.key)
        top = database.top(9, WORKLOAD.key)
        assert [record.trial for record, _ in top] == ["f1", "f3", "slow"]
        assert top[0] == best and database.top(1, WORKLOAD.key) == [best]
        assert database.top(0, WORKLOAD.key) == database.top(3, "no such key") == []


def test_the_latest_race_is_found_at_once_however_many_trials_came_after_it(database: Database) -> None:
    database.add(make_record("final", phase="final"), TASK)
    database.add_all((make_record(f"t{number}", 1.0), TASK) for number in range(20_000))
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    database.connection.set_progress_handler(count, 100)
    found = database.best(WORKLOAD.key)
    database.connection.set_progress_handler(None, 100)
    assert found is not None and found[0].trial == "final" and steps < 20


class TestAccept:
    def best(self, database: Database, **accept: Any) -> str | None:
        found = database.best(WORKLOAD.key, accept=Accept(**accept))
        return found[0].trial if found else None

    def test_other_toolchains(self, database: Database) -> None:
        database.add(make_record("old", 1e-3), task_of(WORKLOAD, toolchain="llvm 20"))
        database.add(make_record("new", 2e-3), task_of(WORKLOAD, toolchain="llvm 21"))
        assert self.best(database) == self.best(database, toolchain="llvm 21") == "old"
        assert self.best(database, toolchain="llvm 21", others="last") == "new"
        assert self.best(database, toolchain="llvm 22", others="last") == "old"
        assert self.best(database, toolchain="llvm 22", others="never") is None

    def test_age(self, database: Database) -> None:
        database.add(make_record("old", 1e-3, created="2020-01-01T00:00:00+00:00"), TASK)
        assert self.best(database) == "old"
        assert self.best(database, since="2020-01-01T00:00:00Z") == "old"
        assert self.best(database, since="2020-01-01T00:00:01Z") is None
        database.add(make_record("new", 2e-3), TASK)
        assert self.best(database, since=days_ago(1)) == "new"
        assert database.top(5, WORKLOAD.key, accept=Accept(since=days_ago(1)))[0][0].trial == "new"

    def test_a_clock_that_ran_backwards_changes_no_order(self, database: Database) -> None:
        database.add(make_record("f1", 2e-3, phase="final", created="2026-01-01T00:00:00Z"), TASK)
        database.start_run(make_run("second"), TASK)
        database.add(make_record("f2", 3e-3, phase="final", run_id="second", created="2025-01-01T00:00:00Z"), TASK)
        assert self.best(database) == "f2", "the later race is the one that was stored later"

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            ({"others": "maybe"}, "others must be one of equal, last, never, not 'maybe'"),
            ({"others": "never"}, "needs the toolchain that they are not"),
            ({"since": "last week"}, "is no time in ISO 8601"),
        ],
    )
    def test_refusals(self, fields: dict[str, Any], sentence: str) -> None:
        with pytest.raises(UsageError, match=sentence):
            Accept(**fields)
        with pytest.raises(UsageError, match="an age of"):
            days_ago(math.inf)


class TestPlaces:
    def test_families(self) -> None:
        def family(**params: Any) -> str:
            return place("conv", params, "").family

        assert family(h=3, kernel="3,3", dtype="f32") == family(h=9, kernel="5,1", dtype="f32")
        assert family(h=3, epsilon=1e-5) == family(h=3, epsilon=1e-6)
        assert family(h=3, dtype="f32") != family(h=3, dtype="f16")
        assert family(h=3, flag=True) != family(h=3, flag=False)
        assert family(kernel="3,3") != family(kernel="3,3,3")
        assert family(kernel=[3, 3]) == family(kernel=[1, 7])

    def test_expressions_differ_in_extents(self) -> None:
        def text(rows: int, factor: int = 2) -> str:
            x = placeholder((rows, 5), "float32", "x")
            return Computation(compute((rows, 5), lambda i, j: x[i, j] * factor, name="y")).text

        assert place("expression", {}, text(64)).family == place("expression", {}, text(7)).family
        assert place("expression", {}, text(64)).family != place("expression", {}, text(64, 3)).family
        assert place("expression", {}, text(64)).shape == "64,5,64,5"

    def test_no_sum_differs_by_more_than_the_distance(self) -> None:
        numbers = random.Random(5)
        for _ in range(200):
            one, other = (place("op", {"shape": [numbers.randint(0, 99) for _ in range(9)]}, "") for _ in range(2))
            (distance,) = shape_distances(one.shape, [other.shape])
            for a, b in zip((one.size, *one.contrasts), (other.size, *other.contrasts), strict=True):
                assert abs(a - b) <= distance + 1e-9
        assert (
            len({place("op", {"shape": [7 if at == k else 0 for at in range(8)]}, "").contrasts for k in range(8)}) == 8
        )

    def test_distance(self) -> None:
        assert shape_distances("63,3,0", ["63,3,0", "127,3,0", "31,3,1", "63,1,0"]).tolist() == [0, 1, 2, 1]
        assert shape_distances("", ["", ""]).tolist() == [0, 0]

    def test_devices(self) -> None:
        facts = {"cores": 4, "l2": 1024, "cpu": "a", "features": ["avx2", "fma"]}
        assert device_distance(facts, facts) == 0
        assert device_distance(facts, {**facts, "cores": 8}) == 1
        assert device_distance(facts, {**facts, "cpu": "b"}) == 1
        assert device_distance(facts, {**facts, "features": ["avx2", "fma", "avx512f"]}) == pytest.approx(8 / 3)
        assert device_distance(facts, {"gpu": 1}) == math.inf
        assert device_distance(facts, {"l2": 0, "cores": 4}) == 1


class TestNearest:
    def test_nearest_first_and_only_of_the_family(self, database: Database) -> None:
        for number, workload in enumerate(
            [matmul(127), matmul(63, 127, 127), matmul(65), matmul(64, dtype="float16"), matmul(60_000)]
        ):
            database.add(make_record(f"t{number}"), task_of(workload))
        found = database.nearest(matmul(63))
        assert [workload.params["m"] for _, workload in found] == [65, 127, 63]
        assert found[1][0] == pytest.approx(1, abs=0.05)
        assert [workload for _, workload in database.nearest(matmul(63), count=1)] == [matmul(65)]
        assert database.nearest(matmul(63), within=0.01) == []
        assert database.nearest(Workload("other()")) == []

    def test_of_a_target(self, database: Database) -> None:
        arm = TargetInfo("arm_neon", "a64")
        database.add(make_record("x86"), task_of(matmul(65)))
        database.add(make_record("arm"), task_of(matmul(80), target=arm))
        assert [w.params["m"] for _, w in database.nearest(matmul(64), target_key=arm.key)] == [80]

    def test_is_what_looking_at_all_finds(self, database: Database) -> None:
        numbers = random.Random(3)
        workloads = [matmul(*(numbers.randint(1, 300) for _ in range(3))) for _ in range(300)]
        database.add_all((make_record(f"t{i}"), task_of(workload)) for i, workload in enumerate(workloads))
        distinct = {workload.key: workload for workload in workloads}
        for asked in [matmul(1, 1, 1), matmul(300, 300, 300), matmul(17, 130, 64), matmul(9000, 1, 1)]:
            shape = place("matmul", asked.params, asked.text).shape
            others = [place("matmul", w.params, w.text).shape for w in distinct.values()]
            expected = sorted(d for d in shape_distances(shape, others).tolist() if d <= 4.0)[:8]
            assert [d for d, _ in database.nearest(asked)] == pytest.approx(expected)

    def test_uses_the_index(self, database: Database) -> None:
        seen: list[tuple[str, Any]] = []
        database._db._tracer = lambda sql, values: seen.append((sql, values))
        database.nearest(matmul(64), target_key=TASK.target.key)
        database._db._tracer = None
        plans = [database._db.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall() for sql, values in seen]
        steps = [step[-1] for plan in plans for step in plan]
        assert any("family=? AND size>? AND size<?" in step for step in steps), steps
        assert not [step for step in steps if step.startswith("SCAN")], steps

    def test_devices(self, database: Database) -> None:
        for number, facts in enumerate([{"cores": 16}, {"cores": 3}, {"gpu": "x"}]):
            device = DeviceInfo(f"d{number}", f"d{number}", facts)
            database.add(make_record(f"t{number}"), task_of(WORKLOAD, device=device))
        assert [(d, device.name) for d, device in database.nearest_devices(DEVICE)] == [
            (pytest.approx(math.log2(1.5)), "d1"),
            (3.0, "d0"),
        ]


class TestBatches:
    def test_all_or_none(self, database: Database) -> None:
        records = [(make_record(f"t{number}"), TASK) for number in range(5)]
        assert database.add_all(records) == 5
        assert database.add_all([*records, (make_record("new"), TASK)]) == 1
        with pytest.raises(UsageError, match="was not started"):
            database.add_all([(make_record("a"), TASK), (make_record("b", run_id="other"), TASK)])
        assert database.count() == 6

    def test_a_batch_that_raises_leaves_nothing(self, database: Database) -> None:
        def interrupted() -> Iterator[Any]:
            yield make_record("a"), task_of(matmul(1))
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            database.add_all(interrupted())
        assert database.count() == 0 and database.tasks(matmul(1).key) == []
        database.add(make_record("a"), task_of(matmul(1)))

    def test_every_row_has_its_checksum(self, database: Database) -> None:
        database.add(make_record("a", samples=[1e-3], max_error=math.inf, message="ü"), TASK)
        with closing(sqlite3.connect(database.path)) as raw:
            assert raw.execute("SELECT min(checksum != 0) FROM records").fetchone() == (1,)


def test_the_benchmark_runs(tmp_path: Path) -> None:
    script = Path(__file__).parent.parent / "benchmarks" / "database.py"
    words = ["--records", "1000", "--writers", "8", "--seconds", "1", "--tvm-python", "none", "--json"]
    command = [sys.executable, str(script), *words]
    finished = subprocess.run(
        command, capture_output=True, text=True, timeout=120, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    assert finished.returncode == 0, finished.stderr
    data = json.loads(finished.stdout)
    assert (
        data["figures"]["1000"]["exact_us"] > 0
        and data["metaschedule"] is None
        and data["writers"]["lost"] == 0 < data["writers"]["added"]
    )
