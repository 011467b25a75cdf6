"""The search loop: propose, build, measure, record, learn.

Building overlaps measuring. Two batches are in flight at a time, and batch k is proposed from exactly the results of
batches up to k-2, in their order, however late others arrive: a search replays from its log.
"""

from __future__ import annotations

import math
import time
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autotune.cost_model.models import CostModel, make_cost_model
from autotune.measure.builders import BuildResult
from autotune.measure.process import wait_any
from autotune.measure.results import MeasureResult
from autotune.schedules.schedule import Schedule
from autotune.search.events import Listener, Progress, TuneResult
from autotune.search.final import Winner, best_trial, race_finalists
from autotune.search.history import load_history, run_record, trial_record
from autotune.search.options import TuneOptions
from autotune.search.space import Evaluated, SearchSpace
from autotune.search.strategies import make_strategy
from autotune.search.task import TuningTask
from autotune.search.workbench import Workbench, open_workbench
from autotune.tuning_logs import Database, Record


@dataclass(slots=True)
class _Batch:
    """Proposed candidates and what became of each, by row."""

    number: int
    candidates: Evaluated
    records: dict[int, Record] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return len(self.records) == len(self.candidates)


class _Stopwatch:
    """Seconds spent by the driver, by what it did."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.spent[name] = self.spent.get(name, 0.0) + now - self._last
        self._last = now


class Tuner:
    """Searches one task; every finished trial is in the database before anything else happens to it."""

    def __init__(
        self, task: TuningTask, database: Database, options: TuneOptions | None = None,
        listeners: Sequence[Listener] = (), space: SearchSpace | None = None, model: CostModel | None = None,
    ) -> None:  # fmt: skip
        self.task, self.database, self.options = task, database, options or TuneOptions()
        self.listeners = listeners
        self._watch = _Stopwatch()
        self._began = time.monotonic()
        self.space = space or SearchSpace(task.workload.output, task.target, task.threads)
        self.model = model or make_cost_model(self.options.cost_model, self.options.seed)
        self.strategy = make_strategy(self.options.strategy, self.space, self.model, self.options.seed)
        self.run_id = uuid.uuid4().hex
        self.records: list[Record] = []
        self.new_trials = 0
        self._built: deque[BuildResult] = deque()  # to be measured
        self._builds: dict[Any, BuildResult] = {}  # being measured
        self._next_batch = 0
        self._exhausted = False
        self._watch.lap("space")

    def run(self) -> TuneResult:
        """Search until the trials or the budget are used up, or Ctrl-C; then measure the best again, head to head."""
        self._resume()
        interrupted = False
        with open_workbench(self.task, self.options) as bench:
            self._watch.lap("prepare")
            self._tell("on_start", self.progress())
            try:
                self._search(bench)
            except KeyboardInterrupt:
                interrupted = True
            bench.builders.close()  # what is still being built or measured is given up
            if self._builds:
                bench.measurer.close()
            winner = None
            try:
                if self._best_seconds() is not None:
                    self._tell("on_final", self.progress())
                    winner = self._final(bench)
            except KeyboardInterrupt:
                interrupted = True
        winner = winner or best_trial(self.task, self.records)
        self._watch.lap("final")
        result = self._result(winner, interrupted)
        self._tell("on_finish", result)
        return result

    # -- the loop ----------------------------------------------------------------------------------------------

    def _search(self, bench: Workbench) -> None:
        in_flight: list[_Batch] = []
        while True:
            # Where builders share the measuring core, nothing is built while something is measured.
            while len(in_flight) < 2 and self._wanted(in_flight) > 0 and (bench.overlap or not self._builds):
                in_flight.append(self._propose(bench, self._wanted(in_flight)))
                self._watch.lap("propose")
                if not len(in_flight[-1].candidates):
                    in_flight.pop()
                    self._exhausted = True
            if not in_flight:
                return
            self._advance(bench, in_flight)
            while in_flight and in_flight[0].complete:
                self._observe(in_flight.pop(0))
                self._watch.lap("learn")
            progress = self.progress()
            if self._over_budget() or any(listener.should_stop(progress) for listener in self.listeners):
                return

    def _wanted(self, in_flight: list[_Batch]) -> int:
        if self._exhausted:
            return 0
        pending = sum(len(batch.candidates) for batch in in_flight)
        done = sum(len(batch.records) for batch in in_flight)
        # Another tuner may work on the same task in the same database: its trials count, too.
        known = max(len(self.records), self.database.count(self.task.key, phase="trial"))
        return min(self.options.batch, self.options.trials - known - (pending - done))

    def _over_budget(self) -> bool:
        return self.options.budget is not None and time.monotonic() - self._began >= self.options.budget

    def _propose(self, bench: Workbench, count: int) -> _Batch:
        batch = _Batch(self._next_batch, self.strategy.propose(count))
        self._next_batch += 1
        population = batch.candidates.population
        for row in range(len(population)):
            sketch = self.space.sketches[int(population.sketch[row])].schedule
            bench.builders.submit((batch.number, row), bench.request(sketch, self.space.knobs(population, row)))
        return batch

    def _advance(self, bench: Workbench, in_flight: list[_Batch]) -> None:
        """Wait for something to finish, and take it one step further."""
        left = None if self.options.budget is None else max(0.0, self.options.budget - (time.monotonic() - self._began))
        wait_any([bench.builders, bench.measurer], left)
        self._watch.lap("wait")
        batches = {batch.number: batch for batch in in_flight}
        for built in bench.builders.poll():
            if built.kernel is None:
                self._finish(batches, built, None)
            else:
                self._built.append(built)
        while self._built and (bench.overlap or not bench.builders.pending):
            built = self._built.popleft()
            assert built.kernel is not None
            self._builds[built.ident] = built
            bench.measurer.submit(built.ident, built.kernel, self._best_seconds() or math.inf)
        for ident, result in bench.measurer.poll():
            self._finish(batches, self._builds.pop(ident), result)
        self._watch.lap("record")

    def _finish(self, batches: dict[int, _Batch], built: BuildResult, result: MeasureResult | None) -> None:
        assert isinstance(built.ident, tuple)
        number, row = built.ident
        batch = batches[number]
        sketch = self.space.sketches[int(batch.candidates.population.sketch[row])].schedule.text
        knobs = self.space.knobs(batch.candidates.population, row)
        record = trial_record(self.run_id, number, row, sketch, knobs, self.options.seed, built, result)
        self.database.add(record, self.task.key)
        batch.records[row] = record
        self.records.append(record)
        self.new_trials += 1
        self._tell("on_trial", record, self.progress())

    def _observe(self, batch: _Batch) -> None:
        records = [batch.records[row] for row in range(len(batch.candidates))]
        self.strategy.observe(batch.candidates, _seconds(records))

    # -- before and after --------------------------------------------------------------------------------------

    def _resume(self) -> None:
        """Count, and learn from, the trials that earlier runs of this task left in the database."""
        self.database.start_run(run_record(self.run_id, self.options), self.task.key)
        history = load_history(self.database, self.task, self.space)
        self.records = history.records
        self._next_batch = history.next_batch
        if len(history.population):
            self.strategy.observe(self.space.evaluate(history.population), _seconds(history.known))
        self._watch.lap("resume")

    def _final(self, bench: Workbench) -> Winner | None:
        good = sorted((r for r in self.records if r.status == "ok"), key=lambda r: r.seconds or math.inf)
        return race_finalists(bench, self.database, good[: self.options.finalists], self.options, self.run_id)

    def _best_seconds(self) -> float | None:
        return min((r.seconds for r in self.records if r.status == "ok" and r.seconds), default=None)

    def progress(self) -> Progress:
        """Where the search stands."""
        probes = [r.probe for r in self.records[-20:] if r.probe]
        return Progress(
            self.task, len(self.records), self.options.trials, sum(r.status != "ok" for r in self.records),
            self.new_trials,
            self._best_seconds(), max(probes) * 1e9 if probes else None, time.monotonic() - self._began,
            self.options.budget,
        )  # fmt: skip

    def _result(self, winner: Winner | None, interrupted: bool) -> TuneResult:
        failures: dict[str, tuple[int, str]] = {}
        for record in self.records:
            if record.status != "ok":
                count, message = failures.get(record.status, (0, record.message))
                failures[record.status] = (count + 1, message)
        schedule: Schedule | None = winner.schedule if winner else None
        return TuneResult(
            self.task, schedule, winner.seconds if winner else None, winner.peak_fraction if winner else None,
            winner.verified if winner else False, winner.max_error if winner else None, len(self.records),
            self.new_trials, sum(r.status != "ok" for r in self.records), time.monotonic() - self._began, interrupted,
            failures, dict(self._watch.spent), winner is None or winner.confirmed,
        )  # fmt: skip

    def _tell(self, event: str, *arguments: Any) -> None:
        for listener in self.listeners:
            getattr(listener, event)(*arguments)


def _seconds(records: Sequence[Record]) -> np.ndarray:
    return np.array([r.seconds if r.status == "ok" and r.seconds else math.inf for r in records])
