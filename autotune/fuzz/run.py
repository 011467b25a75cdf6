"""The fuzzing loop: pair after pair is drawn, checked and counted; what fails is shrunk to a program to paste."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from autotune.fuzz.check import Outcome
from autotune.fuzz.programs import draw_pair
from autotune.fuzz.shrink import Case, Check, outcome_of, shrink
from autotune.fuzz.snippet import reproducer
from autotune.fuzz.worker import Worker
from autotune.schedules.schedule import Schedule
from autotune.targets.facts import TARGETS
from autotune.tensor_expr import Workload

MAX_FINDINGS = 10  # then fuzzing ends: what is wrong is probably one thing


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong: the pair's number, the target, what was seen, and a program that shows it."""

    number: int
    target: str
    outcome: Outcome
    program: str

    def __str__(self) -> str:
        what = " ".join(f"{self.outcome.kind}: {self.outcome.message}".split())
        return f"pair {self.number} on {self.target}: {what}"


@dataclass(slots=True)
class Report:
    """What was fuzzed. A pair counts once; checks count per target, and as interpreted."""

    seed: int
    pairs: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    findings: list[Finding] = field(default_factory=list)
    operators: Counter[str] = field(default_factory=Counter)
    checks: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)  # steps by primitive
    refused: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """The counts, and each finding with its program."""
        counters = ("operators", "checks", "accepted", "refused", "outcomes")
        return {
            "seed": self.seed, "pairs": self.pairs, "seconds": round(self.seconds, 1), "interrupted": self.interrupted,
            **{name: dict(sorted(getattr(self, name).items())) for name in counters},
            "findings": [
                {"pair": found.number, "target": found.target, "kind": found.outcome.kind,
                 "message": found.outcome.message, "program": found.program}
                for found in self.findings
            ],
        }  # fmt: skip


Listener = Callable[[Report], None]


def fuzz(
    seed: int, seconds: float | None = None, count: int | None = None, targets: Sequence[str] = tuple(TARGETS),
    listener: Listener = lambda report: None, first: int = 0,
) -> Report:  # fmt: skip
    """Check pairs ``first``, ``first + 1``, ... of a seed until the time or the count is over.

    Ends early at ``MAX_FINDINGS`` failures, and at Ctrl-C, after which the report says so.
    """
    report, began = Report(seed), time.monotonic()
    with Worker() as worker:
        try:
            while not _over(report, seconds, count, began):
                report.findings += _check_pair(seed, first + report.pairs, targets, worker, report)
                report.pairs += 1
                report.seconds = time.monotonic() - began
                listener(report)
        except KeyboardInterrupt:
            report.interrupted = True
    report.seconds = time.monotonic() - began
    return report


def _over(report: Report, seconds: float | None, count: int | None, began: float) -> bool:
    late = seconds is not None and time.monotonic() - began >= seconds
    return late or report.pairs == count or len(report.findings) >= MAX_FINDINGS


def _check_pair(seed: int, number: int, targets: Sequence[str], worker: Worker, report: Report) -> list[Finding]:
    pair = draw_pair(seed, number)
    report.operators[pair.workload.operator] += 1
    report.accepted.update(pair.draft.accepted)
    report.refused.update(pair.draft.refused)
    steps = pair.draft.schedule.steps
    if pair.draft.trouble is not None:
        steps = (*steps, pair.draft.trouble[0])
    # Interpreted for one target, whose turn it is whatever this machine runs; compiled for all.
    checks = [("interpreted", targets[number % len(targets)]), *(("compiled", target) for target in targets)]
    for check, target in checks:
        case, run = Case(pair.workload, steps), _checking(worker, check, target)
        outcome = outcome_of(case, run)
        report.checks["interpreted" if check == "interpreted" else target] += 1
        report.outcomes[outcome.kind] += 1
        if not outcome.good:
            least = shrink(case, run)
            return [Finding(number, target, outcome, reproducer(least.workload, least.steps, target))]
    return []


def _checking(worker: Worker, check: str, target: str) -> Check:
    def run(workload: Workload, schedule: Schedule) -> Outcome:
        return worker.check(check, workload, schedule, target)

    return run
