"""The search: strategies on the real space, and the tuner with real builders, workers and databases."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from autotune.cost_model.models.analytic import AnalyticModel
from autotune.errors import UsageError
from autotune.measure.builders import BuildOptions
from autotune.search.events import Listener, Progress, TuneResult
from autotune.search.options import TuneOptions
from autotune.search.space import SearchSpace
from autotune.search.strategies import make_strategy
from autotune.search.task import TuningTask
from autotune.search.tuner import Tuner
from autotune.search.yardstick import Yardstick
from autotune.targets.host import host_device, native_target
from autotune.tensor_expr.operators import get_operator
from autotune.tensor_expr.workload import Workload
from autotune.tuning_logs import Database, Record

SMALL = get_operator("conv2d")(in_channels=8, out_channels=16, height=14, width=14)


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return SearchSpace(SMALL.output, native_target())


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database.open(tmp_path / "tuning.db")


def task(workload: Workload = SMALL) -> TuningTask:
    return TuningTask(workload, native_target(), host_device())


def tune(
    database: Database, listener: Listener | None = None, workload: Workload = SMALL, **options: object
) -> TuneResult:
    settings = TuneOptions(**{"trials": 12, "batch": 4, "rounds": 3, "finalists": 3, **options})  # type: ignore[arg-type]
    return Tuner(task(workload), database, settings, [listener] if listener else []).run()


def test_unknown_strategies_are_refused_by_name(space: SearchSpace) -> None:
    with pytest.raises(UsageError, match=r"unknown strategy 'anealing'; known: .*annealing.*random"):
        make_strategy("anealing", space, AnalyticModel(), 0)


@pytest.mark.parametrize("options", [{"trials": 0}, {"trials": -3}, {"budget": 0.0}, {"seed": -1}])
def test_options_that_make_no_sense(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="must"):
        TuneOptions(**options)  # type: ignore[arg-type]


def test_a_search_from_operator_to_database(database: Database) -> None:
    class Count(Listener):
        def __init__(self) -> None:
            self.trials: list[Record] = []

        def on_trial(self, record: Record, progress: Progress) -> None:
            assert database.count(task().key, phase="trial") == progress.trials, "a trial is stored before it is told"
            self.trials.append(record)

    listener = Count()
    result = tune(database, listener)
    assert result.trials == result.new_trials == len(listener.trials) == 12
    assert result.verified and result.schedule is not None and result.seconds
    assert 0 < (result.peak_fraction or 0) < 1.05
    best = database.best(SMALL.key, task().target.key, task().device.key, 1)
    assert best is not None and best[0].phase == "final"
    finals = database.records(task().key, phase="final")
    assert len(finals) in (3, 4), "the analytic choice races, too"
    assert min(r.seconds or 1 for r in finals) == result.seconds
    (run,) = {r.run_id for r in listener.trials}
    stored = database.rounds(run)
    assert stored == [{"batch": one.batch, **one.figures} for one in result.rounds]
    assert sum(one["proposed"] for one in stored) == 12 and all(-1 <= one["rank_correlation"] <= 1 for one in stored)


def test_a_second_run_resumes(database: Database) -> None:
    first = tune(database, trials=8)
    again = tune(database, trials=8)
    assert (again.trials, again.new_trials) == (8, 0)
    assert again.seconds is not None and first.seconds is not None, (
        "with nothing left to do the winner is measured again"
    )
    more = tune(database, trials=13)
    assert (more.trials, more.new_trials) == (13, 5)
    records = database.records(task().key, phase="trial")
    assert len({(r.sketch, tuple(sorted(r.knobs.items()))) for r in records}) == 13, "no trial is repeated"


def test_trials_of_another_tuner_on_the_same_database_count(database: Database) -> None:
    class Other(Listener):
        def on_trial(self, record: Record, progress: Progress) -> None:
            if progress.new_trials == 4:
                with Database.open(database.path) as other:
                    for number in range(20):
                        other.add(dataclasses.replace(record, trial=f"other {number}"), task().key)

    result = tune(database, Other(), trials=30)
    assert result.new_trials <= 30 - 20 + 8, "but for the two batches in flight"
    assert database.count(task().key, phase="trial") >= 30


def test_trials_of_another_device_or_thread_count_do_not_count(database: Database) -> None:
    tune(database, trials=4)
    other = TuningTask(SMALL, native_target(), host_device(), threads=2)
    assert database.count(other.key, phase="trial") == 0


def test_the_same_seed_proposes_the_same_first_batches(tmp_path: Path) -> None:
    """Batches 0 and 1 depend on the seed alone, however measuring goes."""

    def first_batches(name: str) -> list[tuple[str, tuple[tuple[str, int], ...]]]:
        with Database.open(tmp_path / name) as database:
            tune(database, trials=8, seed=5)
            records = database.records(task().key, phase="trial")
            return sorted((r.sketch, tuple(sorted(r.knobs.items()))) for r in records)

    assert first_batches("a.db") == first_batches("b.db")


def test_ctrl_c_keeps_what_finished_and_still_names_a_winner(database: Database) -> None:
    class Interrupt(Listener):
        def on_trial(self, record: Record, progress: Progress) -> None:
            if progress.new_trials == 5:
                raise KeyboardInterrupt

    result = tune(database, Interrupt(), trials=40)
    assert result.interrupted and result.schedule is not None
    assert database.count(task().key, phase="trial") == result.trials == 5


def worker_pids() -> list[int]:
    """The measuring workers that this process has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == os.getpid() and b"autotune.measure.worker" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="finds the worker in /proc")
