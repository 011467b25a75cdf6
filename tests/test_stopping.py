"""How searches end: early, without a single trial, without a single success; told through the command line."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autotune.cli import main
from autotune.errors import AutotuneError, UsageError
from autotune.measure.builders import BuildOptions
from autotune.search.events import Progress
from autotune.search.options import TuneOptions
from autotune.search.space import Evaluated, Population, SearchSpace
from autotune.search.stopping import Budget, NearLimit, Plateau
from autotune.search.task import TuningTask
from autotune.targets.artifact import KernelObject
from autotune.targets.host import host_device, native_target
from autotune.targets.llvm.build import build_from_json
from autotune.tensor_expr.operators import get_operator

SMALL = ("relu", "--shape", "64,64", "--quiet")


def progress(new_trials: int, best: float | None, **changes: Any) -> Progress:
    task = TuningTask(get_operator("conv2d")(), native_target(), host_device())
    values = {"trials": new_trials, "total": 90, "failed": 0, "peak_flops": None, "elapsed": 1.0, "budget": None}
    return Progress(task=task, new_trials=new_trials, best_seconds=best, **{**values, **changes})


def test_a_plateau_is_counted_from_the_last_real_improvement() -> None:
    listener = Plateau(3)
    listener.on_start(progress(0, None))
    ended = []
    for trial, best in enumerate([9.0, 8.0, 7.99, 7.98, 7.0, 7.0, 7.0, 7.0], 1):
        now = progress(trial, best)
        listener.on_trial(None, now)  # type: ignore[arg-type]
        ended.append(listener.should_stop(now))
    assert ended[:-1] == [""] * 7 and ended[-1] == "3 trials in a row were no better by 1%"


def test_the_budget_and_the_limit() -> None:
    assert Budget(2.0).should_stop(progress(1, 1.0, elapsed=1.9)) == ""
    assert "2 s is used up" in Budget(2.0).should_stop(progress(1, 1.0, elapsed=2.0))
    near = NearLimit(0.9)
    assert near.should_stop(progress(1, None, limit_seconds=1.0)) == near.should_stop(progress(1, 1.0)) == ""
    assert near.should_stop(progress(1, 1.2, limit_seconds=1.0)) == ""
    reason = near.should_stop(progress(1, 1.1, limit="memory", limit_seconds=1.0))
    assert reason == "90.9% of the memory limit is reached, and 90% was asked for"


@pytest.mark.parametrize("options", [{"patience": 0}, {"stop_at": 0.0}, {"stop_at": 1.5}, {"stop_at": float("nan")}])
def test_what_makes_no_sense(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="must be"):
        TuneOptions(**options)  # type: ignore[arg-type]


def run(arguments: tuple[str, ...], path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any], str]:
    """The exit code, the JSON object and what went to stderr."""
    with pytest.raises(SystemExit) as exit_:
        main([*arguments, "--db", str(path / "tuning.db"), "--json"])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return int(exit_.value.code or 0), json.loads(captured.out), captured.err


def test_a_plateau_ends_a_search(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shape = ("--in-channels", "8", "--out-channels", "16", "--height", "14", "--width", "14")
    code, found, _ = run(("conv2d", *shape, "--trials", "1000", "--patience", "2", "--quiet"), tmp_path, capsys)
    assert code == 0 and 2 < found["trials"] < 1000 and found["stopped"] == "2 trials in a row were no better by 1%"


def test_a_space_without_a_legal_candidate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate = SearchSpace.evaluate

    def illegal(self: SearchSpace, population: Population) -> Evaluated:
        found = evaluate(self, population)
        return Evaluated(found.population, found.features, np.zeros(len(found), bool))

    monkeypatch.setattr(SearchSpace, "evaluate", illegal)
    for strategy in ("evolutionary", "random"):
        code, found, _ = run((*SMALL, "--strategy", strategy), tmp_path, capsys)
        assert (code, found["source"], found["trials"]) == (0, "default", 0)
        assert found["stopped"] == "no candidate is legal" and found["best_seconds"] and found["verified"]


def test_a_space_that_cannot_be_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise AutotuneError("rule tile broke")

    monkeypatch.setattr("autotune.search.space.sketches", fail)
    code, found, _ = run(SMALL, tmp_path, capsys)
    assert (code, found["source"], found["trials"]) == (0, "default", 0)
    assert found["stopped"] == "the space could not be made: rule tile broke"


def only_whole_schedules(request: dict[str, Any]) -> KernelObject:
    """Builds what needs no knobs, as finalists do, and refuses the trials."""
    if request["knobs"]:
        raise AutotuneError("out of registers")
    return build_from_json(request)


@pytest.mark.parametrize(
    ("function", "code", "error"),
    [
        ("test_stopping:only_whole_schedules", 0, ""),
        ("json:loads", 1, "Error: none of 6 trials worked: 6 x build-error"),
    ],
)
def test_when_every_trial_fails(
    function: str, code: int, error: str,
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    options = partial(TuneOptions, build=BuildOptions(function=function))
    monkeypatch.setattr("autotune.api.TuneOptions", options)
    ended, found, told = run(("conv2d", "--trials", "6", "--quiet"), tmp_path, capsys)
    assert ended == code and error in told and (found["trials"], found["failed"]) == (6, 6)
    assert found["source"] == "analytic" and (found["best_seconds"] is None) == bool(code)


def test_a_budget_too_short_for_one_trial(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found, told = run((*SMALL, "--budget", "0.001"), tmp_path, capsys)
    assert (code, found["source"], found["best_seconds"], found["trials"]) == (1, "analytic", None, 0)
    assert "the budget of 0.001 s is used up; what is left, not measured, is the analytic model's choice" in told
