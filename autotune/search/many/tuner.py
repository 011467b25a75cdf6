"""Many tasks under one budget: turn by turn the scheduler's choice, and a final of each at the end.

A task keeps its strategy and its model between its turns. Builders serve all tasks; the processes that measure the
latest few are kept, too.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from autotune.cost_model.models import make_cost_model
from autotune.errors import UsageError
from autotune.search.events import Listener, Progress, TuneResult
from autotune.search.many.events import ManyListener, ManyProgress, TaskProgress, TuneManyResult, Turn
from autotune.search.many.options import ManyOptions
from autotune.search.scheduling import Standing, get_scheduler, next_task
from autotune.search.scheduling.gradient import expected_shares
from autotune.search.scheduling.likeness import likenesses
from autotune.search.task import TuningTask
from autotune.search.tuner import Tuner
from autotune.search.workbench import Builders, Workbench, open_builders, share_workbench
from autotune.search.yardstick import Yardstick
from autotune.tuning_logs import Record, TuningDatabase

KEPT = 4  # measuring processes that wait for their task's next turn
FINAL_TRIALS = 25  # a final takes about as long as so many trials
FINAL_SHARE = 0.3  # of the budget, which finals get at most

Weighted = tuple[TuningTask, float]


@dataclass(slots=True, eq=False)
class _Entry:
    """A task, what is kept of it between its turns, and how its turns went."""

    task: TuningTask
    weight: float
    likeness: Mapping[int, float]
    tuner: Tuner | None = None
    bench: Workbench | None = None
    turns: int = 0
    spent: float = 0.0  # seconds in turns
    over: str = ""
    curve: tuple[tuple[int, float], ...] = ()

    @property
    def trial_seconds(self) -> float:
        """What a trial takes, as this run has seen it."""
        return self.spent / self.tuner.new_trials if self.tuner and self.tuner.new_trials else 0.0

    @property
    def weighted_seconds(self) -> float:
        """The best so far; zero where nothing has worked yet."""
        return self.weight * self.curve[-1][1] if self.curve and math.isfinite(self.curve[-1][1]) else 0.0


class ManyTuner:
    """Tunes tasks with weights. Equal tasks are merged and their weights added up.

    Raises ``UsageError`` where there is no task, or a weight is not a positive number.
    """

    def __init__(
        self, tasks: Sequence[Weighted], database: TuningDatabase, options: ManyOptions | None = None,
        listeners: Sequence[ManyListener] = (),
    ) -> None:  # fmt: skip
        self.database, self.options, self._listeners = database, options or ManyOptions(), listeners
        merged = merge(tasks)
        alike = likenesses([task for task, _ in merged])
        self._entries = [_Entry(task, weight, likeness) for (task, weight), likeness in zip(merged, alike, strict=True)]
        self.total = self.options.total(len(merged))
        # So that each task has two batches or more before all trials are used up.
        batch = max(1, min(self.options.search.batch, self.total // (2 * len(merged))))
        self._search = replace(self.options.search, trials=self.total, budget=None, batch=batch)
        self._began = time.monotonic()
        self._active: int | None = None
        self._turns: list[Turn] = []
        self._stack = ExitStack()
        self._waiting: deque[_Entry] = deque()  # whose measuring processes are kept

    def run(self) -> TuneManyResult:
        """Turns until the trials or the budget are used up, nothing is left to search, or Ctrl-C; then the finals.

        Ctrl-C during the finals ends these, too.
        """
        stopped, interrupted = "", False
        threads = {entry.task.threads for entry in self._entries}
        with self._stack, open_builders(threads, self._search) as builders:
            try:
                self._resume()
                self._tell("on_start", self.progress())
                stopped = self._share(builders)
            except KeyboardInterrupt:
                interrupted = True
            results, skipped = self._finals(builders, interrupted)
        result = TuneManyResult(
            results, [entry.weight for entry in self._entries], tuple(self._turns), self.options.scheduler,
            self._elapsed, stopped, interrupted or skipped,
        )  # fmt: skip
        self._tell("on_finish", result)
        return result

    # -- turns ---------------------------------------------------------------------------------------------------

    def _resume(self) -> None:
        """Take up the tasks that have trials of earlier runs: what these brought counts for the first turns."""
        for entry in self._entries:
            if self.database.count(entry.task.key, phase="trial"):
                self._started(entry)

    def _share(self, builders: Builders) -> str:
        """One turn after another; returns why there are no more of them, empty where all trials are used up."""
        chosen = get_scheduler(self.options.scheduler)
        while (left := self.total - self.progress().trials) > 0:
            until = self._until()
            if until is not None and time.monotonic() >= until:
                return f"the budget of {self.options.budget:g} s is used up"
            number = next_task(chosen, self.standings())
            if number is None:
                return "; ".join(dict.fromkeys(entry.over for entry in self._entries))
            self._active = number
            self._turn(number, builders, min(left, self._size(self._entries[number])), until)
        return ""

    def _turn(self, number: int, builders: Builders, trials: int, until: float | None) -> None:
        entry, began = self._entries[number], time.monotonic()
        tuner, bench = self._started(entry), self._bench(entry, builders)
        before, ready = tuner.new_trials, time.monotonic()
        tuner.deadline = until
        try:
            entry.over = tuner.explore(bench, trials)
        finally:
            seconds, done = time.monotonic() - began, tuner.new_trials - before
            entry.turns, entry.spent = entry.turns + 1, entry.spent + seconds
            entry.curve = curve(tuner.tally.records, self._search.batch * self.options.turn)
            self._turns.append(Turn(number, done, seconds, ready - began))
            self._tell("on_turn", self._turns[-1], self.progress())
        if until is not None and time.monotonic() >= until:
            entry.over = ""
        elif not done:
            entry.over = entry.over or "other searches measure it"

    def _size(self, entry: _Entry) -> int:
        """Trials of a turn: the first one is short, in case that the budget does not last for all."""
        return self._search.batch * (self.options.turn if entry.turns else 1)

    def _until(self) -> float | None:
        """When the turns must end, so that time is left for the finals."""
        if self.options.budget is None:
            return None
        finals = sum(FINAL_TRIALS * entry.trial_seconds for entry in self._entries)
        return self._began + self.options.budget - min(finals, FINAL_SHARE * self.options.budget)

    def standings(self) -> list[Standing]:
        """What the scheduler sees."""
        return [self._standing(entry) for entry in self._entries]

    def _standing(self, entry: _Entry) -> Standing:
        workload, turn = entry.task.workload, self._size(entry)
        by_time = self.options.budget is not None and self.options.trials is None
        limit = entry.tuner.progress().limit_fraction if entry.tuner else None
        return Standing(
            entry.weight, workload.flops + workload.bytes, entry.curve,
            limit * entry.curve[-1][1] if limit and entry.curve else 0.0, turn,
            (entry.trial_seconds * turn if by_time else 0.0) or float(turn), entry.likeness, entry.over,
        )  # fmt: skip

    def _started(self, entry: _Entry) -> Tuner:
        """The task's tuner, which knows what earlier runs found."""
        if entry.tuner is None:
            model = make_cost_model(self._search.cost_model, self._search.seed)
            tuner = Tuner(entry.task, self.database, self._search, [_Relay(self)], model=model)
            tuner.start()
            entry.tuner, entry.curve = tuner, curve(tuner.tally.records, self._search.batch * self.options.turn)
        return entry.tuner

    def _bench(self, entry: _Entry, builders: Builders) -> Workbench:
        """Where the task is measured. The process of one that had no turn for long ends, until its next turn."""
        if entry.bench is None:
            entry.bench = self._stack.enter_context(share_workbench(entry.task, self._search, builders))
        elif entry in self._waiting:
            self._waiting.remove(entry)
        else:
            entry.bench.measurer.start()
        self._waiting.append(entry)
        if len(self._waiting) > KEPT:
            oldest = self._waiting.popleft()
            assert oldest.bench is not None
            oldest.bench.measurer.close()
        return entry.bench

    # -- finals --------------------------------------------------------------------------------------------------

    def _finals(self, builders: Builders, interrupted: bool) -> tuple[list[TuneResult], bool]:
        """The tasks' results, what matters most raced first while there is time; and whether Ctrl-C ended the races."""
        found: dict[_Entry, TuneResult] = {}
        skipped = False
        for entry in sorted(self._entries, key=lambda entry: -entry.weighted_seconds):
            self._active = self._entries.index(entry)
            tuner = self._started(entry)
            tuner.deadline = None if self.options.budget is None else self._began + self.options.budget
            try:
                raced = not skipped and self._time_for_final(entry, interrupted)
                bench = self._bench(entry, builders) if raced else None
                if raced:
                    self._tell("on_final", self.progress())
                found[entry] = tuner.finish(bench, entry.over)
            except KeyboardInterrupt:
                found[entry] = tuner.finish(None, entry.over, interrupted=True)
            skipped = skipped or found[entry].interrupted
        return [replace(found[entry], interrupted=interrupted or skipped) for entry in self._entries], skipped

    def _time_for_final(self, entry: _Entry, interrupted: bool) -> bool:
        if interrupted and not entry.curve:
            return False
        return self.options.budget is None or self._elapsed < self.options.budget

    # -- what listeners see --------------------------------------------------------------------------------------

    @property
    def _elapsed(self) -> float:
        return time.monotonic() - self._began

    def progress(self) -> ManyProgress:
        """Where all tasks stand."""
        shares = expected_shares(self.standings())
        tasks = [self._task_progress(entry, share) for entry, share in zip(self._entries, shares, strict=True)]
        limited = self.options.trials is not None or self.options.budget is None
        return ManyProgress(tasks, self.total if limited else None, self._elapsed, self.options.budget, self._active)

    def _task_progress(self, entry: _Entry, expected: float | None) -> TaskProgress:
        one = entry.tuner.progress() if entry.tuner else None
        return TaskProgress(
            entry.task, entry.weight, one.trials if one else 0, entry.turns, one.best_seconds if one else None,
            one.limit_fraction if one else None, expected, entry.over,
        )  # fmt: skip

    def _tell(self, event: str, *arguments: Any) -> None:
        for listener in self._listeners:
            getattr(listener, event)(*arguments)


