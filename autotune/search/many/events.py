"""What happens while many tasks are tuned, for whoever listens, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autotune.search.events import TuneResult
from autotune.search.task import TuningTask


@dataclass(frozen=True, slots=True)
class Turn:
    """Trials of one task in a row: its number, how many trials, seconds of wall clock, and how many of these passed
    before the first candidate could be built."""

    task: int
    trials: int
    seconds: float
    overhead: float


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """Where one task stands. ``trials`` count earlier runs' too; ``expected`` is the share of its time that the next
    turn is expected to save, None before the first. ``over`` says why it gets no more turns."""

    task: TuningTask
    weight: float
    trials: int
    turns: int
    best_seconds: float | None
    limit_fraction: float | None
    expected: float | None
    over: str


@dataclass(frozen=True, slots=True)
class ManyProgress:
    """Where all tasks stand. ``total`` trials are asked for, None where only the ``budget`` (in seconds) limits them;
    ``active`` is the number of the task that has the turn."""

    tasks: Sequence[TaskProgress]
    total: int | None
    elapsed: float
    budget: float | None
    active: int | None = None

    @property
    def trials(self) -> int:
        """Trials so far of all tasks."""
        return sum(one.trials for one in self.tasks)

    @property
    def seconds(self) -> float:
        """The weighted time of all tasks that have a best one."""
        return sum(one.weight * one.best_seconds for one in self.tasks if one.best_seconds)


@dataclass(frozen=True, slots=True)
class TuneManyResult:
    """What tuning many tasks found.

    ``results`` and ``weights`` stand in the order of the tasks, equal ones merged; ``turns`` is the allocation, in its
    order. ``seconds`` is the weighted time of the winners, and ``untuned_seconds`` that of what can be had without any
    trial, measured in the same finals: of the ``compared`` tasks for which both are known. ``stopped`` says why it
    ended before all trials were used up.
    """

    results: Sequence[TuneResult]
    weights: Sequence[float]
    turns: Sequence[Turn]
    scheduler: str
    elapsed: float
    stopped: str
    interrupted: bool

    @property
    def compared(self) -> int:
        """Tasks that count in ``seconds`` and ``untuned_seconds``."""
        return sum(_both(one) for one in self.results)

    @property
    def seconds(self) -> float:
        """Weighted seconds of the winners."""
        return sum(w * (r.seconds or 0.0) for w, r in zip(self.weights, self.results, strict=True) if _both(r))

    @property
    def untuned_seconds(self) -> float:
        """Weighted seconds of what needs no trial."""
        return sum(w * (r.untuned_seconds or 0.0) for w, r in zip(self.weights, self.results, strict=True) if _both(r))

    @property
    def trials(self) -> int:
        """Trials of all tasks, earlier runs' included."""
        return sum(result.trials for result in self.results)

    @property
    def new_trials(self) -> int:
        """Trials of this run."""
        return sum(result.new_trials for result in self.results)


def _both(result: TuneResult) -> bool:
    return result.seconds is not None and result.untuned_seconds is not None


class ManyListener:
    """Hears of many tasks being tuned; every method does nothing until overridden."""

    def on_start(self, progress: ManyProgress) -> None:
        """The first turn is about to begin."""

    def on_trial(self, progress: ManyProgress) -> None:
        """A trial finished and is in the database."""

    def on_turn(self, turn: Turn, progress: ManyProgress) -> None:
        """A turn ended."""

    def on_final(self, progress: ManyProgress) -> None:
        """The best of the active task are about to be measured against each other."""

    def on_finish(self, result: TuneManyResult) -> None:
        """All is over."""
