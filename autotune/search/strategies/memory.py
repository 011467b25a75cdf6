"""What strategies have in common: knowing what was proposed and measured, and finding what was not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from autotune.cost_model.models import CostModel
from autotune.search.space import Evaluated, Key, Population, SearchSpace
from autotune.search.strategies.walk import Walk

FAILED = 3.0  # what failed counts as eight times slower than the slowest, so that its like is avoided


class Memory:
    """What was proposed, and what was measured with log2 of its seconds: not a number for what failed."""

    def __init__(self, space: SearchSpace) -> None:
        self.proposed: set[Key] = set()
        self.looks: set[tuple[int, bytes]] = set()  # sketch and features of what was proposed or measured
        self.measured = space.empty()
        self.log_seconds = np.zeros(0)

    def fresh(self, candidates: Evaluated, count: int, alike: bool = True) -> Evaluated:
        """The first ``count`` legal candidates not proposed before, which are so from now on.

        Unless ``alike``, none that the model cannot tell from one that was: knobs often differ without making a
        difference.
        """
        rows: list[int] = []
        for row in np.flatnonzero(candidates.legal).tolist():
            if len(rows) >= count:
                break
            key, look = candidates.population.key(row), _look(candidates, row)
            if key not in self.proposed and (alike or look not in self.looks):
                self.proposed.add(key)
                self.looks.add(look)
                rows.append(row)
        return candidates.take(rows)

    def observe(self, measured: Evaluated, seconds: np.ndarray) -> None:
        """Keep what became of candidates; infinite ``seconds`` are failures."""
        for row in range(len(measured)):
            self.proposed.add(measured.population.key(row))
            self.looks.add(_look(measured, row))
        self.measured = self.measured.join(measured)
        finite = np.isfinite(seconds)
        self.log_seconds = np.concatenate(
            [self.log_seconds, np.log2(seconds, where=finite, out=np.full(len(seconds), np.nan))]
        )

    def teach(self, model: CostModel) -> None:
        """Let the model learn from all that was measured, once anything has worked."""
        if len(costs := self.costs()):
            model.update(self.measured.features, costs)

    def costs(self) -> np.ndarray:
        """log2 of the seconds of all that was measured, failures at ``FAILED`` above the slowest; empty where nothing
        has worked."""
        known = np.isfinite(self.log_seconds)
        return np.where(known, self.log_seconds, self.log_seconds[known].max() + FAILED) if known.any() else np.zeros(0)

    def best(self, count: int) -> Evaluated:
        """The fastest that were measured, fastest first."""
        order = np.argsort(self.log_seconds, kind="stable")  # not a number comes last
        return self.measured.take(order[: min(count, int(np.isfinite(self.log_seconds).sum()))])


class Supply:
    """Candidates that no model has chosen, none of them ever proposed before."""

    DRAWN = 4096  # random candidates evaluated at a time: many cost hardly more than few
    ATTEMPTS = 4
    WALKED = 2048  # candidates of the walk evaluated at a time
    STEPS = 64

    def __init__(self, space: SearchSpace, memory: Memory, generator: np.random.Generator) -> None:
        self.space, self.memory, self.generator = space, memory, generator
        self.walk = Walk(space)
        self.drawn = self.ahead = space.empty()  # what was evaluated last, at random and of the walk

    def pool(self, count: int) -> Evaluated:
        """The legal ones of ``count`` random candidates, whether proposed before or not."""
        drawn = self.space.evaluate(self.space.sample(self.generator, count))
        return drawn.take(np.flatnonzero(drawn.legal))

    def random(self, count: int) -> Evaluated:
        """Fresh candidates, uniformly random; in order once chance hardly finds any."""
        chosen = self.memory.fresh(self.drawn, count)
        for _ in range(self.ATTEMPTS):
            if len(chosen) >= count:
                return chosen
            self.drawn = self.pool(self.DRAWN)
            chosen = chosen.join(self.memory.fresh(self.drawn, count - len(chosen)))
        return chosen.join(self.in_order(count - len(chosen)))

    def in_order(self, count: int) -> Evaluated:
        """Fresh candidates as the space is walked through; fewer than ``count`` where its end is reached, or where
        nothing legal comes for a long while.
        """
        chosen = self.memory.fresh(self.ahead, count)
        for _ in range(self.STEPS):
            if len(chosen) >= count or self.walk.over:
                break
            self.ahead = self.space.evaluate(self.walk.take(self.WALKED))
            chosen = chosen.join(self.memory.fresh(self.ahead, count - len(chosen)))
        return chosen


def ranked(candidates: Evaluated, score: Callable[[np.ndarray], np.ndarray]) -> Evaluated:
    """The candidates by a score of their features, lowest first."""
    return candidates.take(np.argsort(score(candidates.features), kind="stable"))


def distinct(population: Population) -> np.ndarray:
    """The rows of candidates, each candidate once, where it comes first."""
    keys = np.ascontiguousarray(np.column_stack([population.sketch, population.genes]))
    as_bytes = keys.view(np.dtype((np.void, keys.itemsize * keys.shape[1]))).ravel()
    return np.sort(np.unique(as_bytes, return_index=True)[1])


def _look(candidates: Evaluated, row: int) -> tuple[int, bytes]:
    return int(candidates.population.sketch[row]), candidates.features[row].tobytes()
