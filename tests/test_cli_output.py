"""What the command line prints of a search: progress, summaries, and the reasons of failures."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from autotune.cli import main
from autotune.cli.operators import command_line
from autotune.cli.options import Duration
from autotune.cli.progress import ProgressBar, seconds_left
from autotune.cli.report import duration, one_object, tune_summary
from autotune.schedules.schedule import create_schedule
from autotune.search.events import Progress, TuneResult
from autotune.search.task import TuningTask
from autotune.targets.host import host_device, native_target
from autotune.tensor_expr.operators import get_operator

WORKLOAD = get_operator("conv2d")()


def result(**changes: object) -> TuneResult:
    values = {
        "task": TuningTask(WORKLOAD, native_target(), host_device()), "schedule": create_schedule(WORKLOAD.output),
        "seconds": None, "peak_fraction": None, "verified": False, "max_error": None, "trials": 0, "new_trials": 0,
        "failed": 0, "elapsed": 0.5, "interrupted": False,
    }  # fmt: skip
    return TuneResult(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_when_nothing_works_the_reasons_are_counted(
    flags: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = {"timeout": (1, "it was stopped after 10 seconds"), "build-error": (4, "LLVM said no")}
    outcome = result(source="default", trials=5, new_trials=5, failed=5, failures=failures)
    monkeypatch.setattr("autotune.cli.tune.tune", lambda *_, **__: outcome)
    with pytest.raises(SystemExit) as exit_:
        main(["conv2d", "--db", str(tmp_path / "none.db"), *flags])
    captured = capsys.readouterr()
    why = "4 x build-error (LLVM said no); 1 x timeout (it was stopped after 10 seconds)"
    assert exit_.value.code == 1 and captured.err.startswith(f"Error: none of 5 trials worked: {why}; what is left, ")
    if flags:
        assert json.loads(captured.out)["best_seconds"] is None


def test_a_budget_too_short_for_a_trial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("autotune.cli.tune.tune", lambda *_, **__: result(source="analytic", stopped="over"))
    with pytest.raises(SystemExit, match="1"):
        main(["conv2d", "--db", str(tmp_path / "none.db")])
    message = "no trial finished within 0.5 s: over; what is left, not measured, is the analytic model's choice"
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("trials", "new", "stopped", "remark"),
    [
        (40, 0, "", "Nothing was left to do (all 40 trials are in the database): the winner was measured again."),
        (16, 0, "the space has no more", "No trial took place: the space has no more."),
        (16, 16, "the space has no more", "Stopped early: the space has no more."),
        (40, 16, "", None),
        (40, 40, "the budget is used up", None),
    ],
)
def test_the_summary_says_why_a_run_measured_less(trials: int, new: int, stopped: str, remark: str | None) -> None:
    outcome = result(
        seconds=1e-4, peak_fraction=0.5, verified=True, max_error=1e-7, trials=trials, new_trials=new, stopped=stopped
    )
    last = tune_summary(outcome, "tuning.db", 40).splitlines()[-1]
    assert last == remark if remark else last == "  database  tuning.db"


def progress(**changes: object) -> Progress:
    values = {
        "task": TuningTask(WORKLOAD, native_target(), host_device(), 2), "trials": 30, "total": 90, "failed": 3,
        "new_trials": 20, "best_seconds": 1e-4, "peak_flops": 1e11, "elapsed": 10.0, "budget": None,
        "limit_seconds": 8e-5,
    }  # fmt: skip
    return Progress(**{**values, **changes})  # type: ignore[arg-type]


def test_time_left_is_that_of_the_trials_or_of_the_budget() -> None:
    assert seconds_left(progress()) == 30.0
    assert seconds_left(progress(budget=15.0)) == 5.0
    assert seconds_left(progress(new_trials=0)) is None
    assert seconds_left(progress(new_trials=0, budget=15.0)) == 5.0


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_shows_how_the_search_goes(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autotune.cli.progress.EVERY_SECONDS", 0.0)
    output = io.StringIO()
    with ProgressBar(Console(file=output, force_terminal=terminal, width=140)) as bar:
        bar.on_start(progress(trials=10, new_trials=0))
        bar.on_trial(None, progress())  # type: ignore[arg-type]
        if bar._bar is not None:
            bar._bar.refresh()
        bar.on_final(progress())
    speed = f"100.0 us, {WORKLOAD.flops / 1e5:.1f} GFLOP/s, 80.0% of peak"
    for part in ("30/90", speed, "2.0/s, 3 failed", "left"):
        assert part in output.getvalue()
    assert ("\x1b" in output.getvalue()) is terminal


def test_figures_that_are_not_finite_are_null() -> None:
    data = {"a": math.inf, "b": [1.5, -math.inf], "c": {"d": math.nan}, "e": "inf", "f": True}
    assert json.loads(one_object(data)) == {"a": None, "b": [1.5, None], "c": {"d": None}, "e": "inf", "f": True}


def test_durations() -> None:
    parse = Duration().convert
    spans = {"60s": 60, "2m": 120, "1h": 3600, "90": 90, "1.5m": 90, ".5": 0.5, " 3 s ": 3}
    assert {text: parse(text, None, None) for text in spans} == spans
    assert [duration(seconds) for seconds in (2e-9, 1.5e-6, 2.5e-3, 3.0)] == ["2.0 ns", "1.5 us", "2.500 ms", "3.00 s"]


def test_the_command_line_of_parameters() -> None:
    params = {"m": 7, "n": 1024, "constant_b": True, "transpose_a": False}
    assert command_line("matmul", params) == "autotune matmul --m 7 --constant-b"
