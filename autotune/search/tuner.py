"""The search loop: propose, build, measure, record, learn.

What is proposed and learnt is ``exploration``'s, building beside measuring is ``pipeline``'s, when to stop and what to
show are listeners'.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Sequence
from typing import Any

from autotune.cost_model.models import CostModel, make_cost_model
from autotune.measure.builders import BuildResult
from autotune.measure.results import MeasureResult
from autotune.schedules.schedule import Schedule
from autotune.search.events import Listener, Progress, TuneResult
from autotune.search.exploration import Batch, Exploration
from autotune.search.final import Winner, best_trial, race_finalists
from autotune.search.history import load_history, run_record, trial_record
from autotune.search.options import TuneOptions
from autotune.search.pipeline import Pipeline
from autotune.search.space import SearchSpace
from autotune.search.stopping import stoppers
from autotune.search.strategies import make_strategy
from autotune.search.task import TuningTask
from autotune.search.workbench import Workbench, open_workbench
from autotune.tuning_logs import Record, TuningDatabase


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
        self, task: TuningTask, database: TuningDatabase, options: TuneOptions | None = None,
        listeners: Sequence[Listener] = (), space: SearchSpace | None = None, model: CostModel | None = None,
    ) -> None:  # fmt: skip
        self.task, self.database, self.options = task, database, options or TuneOptions()
        self._all_listeners = (*listeners, *stoppers(self.options))
        self._watch = _Stopwatch()
        self._began = time.monotonic()
        self.space = space or SearchSpace(task.workload.output, task.target, task.threads)
        self.model = model or make_cost_model(self.options.cost_model, self.options.seed)
        self.strategy = make_strategy(self.options.strategy, self.space, self.model, self.options.seed)
        self.run_id = uuid.uuid4().hex
        self.records: list[Record] = []
        self.new_trials = 0
        self._watch.lap("space")

    def run(self) -> TuneResult:
        """Search until the trials are used up, a listener has had enough, or Ctrl-C; then measure the best again, head
        to head."""
        exploration = self._resume()
        stopped, interrupted = "", False
        with open_workbench(self.task, self.options) as bench:
            self._watch.lap("prepare")
            self._tell("on_start", self.progress())
            pipeline = Pipeline(bench)
            try:
                stopped = self._search(exploration, pipeline)
            except KeyboardInterrupt:
                interrupted = True
            pipeline.abandon()
            winner = None
            try:
                if self._best_seconds() is not None:
                    self._tell("on_final", self.progress())
                    winner = self._final(bench)
            except KeyboardInterrupt:
                interrupted = True
        winner = winner or best_trial(self.task, self.records)
        self._watch.lap("final")
        result = self._result(winner, stopped, interrupted)
        self._tell("on_finish", result)
        return result

    def _search(self, exploration: Exploration, pipeline: Pipeline) -> str:
        """The loop; returns why it ended."""
        while True:
            for batch in exploration.propose(self._others()):
                self._submit(batch, pipeline)
            self._watch.lap("propose")
            if not exploration.in_flight:
                return "the space has no more candidates" if exploration.exhausted else ""
            oldest = exploration.in_flight[0]
            while not oldest.complete or pipeline.holds_back:
                self._measure(exploration, pipeline)
                if reason := self._enough():
                    return reason
            exploration.learn()
            self._watch.lap("learn")

    def _submit(self, batch: Batch, pipeline: Pipeline) -> None:
        population = batch.candidates.population
        for row in range(len(population)):
            sketch = self.space.sketches[int(population.sketch[row])].schedule
            pipeline.submit((batch.number, row), sketch, self.space.knobs(population, row))

    def _measure(self, exploration: Exploration, pipeline: Pipeline) -> None:
        """Wait for something to finish, and keep what did."""
        budget = self.options.budget
        pipeline.wait(None if budget is None else max(0.0, budget - (time.monotonic() - self._began)))
        self._watch.lap("wait")
        batches = {batch.number: batch for batch in exploration.in_flight}
        for built, result in pipeline.advance(self._best_seconds() or math.inf):
            self._finish(batches, built, result)
        self._watch.lap("record")

    def _enough(self) -> str:
        """Why a listener wants the search to end; empty where none does."""
        progress = self.progress()
        for listener in self._all_listeners:
            if reason := listener.should_stop(progress):
                return reason if isinstance(reason, str) else f"{type(listener).__name__} asked for it"
        return ""

    def _others(self) -> int:
        """Trials that other tuners of this task have added to the database meanwhile."""
        return max(0, self.database.count(self.task.key, phase="trial") - len(self.records))

    def _finish(self, batches: dict[int, Batch], built: BuildResult, result: MeasureResult | None) -> None:
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

    # -- before and after --------------------------------------------------------------------------------------

    def _resume(self) -> Exploration:
        """Count, and learn from, the trials that earlier runs of this task left in the database."""
        history = load_history(self.database, self.task.key, self.space)
        self.database.start_run(run_record(self.run_id, self.options, history), self.task.key)
        self.records = list(history.records)
        exploration = Exploration(self.space, self.strategy, self.options, history)
        self._watch.lap("resume")
        return exploration

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

    def _result(self, winner: Winner | None, stopped: str, interrupted: bool) -> TuneResult:
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
            stopped=stopped,
        )  # fmt: skip

    def _tell(self, event: str, *arguments: Any) -> None:
        for listener in self._all_listeners:
            getattr(listener, event)(*arguments)
