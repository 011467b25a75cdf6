"""What a workload's page shows: for each task every trial in order, and how the best of them improved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autotune.errors import AutotuneError
from autotune.tensor_expr.operators import get_operator
from autotune.tuning_logs import Database, Record, Task, Workload

_RECORDS = """
    SELECT id, trial, phase, status, seconds, ci_low, ci_high, verified, run_id, evidence, build_seconds,
        measure_seconds, created
    FROM records WHERE task_id = ? ORDER BY id
"""

# Finalists are not counted: each was a trial before.
_LATEST = """
    WITH latest AS (SELECT task_id, max(id) AS last FROM records GROUP BY task_id ORDER BY last DESC LIMIT ?)
    SELECT tasks.id, workload_id, operator,
        (SELECT created FROM records WHERE id = last) AS created,
        (SELECT count(*) FROM records WHERE task_id = tasks.id AND phase = 'trial') AS trials,
        (SELECT count(*) FROM records WHERE task_id = tasks.id AND phase = 'trial' AND status != 'ok') AS failed
    FROM latest JOIN tasks ON tasks.id = task_id JOIN workloads ON workloads.id = workload_id
    ORDER BY last DESC
"""


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial's place in its curve, counted from 1, and its row in ``records``."""

    number: int
    row: Mapping[str, Any]

    @property
    def seconds(self) -> float | None:
        """What it took, or None where it failed."""
        return self.row["seconds"] if self.row["status"] == "ok" else None


@dataclass(frozen=True, slots=True)
class Curve:
    """A task's trials of one kind of evidence, in the order in which they were stored.

    ``improvements`` are those that were faster than all before them; ``best`` is what ``Database.best_of`` answers.
    """

    task: Task
    task_id: int
    evidence: str
    trials: Sequence[Trial]
    improvements: Sequence[Trial]
    finals: int
    best: Record | None

    @property
    def failures(self) -> list[tuple[str, int]]:
        """How many trials failed, by kind, the most common one first."""
        return Counter(trial.row["status"] for trial in self.trials if trial.seconds is None).most_common()

    @property
    def seconds_spent(self) -> float:
        """The time that building and measuring the trials took, in seconds."""
        return float(sum(trial.row["build_seconds"] + trial.row["measure_seconds"] for trial in self.trials))

    @property
    def gflops(self) -> float | None:
        """What the best reaches, in GFLOP/s; None where nothing says how many operations the workload has."""
        flops = _flops(self.task.workload)
        return None if flops is None or self.best is None or not self.best.seconds else flops / self.best.seconds / 1e9

    @property
    def peak_fraction(self) -> float | None:
        """The same as a share of what the probe beside it reached, on as many threads."""
        reached, probe = self.gflops, self.best.probe if self.best else None
        return None if reached is None or not probe else reached / (probe * self.task.threads)


def curves(database: Database, workload_id: int) -> list[Curve]:
    """A workload's curves, one for each task and kind of evidence; none where there is no such workload."""
    found = []
    for row in database.query("SELECT id FROM tasks WHERE workload_id = ? ORDER BY id", [workload_id]):
        task = database.task(row["id"])
        records = database.query(_RECORDS, [row["id"]])
        best = database.best_of(task)
        for evidence in dict.fromkeys(record["evidence"] for record in records):
            of_it = [record for record in records if record["evidence"] == evidence]
            phase = [record for record in of_it if record["phase"] == "trial"]
            trials = [Trial(number, record) for number, record in enumerate(phase, 1)]
            winner = best if best is not None and best.evidence == evidence else None
            found.append(
                Curve(task, row["id"], evidence, trials, _improvements(trials), len(of_it) - len(trials), winner)
            )
    return found


def latest_tasks(database: Database, count: int) -> list[dict[str, Any]]:
    """Up to ``count`` tasks as rows for the front page, those first that records were stored of last."""
    found = []
    for row in database.query(_LATEST, [count]):
        task = database.task(row["id"])
        found.append({**row, "task": task, "best": database.best_of(task)})
    return found


def _flops(workload: Workload) -> int | None:
    """The operations of a workload of the library."""
    try:
        found = get_operator(workload.operator)(**workload.params)
    except (AutotuneError, TypeError, ValueError):
        return None
    return found.flops if found.text == workload.text else None


def _improvements(trials: Sequence[Trial]) -> list[Trial]:
    found, best = list[Trial](), float("inf")
    for trial in trials:
        if trial.seconds is not None and trial.seconds < best:
            found.append(trial)
            best = trial.seconds
    return found
