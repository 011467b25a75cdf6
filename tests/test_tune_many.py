"""Many tasks under one budget: with real builders, workers and databases, and on the command line."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import autotune
from autotune.api import tuning_task
from autotune.cli import main
from autotune.cli.many_progress import names
from autotune.cli.task_file import read_tasks
from autotune.errors import UsageError
from autotune.search.many.events import ManyListener, ManyProgress, Turn
from autotune.search.many.tuner import FINAL_SHARE, merge
from autotune.tensor_expr.operators import get_operator
from autotune.tuning_logs import Database

ROOT = Path(__file__).resolve().parent.parent
CONV = get_operator("conv2d")(in_channels=8, out_channels=16, height=14, width=14)
POINTWISE = get_operator("conv2d")(in_channels=8, out_channels=16, height=7, width=7, kernel="1")
SOFTMAX = get_operator("softmax")(shape="4,50")
TASKS = [(CONV, 3), POINTWISE, (SOFTMAX, 0.5)]
FILE = """\
defaults:
  weight: 2
tasks:
  - operator: conv2d
    weight: 3
    parameters: {in_channels: 8, out_channels: 16, height: 14, width: 14, kernel: [3, 3]}
  - {operator: softmax, parameters: {shape: "4,50"}}
"""


def written(folder: Path, text: str) -> Path:
    (folder / "tasks.yaml").write_text(text)
    return folder / "tasks.yaml"


def test_equal_tasks_are_merged_and_cold_ones_are_others() -> None:
    warm = tuning_task(SOFTMAX)
    cold = replace(warm, cache="cold")
    assert merge([(warm, 1.0), (cold, 2.0), (tuning_task(SOFTMAX), 3.0)]) == [(warm, 4.0), (cold, 2.0)]


@pytest.mark.parametrize("tasks", [5, None, "matmul"])
def test_what_is_no_list_of_tasks_is_refused(tmp_path: Path, tasks: object) -> None:
    with pytest.raises(UsageError, match="the tasks are a list of operators, alone or in pairs with their weights"):
        autotune.tune_many(tasks, trials=1, database=tmp_path / "tuning.db")  # type: ignore[arg-type]


def test_tasks_share_the_trials_and_the_same_call_resumes(tmp_path: Path) -> None:
    class Heard(ManyListener):
        def __init__(self) -> None:
            self.trials: list[int] = []
            self.turns: list[Turn] = []

        def on_trial(self, progress: ManyProgress) -> None:
            self.trials.append(progress.trials)

        def on_turn(self, turn: Turn, progress: ManyProgress) -> None:
            self.turns.append(turn)
            assert progress.tasks[turn.task].expected is not None

    with Database.open(tmp_path / "tuning.db") as database:
        listener = Heard()
        result = autotune.tune_many(TASKS, trials=31, database=database, listeners=[listener])
        assert result.trials == result.new_trials == 31 == listener.trials[-1]
        assert tuple(listener.turns) == result.turns and sum(turn.trials for turn in result.turns) == 31
        assert {turn.task for turn in result.turns[:3]} == {0, 1, 2}
        assert [turn.trials for turn in result.turns] == [5, 5, 5, 10, 6], (
            "first turns are short, the last takes the rest"
        )
        assert list(result.weights) == [3, 1, 0.5] and result.compared == 3 and not result.stopped
        for one in result.results:
            assert one.confirmed and one.seconds and one.untuned_seconds
            assert one.seconds <= one.untuned_seconds
            assert database.count(one.task.key, phase="trial") == one.trials
        assert result.seconds == pytest.approx(
            sum(w * (r.seconds or 0) for w, r in zip(result.weights, result.results, strict=True))
        )
        more = autotune.tune_many(TASKS, trials=37, database=database)
        assert (more.trials, more.new_trials) == (37, 6)
        assert len(more.turns) == 1, "the first turns of the earlier run count"


def test_more_tasks_than_trials(tmp_path: Path) -> None:
    result = autotune.tune_many([SOFTMAX, CONV, POINTWISE], trials=2, database=tmp_path / "tuning.db")
    assert [one.trials for one in result.results] == [0, 1, 1], "what has the most work comes first"
    assert result.results[0].source == "analytic" and result.results[0].confirmed
    assert result.results[0].seconds == result.results[0].untuned_seconds


def test_equal_tasks_are_one(tmp_path: Path) -> None:
    again = get_operator("softmax")(shape="4,50")
    result = autotune.tune_many([SOFTMAX, (again, 2.5)], trials=4, database=tmp_path / "tuning.db")
    assert list(result.weights) == [3.5] and result.trials == 4


def test_a_budget_holds_with_its_finals(tmp_path: Path) -> None:
    result = autotune.tune_many([CONV, POINTWISE], budget=8.0, database=tmp_path / "tuning.db")
    assert result.stopped == "the budget of 8 s is used up" and result.new_trials
    assert 8 * (1 - FINAL_SHARE) <= result.elapsed < 20, "on a busy machine a final may take long"


def test_ctrl_c_keeps_the_trials_and_races_what_was_reached(tmp_path: Path) -> None:
    class Interrupt(ManyListener):
        def on_trial(self, progress: ManyProgress) -> None:
            if progress.trials == 12:
                raise KeyboardInterrupt

    with Database.open(tmp_path / "tuning.db") as database:
        result = autotune.tune_many([CONV, POINTWISE], trials=400, database=database, listeners=[Interrupt()])
        assert result.interrupted and result.trials == 12
        assert database.count(result.results[0].task.key, phase="trial") == 12
        assert result.results[0].confirmed and not result.results[1].trials


@pytest.mark.parametrize(
    ("tasks", "options", "sentence"),
    [
        ([], {}, "there is no task to tune"),
        ([(CONV, 0)], {}, "the weight of .* is 0.0; it must be above zero"),
        ([(CONV, -1.5)], {}, "the weight of .* is -1.5"),
        ([CONV], {"scheduler": "fair"}, "unknown scheduler 'fair'; known: .*gradient"),
        ([CONV], {"strategy": "fair"}, "unknown strategy"),
        ([CONV], {"cost_model": "fair"}, "unknown cost model"),
        ([CONV], {"trials": 0}, "trials is 0"),
        ([CONV], {"budget": -1.0}, "budget is -1.0"),
        ([3], {}, "an operator is a Workload"),
    ],
)
def test_what_makes_no_sense(tmp_path: Path, tasks: list[object], options: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        autotune.tune_many(tasks, database=tmp_path / "no.db", **options)  # type: ignore[arg-type]


# -- the command line ---------------------------------------------------------------------------------------------


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["tune-many", str(written(tmp_path, FILE)), "--db", str(tmp_path / "tuning.db")]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--trials", "8"])
    output = capsys.readouterr()
    assert ended.value.code == 0, output.err
    assert "8 trials: 0 resumed, 8 new, 0 failed" in output.out and "weighted time of all tasks" in output.out
    assert "\x1b" not in output.err and "2 tasks\n" in output.err and "race head to head" in output.err
    assert len([line for line in output.err.splitlines() if "all tasks" in line or ": nothing yet" in line]) >= 2

    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--trials", "9", "--json", "--scheduler", "round-robin"])
    output = capsys.readouterr()
    found = json.loads(output.out)
    assert ended.value.code == 0 and output.out.count("\n") == 1
    assert (found["trials"], found["new_trials"], found["scheduler"]) == (9, 1, "round-robin")
    assert [one["weight"] for one in found["tasks"]] == [3, 2] and found["compared"] == 2
    assert found["best_seconds"] <= found["untuned_seconds"]


def test_ctrl_c_on_the_command_line_and_the_live_table(tmp_path: Path) -> None:
    """On a terminal, which a pseudo-terminal is: the table is drawn, and Ctrl-C ends it with the finals."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "autotune", "tune-many", str(written(tmp_path, FILE)), "--trials", "4000",
         "--db", str(tmp_path / "tuning.db"), "--json"],
        stdout=subprocess.PIPE, stderr=theirs, text=True,
        env={**os.environ, "COLUMNS": "120", "LINES": "40", "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    seen, sent = "", False
    try:
        while chunk := os.read(ours, 65536):
            seen += chunk.decode(errors="replace")
            if not sent and "next turn" in seen and "weighted time of all tasks" in seen:
                process.send_signal(signal.SIGINT)
                sent = True
    except OSError:  # Linux ends a pseudo-terminal so
        pass
    finally:
        os.close(ours)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in seen, seen[-2000:]
    found = json.loads(output)
    assert sent and found["trials"] >= 1 and "kept; the same command resumes" in seen and "softmax" in seen


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "tasks.yaml: the file is empty; it must have a list 'tasks'"),
        ("tasks: []", "tasks.yaml:1: 'tasks' must be a list of at least one task"),
        ("tasks:\n  conv2d", "tasks.yaml:2: 'tasks' must be a list of at least one task"),
        ("defaults: {weight: 2}", "tasks.yaml:1: there is no list 'tasks'"),
        ("- conv2d", "tasks.yaml:1: the file must be a mapping with the keys defaults, tasks"),
        ("tasks:\n- conv2d", "tasks.yaml:2: task 1 must be a mapping with the keys operator, parameters, weight"),
        ("tasks:\n- {weight: 1}", "tasks.yaml:2: task 1 names no operator"),
        ("tasks:\n- operator: conv\n", "tasks.yaml:2: unknown operator 'conv'"),
        ("tasks:\n- operator: [a]\n", "tasks.yaml:2: operator must be one value"),
        ("tasks:\n- operator: softmax\n  wieght: 1", "tasks.yaml:3: unknown key of task 1 'wieght'; known: operator"),
        ("task: 1", "tasks.yaml:1: unknown key of the file 'task'; known: defaults, tasks"),
        ("tasks:\n- operator: softmax\n  weight: 1\n  weight: 2", "tasks.yaml:4: task 1 has the key 'weight' twice"),
        ("tasks:\n- operator: softmax\n  weight: 0", "tasks.yaml:3: weight is 0; it must be above zero, and finite"),
        ("tasks:\n- operator: softmax\n  weight: .inf", "tasks.yaml:3: weight is '.inf'; it must be a number"),
        ("tasks:\n- operator: softmax\n  weight: nan", "tasks.yaml:3: weight is nan; it must be above zero"),
        ("tasks:\n- operator: softmax\n  parameters: 3", "tasks.yaml:3: 'parameters' of task 1 must be a mapping"),
        ("tasks:\n- operator: softmax\n  parameters: {shap: 3}", "tasks.yaml:3: unknown parameter of softmax 'shap'"),
        ("tasks:\n- operator: softmax\n  parameters: {shape: {a: 1}}", "tasks.yaml:3: shape of softmax must be"),
        ("tasks:\n- operator: softmax\n  parameters: {axis: first}", "tasks.yaml:3: axis of softmax is 'first'; it"),
        ("tasks:\n- operator: softmax\n  parameters: {axis: 7}", "tasks.yaml:2: "),
        ("tasks:\n- operator: softmax\n  threads: 9999", "tasks.yaml:2: threads is 9999"),
        ("tasks:\n- operator: softmax\n  threads: many", "tasks.yaml:3: threads is 'many'; it must be a whole number"),
        ("tasks:\n- operator: softmax\n  target: z80", "tasks.yaml:2: unknown target 'z80'"),
        ("tasks:\n- operator: softmax\n  target: *here", "tasks.yaml:3: this is not YAML: found undefined alias"),
        ("tasks: [\n", "tasks.yaml:2: this is not YAML"),
        ("\x00", "tasks.yaml: this is not YAML"),
        ("[" * 9999, "tasks.yaml: this is nested too deeply"),
    ],
)  # fmt: skip
def test_files_that_make_no_sense(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, sentence: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["tune-many", str(written(tmp_path, text)), "--db", str(tmp_path / "no.db")])
    error = capsys.readouterr().err
    assert ended.value.code == 2 and error.startswith(f"Error: {tmp_path}/{sentence}"), error
    assert error.count("\n") == 1 and not (tmp_path / "no.db").exists()


