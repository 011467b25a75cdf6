"""The search loop: propose, build, measure, record, learn.

What is proposed and learnt is ``exploration``'s, building beside measuring is ``pipeline``'s, when to stop and what to
show are listeners'.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from autotune.cost_model.guard import GuardedModel, ModelError
from autotune.cost_model.models import CostModel, make_cost_model
from autotune.cost_model.roofline import roof
from autotune.cost_model.rounds import Round
from autotune.cost_model.transfer import warm_start
from autotune.errors import AutotuneError
from autotune.measure.builders import BuildResult
from autotune.measure.results import MeasureResult
from autotune.search.events import Listener, Progress, TuneResult
from autotune.search.exploration import IN_FLIGHT, Batch, Exploration
from autotune.search.final import Contestant, Winner, best_trial, finalists, race, refused_best, unsearched
from autotune.search.history import load_history, run_record, trial_record
from autotune.search.options import TuneOptions
from autotune.search.pipeline import Pipeline
from autotune.search.space import SearchSpace
from autotune.search.stopping import stoppers
from autotune.search.strategies.guard import GuardedStrategy
from autotune.search.tally import Tally
from autotune.search.task import TuningTask
from autotune.search.workbench import Workbench, open_workbench
from autotune.search.yardstick import ratio
from autotune.tensor_expr.algorithms import algorithm_of, executed_flops
from autotune.tuning_logs import Record, TuningDatabase


class _Stopwatch:
    """Seconds spent by the driver, by what it did."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._last = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds in all, without what passed between a lap and the next ``go_on``."""
        return sum(self.spent.values()) + time.perf_counter() - self._last

    def go_on(self) -> None:
        """What passed since the last lap was spent elsewhere."""
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.spent[name] = self.spent.get(name, 0.0) + now - self._last
        self._last = now


