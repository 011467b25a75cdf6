"""Schedulers on recorded searches: what each would have reached with so many trials."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from autotune.api import tuning_task
from autotune.search.scheduling import Standing, get_scheduler, next_task
from autotune.search.scheduling.likeness import likenesses

PATH = Path(__file__).parent / "data" / "curves.json"
TURN = 16


@dataclass(frozen=True)
class Outcome:
    """The weighted time after each turn, and the trials that each task got."""

    seconds: list[float]
    trials: list[int]


def recorded() -> list[dict[str, Any]]:
    """Tasks with the times of their trials, in the order in which one search of each measured them."""
    found: list[dict[str, Any]] = json.loads(PATH.read_text())
    return found


def share(name: str, tasks: list[dict[str, Any]], total: int, batch: int = TURN) -> Outcome:
    """``total`` trials shared by the scheduler of that name; a recorded search that is used up is over."""
    alike = likenesses([tuning_task(one["operator"], **one["params"]) for one in tasks])
    best = [list(accumulate((s or math.inf for s in one["seconds"]), min)) for one in tasks]
    curves: list[tuple[tuple[int, float], ...]] = [() for _ in tasks]
    outcome = Outcome([], [0] * len(tasks))
    while sum(outcome.trials) < total:
        standings = [
            Standing(
                one["weight"], one["work"], curves[number], one["limit"], batch, likeness=alike[number],
                over="used up" if outcome.trials[number] >= len(best[number]) else "",
            )
            for number, one in enumerate(tasks)
        ]  # fmt: skip
        number = next_task(get_scheduler(name), standings)
        if number is None:
            break
        outcome.trials[number] = min(len(best[number]), outcome.trials[number] + batch)
        curves[number] += ((outcome.trials[number], best[number][outcome.trials[number] - 1]),)
        if all(outcome.trials):
            outcome.seconds.append(sum(one["weight"] * c[-1][1] for one, c in zip(tasks, curves, strict=True)))
    return outcome