class _Relay(Listener):
    """Tells the many tuner's listeners of one task's trials, and ends its turn when the time for turns is over."""

    def __init__(self, many: ManyTuner) -> None:
        self._many = many

    def on_trial(self, record: Record, progress: Progress) -> None:
        self._many._tell("on_trial", self._many.progress())

    def should_stop(self, progress: Progress) -> bool | str:
        until = self._many._until()
        return "the budget is used up" if until is not None and time.monotonic() >= until else False


def merge(tasks: Sequence[Weighted]) -> list[Weighted]:
    """Equal tasks once, with the sum of their weights, in the order in which they first came."""
    if not tasks:
        raise UsageError("there is no task to tune")
    found: dict[tuple[object, ...], Weighted] = {}
    for task, weight in tasks:
        if not 0 < weight < float("inf"):
            raise UsageError(f"the weight of {task.workload.text} is {weight!r}; it must be above zero, and finite")
        key = (task.workload.key, task.target.key, task.threads, task.cache, task.space)
        _, before = found.get(key, (task, 0.0))
        found[key] = (task, before + weight)
    return list(found.values())


def curve(records: Sequence[Record], step: int) -> tuple[tuple[int, float], ...]:
    """The best time after every ``step`` trials and after the last: what a scheduler sees of a task."""
    best = np.minimum.accumulate(Yardstick().all_seconds(records))
    ends = sorted({*range(step, len(best), step), len(best)} - {0})
    return tuple((end, float(best[end - 1])) for end in ends)