def test_a_worker_that_dies_in_the_final_costs_no_winner(database: Database) -> None:
    class Kill(Listener):
        def on_final(self, progress: Progress) -> None:
            threading.Thread(target=self._kill, daemon=True).start()

        def _kill(self) -> None:
            time.sleep(3)  # the finalists are built, and race
            for pid in worker_pids():
                os.kill(pid, signal.SIGKILL)

    result = tune(database, Kill(), rounds=100_000)
    assert result.schedule is not None and result.verified
    finals = database.records(task().key, phase="final")
    assert sum(record.status == "ok" for record in finals) >= 2, [r.status for r in finals]


def test_ctrl_c_in_the_final_leaves_the_best_trial(database: Database) -> None:
    class Interrupt(Listener):
        def on_final(self, progress: Progress) -> None:
            raise KeyboardInterrupt

    result = tune(database, Interrupt())
    assert result.interrupted and not result.confirmed and result.verified
    best = min(database.records(task().key, phase="trial"), key=Yardstick().seconds)
    assert result.seconds == best.seconds


def test_building_and_measuring_take_turns_on_one_core(database: Database) -> None:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        result = tune(database, trials=10)
    finally:
        os.sched_setaffinity(0, cores)
    assert result.trials == 10 and result.verified


def test_a_listener_can_stop_the_search(database: Database) -> None:
    class Enough(Listener):
        def should_stop(self, progress: Progress) -> bool:
            return progress.new_trials >= 4

    assert 4 <= tune(database, Enough(), trials=100).trials < 20


def test_a_budget_ends_the_search(database: Database) -> None:
    result = tune(database, trials=100_000, budget=8.0)  # a busy machine takes seconds to start
    assert 0 < result.trials < 100_000 and not result.interrupted


def test_when_every_candidate_fails_the_reasons_are_counted(database: Database) -> None:
    build = BuildOptions(function="json:loads")  # takes no request: every build fails
    result = tune(database, trials=6, build=build)
    assert result.source == "analytic" and result.seconds is None and not result.verified
    assert result.failures["build-error"][0] == 6 and result.failures["build-error"][1]
    assert database.count(task().key, status="build-error") == 6