def test_what_a_task_says_itself_counts_more(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "defaults: {operator: softmax, threads: 2, weight: 4, parameters: {shape: [4, 50]}}\n"
        "tasks:\n- {}\n- {threads: 1, weight: 1.5}\n- {parameters: {axis: 0}}\n",
    )
    tasks = read_tasks(path)
    assert [(task.threads, weight) for task, weight in tasks] == [(2, 4), (1, 1.5), (2, 4)]
    assert tasks[0][0].workload.key == tasks[1][0].workload.key != tasks[2][0].workload.key
    assert [task.threads for task, _ in read_tasks(path, threads=1)] == [1, 1, 1]


def test_the_examples_are_lists_of_tasks(tmp_path: Path) -> None:
    tasks = read_tasks(ROOT / "examples" / "resnet50.yaml")
    assert len(tasks) == 23 and sum(weight for _, weight in tasks) == 53
    flops = sum(weight * task.workload.flops for task, weight in tasks)
    assert flops == pytest.approx(2 * 4.087e9, rel=0.01), (
        "the convolutions' share of the known 4.09 billion multiply-adds"
    )
    assert len(read_tasks(ROOT / "examples" / "small.yaml")) == 3


def test_names_tell_tasks_apart() -> None:
    tasks = [tuning_task(one) for one in (CONV, POINTWISE, SOFTMAX)]
    found = names(tasks)
    assert (
        found[2] == "softmax" and "in_channels" not in found[0] and "height=14" in found[0] and "height=7" in found[1]
    )


def test_ctrl_c_during_the_finals_ends_these_too(tmp_path: Path) -> None:
    class Interrupt(ManyListener):
        def __init__(self) -> None:
            self.finals = 0

        def on_final(self, progress: ManyProgress) -> None:
            self.finals += 1
            if self.finals == 2:
                raise KeyboardInterrupt

    result = autotune.tune_many(
        [CONV, POINTWISE, SOFTMAX], trials=12, database=tmp_path / "tuning.db", listeners=[Interrupt()]
    )
    assert result.interrupted and result.trials == 12 and result.compared == 1
    assert sum(one.confirmed for one in result.results) == 1
    assert all(one.seconds is not None for one in result.results), "the others' figures are their best trials'"


def test_measuring_processes_that_are_not_kept_start_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autotune.search.many.tuner.KEPT", 1)
    result = autotune.tune_many([CONV, SOFTMAX], trials=16, scheduler="round-robin", database=tmp_path / "tuning.db")
    assert [turn.task for turn in result.turns] == [0, 1, 0]
    assert [one.failed for one in result.results] == [0, 0] and result.compared == 2
