"""Replays: the same proposals from the log alone, and where they leave it."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

import autotune
import autotune.tensor_expr as te
from autotune.cli import main
from autotune.errors import AutotuneError, UsageError
from autotune.search.events import Listener, Progress
from autotune.search.options import TuneOptions
from autotune.search.task import TuningTask
from autotune.search.tuner import Tuner
from autotune.search.workbench import open_workbench
from autotune.targets.host import host_device, native_target
from autotune.tensor_expr.operators import get_operator
from autotune.tensor_expr.workload import Workload
from autotune.tuning_logs import Database

SMALL = get_operator("conv2d")(in_channels=8, out_channels=16, height=14, width=14)


class Enough(Listener):
    """Ends a search in the middle of a batch."""

    def should_stop(self, progress: Progress) -> bool:
        return progress.new_trials >= 14


def tuned(path: Path, listeners: tuple[Listener, ...] = (), workload: Workload = SMALL, **options: object) -> str:
    """The name of a new run."""
    settings = TuneOptions(**{"trials": 20, "batch": 4, "rounds": 2, "finalists": 1, **options})  # type: ignore[arg-type]
    with Database.open(path) as database:
        tuner = Tuner(TuningTask(workload, native_target(), host_device()), database, settings, listeners)
        tuner.run()
    return tuner.run_id


def test_runs_replay_from_where_they_began(tmp_path: Path) -> None:
    """The second run learnt from the first and was cut short; the third resumed both with another strategy."""
    path = tmp_path / "tuning.db"
    first = tuned(path, trials=8, seed=3)
    second = tuned(path, (Enough(),), trials=40)
    third = tuned(path, trials=30, strategy="random", cost_model="analytic")
    for run, earlier in ((first, 0), (second, 8), (third, None)):
        found = autotune.replay(run[:10], path)
        assert found.divergence == "" and found.run.run_id == run
        assert earlier in (None, found.earlier)
        assert len(found.trials) + found.earlier in (8, 30) or len(found.trials) >= 14
        times = [record.seconds for _, record in found.curve]
        assert times == sorted(times, reverse=True) and times[-1] == min(
            r.seconds for r in found.trials if r.status == "ok" and r.seconds
        )


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tuning.db"
    run = tuned(path, trials=8)

    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as exit_:
            main([*arguments, "--db", str(path)])
        captured = capsys.readouterr()
        return int(exit_.value.code or 0), captured.out, captured.err

    listed = json.loads(call("db", "list", "--runs", "--json")[1])
    assert [(row["run"], row["trials"]) for row in listed] == [(run, 8)]
    code, out, _ = call("replay", run[:8])
    assert code == 0 and "8 trials, each proposed again" in out
    assert call("replay", "nothing")[::2] == (
        1, f"Error: {path} has no run 'nothing'; autotune db list --runs shows what it has\n"
    )  # fmt: skip

    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE records SET batch = 99 WHERE trial LIKE '%-trial-1-2'")
    code, out, error = call("replay", run, "--json")
    assert code == 1 and json.loads(out)["divergence"] in error
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE records SET batch = 1, knobs = '{}' WHERE trial LIKE '%-trial-1-2'")
    code, _, error = call("replay", run)
    assert code == 1 and "leaves the log at trial 2 of batch 1" in error and "where the log has None" in error
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE tasks SET space_version = '1'")
    code, _, error = call("replay", run)
    assert code == 1 and "version 1 of the search space" in error


def test_an_expression_is_given_again(tmp_path: Path) -> None:
    x = te.placeholder((64, 64), name="x")
    y = te.compute((64, 64), lambda i, j: x[i, j] * 2, name="y")
    run = tuned(tmp_path / "tuning.db", workload=Workload(y), trials=4)
    with pytest.raises(AutotuneError, match="tuned an expression"):
        autotune.replay(run, tmp_path / "tuning.db")
    assert not autotune.replay(run, tmp_path / "tuning.db", y).divergence


def test_a_search_in_turns_replays(tmp_path: Path) -> None:
    """Turns end between any two batches, and the last one within a batch."""
    with Database.open(tmp_path / "tuning.db") as database:
        options = TuneOptions(trials=100, batch=4, rounds=2, finalists=1)
        workload = get_operator("conv2d")(in_channels=8, out_channels=16, height=14, width=14)
        task = TuningTask(workload, native_target(), host_device())
        tuner = Tuner(task, database, options)
        with open_workbench(task, options) as bench:
            tuner.start()
            for trials, so_far in ((4, 4), (12, 16), (4, 20), (6, 26)):
                assert tuner.explore(bench, trials) == "" and tuner.new_trials == so_far
            result = tuner.finish(bench)
        assert result.trials == 26 and len(result.rounds) == 6 and result.untuned_seconds
        replayed = autotune.replay(tuner.run_id, database)
        assert replayed.divergence == "" and len(replayed.trials) == 26


def test_a_search_beside_another_replays(tmp_path: Path) -> None:
    """Another tuner adds a trial of the task for each of this one's: fewer batches remain, not shorter ones."""

    class Beside(Tuner):
        def _others(self) -> int:
            return self.new_trials

    with Database.open(tmp_path / "tuning.db") as database:
        options = TuneOptions(trials=23, batch=4, rounds=2, finalists=1)
        tuner = Beside(TuningTask(SMALL, native_target(), host_device()), database, options)
        result = tuner.run()
        assert {one.proposed for one in result.rounds} == {4} and 12 <= result.trials <= 20
        replayed = autotune.replay(tuner.run_id, database)
        assert replayed.divergence == "" and len(replayed.trials) == result.trials