class Tuner:
    """Searches one task; every finished trial is in the database before anything else happens to it.

    ``run`` does all of it. Who shares a budget among tasks calls ``start`` once, ``explore`` for each turn, with
    ``deadline`` set to the moment (of ``time.monotonic``) when it must end, and ``finish``.
    """

    def __init__(
        self, task: TuningTask, database: TuningDatabase, options: TuneOptions | None = None,
        listeners: Sequence[Listener] = (), space: SearchSpace | None = None, model: CostModel | None = None,
        problem: str = "",
    ) -> None:  # fmt: skip
        self.task, self.database, self.options = task, database, options or TuneOptions()
        self._all_listeners = (*listeners, *stoppers(self.options))
        self._watch = _Stopwatch()
        self.deadline = None if self.options.budget is None else time.monotonic() + self.options.budget
        self.space, self._problem = (space, problem) if space else _space(task, self.options)
        self._given = space is not None
        self._flops = {name: executed_flops(task.workload, name) for name in self.space.definitions}
        self._refused = 0
        self.model = model or make_cost_model(self.options.cost_model, self.options.seed)
        self._predictor = GuardedModel(self.model)
        self.strategy = GuardedStrategy(self.options.strategy, self.space, self._predictor, self.options.seed)
        self._limit = roof(task.workload, task.target).kind
        self.run_id = uuid.uuid4().hex
        self.tally = Tally()
        self.rounds: list[Round] = []
        self.new_trials = 0
        self._untuned_seconds: float | None = None
        self._watch.lap("space")

    def run(self) -> TuneResult:
        """Search until the trials are used up, a listener has had enough, or Ctrl-C; then measure the best again, head
        to head with what needs no search."""
        stopped, interrupted = "", False
        with open_workbench(self.task, self.options) as bench:
            self._watch.lap("prepare")
            self.start()
            try:
                stopped = self.explore(bench)
            except KeyboardInterrupt:
                interrupted = True
            return self.finish(bench, stopped, interrupted)

    def start(self) -> None:
        """Count, and learn from, the trials that earlier runs of this task left in the database."""
        self._watch.go_on()
        history = load_history(self.database, self.task.key, self.space)
        self.database.start_run(run_record(self.run_id, self.task, self.options, history), self.task.key)
        self.tally, self._refused = Tally(history.records), history.refused
        if self.options.transfer:
            key, target = self.task.key, self.task.target
            warm_start(self.model, self.database, key, target, self.options.seed, history.after)
        self._exploration = Exploration(self.space, self.strategy, self._predictor, self.options, history)
        self._watch.lap("resume")
        self._tell("on_start", self.progress())

    def explore(self, bench: Workbench, trials: float = math.inf) -> str:
        """Measure so many trials more, or until those of the options are used up.

        Returns why it ended before, and will not go on; empty where it may. Raises ``KeyboardInterrupt`` for Ctrl-C,
        after which only ``finish`` is left.
        """
        self._watch.go_on()
        pipeline = Pipeline(bench)
        try:
            return self._search(self._exploration, pipeline, trials)
        except ModelError as error:
            return str(error)
        finally:
            pipeline.abandon()

    def finish(self, bench: Workbench | None, stopped: str = "", interrupted: bool = False) -> TuneResult:
        """Race the best, unless there is no bench for it or the time is up before anything worked."""
        self._watch.go_on()
        for one in self._exploration.unlearnt():
            self._keep(one)
        placed: list[Winner] = []
        try:
            if bench is not None and (self.tally.best or not (interrupted or self._time_left() == 0)):
                self._tell("on_final", self.progress())
                placed = self._final(bench)
        except KeyboardInterrupt:
            interrupted = True
        self._watch.lap("final")
        result = self._result(placed, self._problem or stopped, interrupted)
        self._tell("on_finish", result)
        return result

    def _search(self, exploration: Exploration, pipeline: Pipeline, trials: float) -> str:
        """The loop; returns why it ended.

        What a turn's last batches brought is learnt in the next turn, once the batches that must not depend on it are
        proposed. So a search in turns replays from its log as any other.
        """
        while True:
            for batch in exploration.propose(self._others(), trials):
                self._submit(batch, pipeline, trials)
                trials -= len(batch.candidates)
            _ = self._stand_ins  # found the first time, while the first candidates are built
            self._watch.lap("propose")
            if not exploration.in_flight:
                ends = "the space has no more candidates" if self.tally.records else "no candidate is legal"
                return self.strategy.fault or (ends if exploration.exhausted else "")
            oldest = exploration.in_flight[0]
            last = trials <= 0 and len(exploration.in_flight) < IN_FLIGHT
            while pipeline.busy if last else (not oldest.complete or pipeline.holds_back):
                self._measure(exploration, pipeline)
                if reason := self._enough():
                    return reason
            if last:
                return ""
            self._keep(exploration.learn())
            self._watch.lap("learn")

    def _keep(self, one: Round) -> None:
        """How well the model foretold a batch."""
        self.rounds.append(one)
        self.database.add_round(self.run_id, one.batch, one.figures)

    def _submit(self, batch: Batch, pipeline: Pipeline, most: float) -> None:
        population = batch.candidates.population
        for row in range(int(min(most, len(population)))):
            sketch = self.space.sketches[int(population.sketch[row])].schedule
            pipeline.submit((batch.number, row), sketch, self.space.knobs(population, row))

    def _measure(self, exploration: Exploration, pipeline: Pipeline) -> None:
        """Wait for something to finish, and keep what did."""
        pipeline.wait(self._time_left())
        self._watch.lap("wait")
        for built, result in pipeline.advance(ratio(self.tally.best)):
            self._finish(exploration, built, result)
        self._watch.lap("record")

    def _enough(self) -> str:
        """Why a listener wants the search to end; empty where none does."""
        progress = self.progress()
        for listener in self._all_listeners:
            if reason := listener.should_stop(progress):
                return reason if isinstance(reason, str) else f"{type(listener).__name__} asked for it"
        return ""

    def _time_left(self) -> float | None:
        """Seconds of the budget; None where there is none."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def _others(self) -> int:
        """Trials that other tuners of this task have added to the database meanwhile."""
        return max(0, self.database.count(self.task.key, phase="trial") - len(self.tally.records) - self._refused)

    def _finish(self, exploration: Exploration, built: BuildResult, result: MeasureResult | None) -> None:
        assert isinstance(built.ident, tuple)
        number, row = built.ident
        batch = next(batch for batch in exploration.in_flight if batch.number == number)
        sketch, knobs = exploration.candidate(batch, row)
        record = trial_record(self.run_id, number, row, sketch, knobs, self.options.seed, built, result)
        self.database.add(record, self.task.key)
        batch.records[row] = record
        self.tally.add(record)
        self.new_trials += 1
        self._tell("on_trial", record, self.progress())

    # -- after -------------------------------------------------------------------------------------------------

    def _final(self, bench: Workbench) -> list[Winner]:
        """The race, the fastest first. Where no trial worked, the schedule of no steps runs, too, if the analytic
        choice does not."""
        best = finalists(self.task, self.tally.records, self.options.finalists)
        chosen, *others = self._stand_ins
        first = best if chosen.schedule.text in {one.schedule.text for one in best} else [*best, chosen]
        first = [*first, *refused_best(self.task, self.database, self.space.definitions)]
        placed = self._race(bench, first) or ([] if best else self._race(bench, others))
        untuned = (
            one.seconds for one in placed if one.schedule.text == chosen.schedule.text or one.source == "default"
        )
        self._untuned_seconds = next(untuned, None)
        return placed

    def _race(self, bench: Workbench, contestants: Sequence[Contestant]) -> list[Winner]:
        return race(bench, self.database, contestants, self.options, self.run_id)

    @cached_property
    def _stand_ins(self) -> list[Contestant]:
        return unsearched(self.task, self.options.algorithms, None if self._given else self.space)

    def _unconfirmed(self) -> Winner:
        """The best trial, or else what needs no trial and was not measured."""
        best = best_trial(self.task, self.tally.records)
        if best is not None:
            return best
        chosen = self._stand_ins[0]
        return Winner(chosen.schedule, chosen.source)

    def _limit_of(self, record: Record | None) -> float | None:
        return None if record is None else self._roofline(algorithm_of(record.sketch), record.baseline_seconds)

    def _roofline(self, algorithm: str, baseline: float | None) -> float | None:
        """Seconds that the roofline allows an algorithm, where the own definition's baseline took so long."""
        if baseline is None or self._limit == "memory":
            return baseline
        return baseline * self._flops.get(algorithm, self.task.workload.flops) / max(1, self.task.workload.flops)

    def progress(self) -> Progress:
        """Where the search stands."""
        tally, peak = self.tally, self.tally.peak_flops
        return Progress(
            self.task, len(tally.records), self.options.trials, tally.failed, self.new_trials, tally.best_seconds, peak,
            self._watch.elapsed, self.options.budget, self._limit, self._limit_of(tally.best),
            best_flops=self._flops[algorithm_of(tally.best.sketch)] if tally.best else None,
        )  # fmt: skip

    def _result(self, placed: Sequence[Winner], stopped: str, interrupted: bool) -> TuneResult:
        winner = placed[0] if placed else self._unconfirmed()
        return TuneResult(
            self.task, winner.schedule, winner.seconds, winner.peak_fraction, winner.verified, winner.max_error,
            len(self.tally.records), self.new_trials, self.tally.failed, self._watch.elapsed, interrupted,
            self.tally.failures, dict(self._watch.spent), winner.confirmed,
            stopped=stopped, source=winner.source, rounds=tuple(self.rounds), limit=self._limit,
            limit_seconds=self._roofline(winner.schedule.algorithm, winner.baseline_seconds),
            untuned_seconds=self._untuned_seconds,
        )  # fmt: skip

    def _tell(self, event: str, *arguments: Any) -> None:
        for listener in self._all_listeners:
            getattr(listener, event)(*arguments)


def _space(task: TuningTask, options: TuneOptions) -> tuple[SearchSpace, str]:
    """The task's space; where the rules fail, an empty one and why."""
    what, target, threads = task.workload, task.target, task.threads
    try:
        space = SearchSpace(what, target, threads, algorithms=options.algorithms)
    except AutotuneError as error:
        return SearchSpace(what, target, threads, (), options.algorithms), f"the space could not be made: {error}"
    return space, ""
