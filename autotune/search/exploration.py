"""The half of a search that measures nothing: what is proposed, and what is learnt from what became of it.

Two batches are in flight at a time, and batch k is proposed from exactly the results of batches up to k-2, in their
order, however late or early others arrive. So a search replays from its log.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from autotune.cost_model.model import CostModel
from autotune.cost_model.rounds import Round, judge
from autotune.search.history import History
from autotune.search.options import TuneOptions
from autotune.search.space import Evaluated, SearchSpace
from autotune.search.strategies import Strategy
from autotune.search.yardstick import Yardstick
from autotune.tuning_logs import Record

IN_FLIGHT = 2  # batches: while the results of one are learnt, the other keeps builders and measurer busy


@dataclass(slots=True)
class Batch:
    """Proposed candidates and what became of each, by row."""

    number: int
    candidates: Evaluated
    predicted: np.ndarray  # by the cost model, before anything of it was measured
    records: dict[int, Record] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every candidate has its record."""
        return len(self.records) == len(self.candidates)


class Exploration:
    """A strategy at work, from the ``history`` that earlier runs of the task left behind."""

    def __init__(
        self, space: SearchSpace, strategy: Strategy, model: CostModel, options: TuneOptions, history: History
    ) -> None:
        self.space, self.strategy, self.model, self.options = space, strategy, model, options
        self.in_flight: deque[Batch] = deque()
        self._yardstick = Yardstick()
        self.exhausted = not space.sketches
        self._trials = len(history.records)  # earlier runs', and all that were proposed since
        self._next = history.next_batch
        if len(history.population):
            self.strategy.observe(space.evaluate(history.population), self._yardstick.all_seconds(history.known))

    def propose(self, others: int = 0, wanted: float = math.inf) -> Iterator[Batch]:
        """New batches, until enough are in flight, all trials are proposed or the space has no more.

        ``others`` counts trials that other tuners of the same task have added meanwhile. No batch begins once
        ``wanted`` candidates are proposed, or others have used up the trials; batches are whole, as a replay, which
        knows neither, proposes them.
        """
        while len(self.in_flight) < IN_FLIGHT and not self.exhausted and wanted > 0:
            left = self.options.trials - self._trials
            if left <= others:
                return
            candidates = self.strategy.propose(min(self.options.batch, left))
            self.exhausted = not len(candidates)
            if not self.exhausted:
                batch = Batch(self._next, candidates, self.model.predict(candidates.features))
                self._next += 1
                self._trials += len(candidates)
                wanted -= len(candidates)
                self.in_flight.append(batch)
                yield batch

    def candidate(self, batch: Batch, row: int) -> tuple[str, dict[str, int]]:
        """What a record says of a batch's candidate: its sketch's text, and its knobs."""
        population = batch.candidates.population
        return self.space.sketches[int(population.sketch[row])].schedule.text, self.space.knobs(population, row)

    def learn(self) -> Round:
        """Take the oldest batch, which must be complete, from those in flight and tell the strategy its results.

        Returns how well the model foretold them.
        """
        batch = self.in_flight.popleft()
        seconds = self._seconds(batch)
        self.strategy.observe(batch.candidates, seconds)
        return judge(batch.number, batch.predicted, seconds)

    def unlearnt(self) -> Iterator[Round]:
        """How well the model foretold the complete batches that are still in flight."""
        for batch in self.in_flight:
            if batch.complete:
                yield judge(batch.number, batch.predicted, self._seconds(batch))

    def _seconds(self, batch: Batch) -> np.ndarray:
        return self._yardstick.all_seconds(batch.records[row] for row in range(len(batch.candidates)))