def rows(cfg: autotune.Config, output: autotune.Tensor) -> autotune.Schedule:
    return autotune.create_schedule(output).split("c", "i", cfg.define_split("t", 24))


def columns(cfg: autotune.Config, output: autotune.Tensor) -> autotune.Schedule:
    return autotune.create_schedule(output).split("c", "j", cfg.define_split("t", 24))


@pytest.mark.parametrize("cache", ["warm", "cold"])
def test_a_template_is_given_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    path = tmp_path / "tuning.db"
    autotune.tune("matmul", trials=4, database=path, template=rows, cache=cache, m=24, n=24, k=8)
    with Database.open(path) as database:
        run = database.query("SELECT key FROM runs")[0]["key"]
    found = autotune.replay(run, path, template=rows)
    assert len(found.trials) == 4 and not found.divergence
    with pytest.raises(AutotuneError, match=r"searched template rows \w+, which a log only names"):
        autotune.replay(run, path)
    with pytest.raises(AutotuneError, match=r"searched template rows \w+, and what is given is template columns"):
        autotune.replay(run, path, template=columns)
    monkeypatch.syspath_prepend(Path(__file__).parent)
    with pytest.raises(SystemExit, match="0"):
        main(["replay", run, "--db", str(path), "--template", "test_replay:rows"])
    assert "4 trials, each proposed again" in capsys.readouterr().out


def test_a_schedule_with_knobs_is_given_again(tmp_path: Path) -> None:
    path = tmp_path / "tuning.db"
    a = te.placeholder((24, 8), name="a")
    c = te.compute((24, 8), lambda i, j: a[i, j] * 2, name="c")
    given = autotune.create_schedule(c).split("c", "i", [autotune.Knob("t", (2, 3, 4))])
    autotune.tune(given, trials=2, database=path)
    with Database.open(path) as database:
        run = database.query("SELECT key FROM runs")[0]["key"]
    assert len(autotune.replay(run, path, given).trials) == 2


def test_a_template_is_of_the_operators_own_definition(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="algorithms must have 'direct' among them"):
        autotune.tune("conv2d", template=rows, algorithms="im2col", database=tmp_path / "tuning.db")
