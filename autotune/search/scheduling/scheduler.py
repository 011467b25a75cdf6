"""Which task of many gets the next turn: what a scheduler is, what it sees, and the registry of those that exist."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from autotune.errors import unknown


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a task stands. What is saved in one run of its kernel counts ``weight`` times.

    ``curve`` has a point for each turn: trials so far, earlier runs' included, and the best time in seconds (infinite
    while nothing has worked). ``limit_seconds`` is what the roofline allows at least, zero while that is not known.
    ``work`` is operations and bytes: what there is to go by before the first turn. ``price`` is what the next turn will
    cost, in trials, or in seconds where the budget is wall clock. ``likeness`` tells for other tasks, by number, how
    much they resemble this one, from 0 to 1. ``over`` says why the task gets no more turns; empty while it may.
    """

    weight: float
    work: float = 1.0
    curve: tuple[tuple[int, float], ...] = ()
    limit_seconds: float = 0.0
    turn: int = 1  # trials of the next turn
    price: float = 1.0
    likeness: Mapping[int, float] = field(default_factory=dict)
    over: str = ""

    @property
    def trials(self) -> int:
        """Trials so far."""
        return self.curve[-1][0] if self.curve else 0

    @property
    def best_seconds(self) -> float:
        """The best time so far, infinite before the first trial that worked."""
        return self.curve[-1][1] if self.curve else math.inf


Scheduler: TypeAlias = "Callable[[Sequence[Standing], Sequence[int]], int]"
_SCHEDULERS: dict[str, Scheduler] = {}


def scheduler(name: str) -> Callable[[Scheduler], Scheduler]:
    """Register a function ``(standings, numbers) -> number`` under a name.

    It gets all tasks' standings and the numbers of those that may have a turn, all of which have had one before, and
    returns one of these numbers. It keeps nothing in mind, so the same results give the same allocation.
    """

    def decorate(function: Scheduler) -> Scheduler:
        _SCHEDULERS[name] = function
        return function

    return decorate


def schedulers() -> Mapping[str, Scheduler]:
    """All schedulers by name."""
    return dict(sorted(_SCHEDULERS.items()))


def get_scheduler(name: str) -> Scheduler:
    """The scheduler, or ``UsageError`` naming those that exist."""
    if name not in _SCHEDULERS:
        raise unknown("scheduler", name, _SCHEDULERS)
    return _SCHEDULERS[name]


def next_task(chosen: Scheduler, standings: Sequence[Standing]) -> int | None:
    """The number of the task that gets the next turn; None where all are over.

    Whatever the scheduler, each task gets a first turn, those with the most weighted work first, in case that the
    budget does not last for all.
    """
    able = [number for number, one in enumerate(standings) if not one.over]
    new = [number for number in able if not standings[number].curve]
    if new:
        return max(new, key=lambda number: standings[number].weight * standings[number].work)
    return chosen(standings, able) if able else None
