"""Uncertainty-aware search: what is likely to beat the best, by how much and how surely."""

from __future__ import annotations

from functools import partial
from statistics import NormalDist

import numpy as np

from autotune.cost_model.models import CostModel
from autotune.search.space import Evaluated, SearchSpace
from autotune.search.strategies.memory import Memory, Supply, ranked
from autotune.search.strategies.moves import jumped, moved, of_few_sketches
from autotune.search.strategies.strategy import strategy

NORMAL = NormalDist()


@strategy("expected_improvement")
class ExpectedImprovementStrategy:
    """Measures the greatest expected improvement of a random pool and of moves from the best known.

    Expected improvement as in Jones, Schonlau and Welch (Journal of Global Optimization 13, 1998, section 4.1), of
    log2 seconds, with the model's ``spread`` as standard deviation. The best to improve on is the model's own
    prediction for what has been measured, so that a constant offset does not matter. Where a model has no spread, this
    is greedy.
    """

    POOL = 12288
    PARENTS = 48
    CHILDREN = 1024
    SKETCHES = 4
    RANDOM_SHARE = 0.1  # the members of an ensemble may agree on what none of them knows

    def __init__(self, space: SearchSpace, model: CostModel, seed: int) -> None:
        self.space, self.model, self.memory = space, model, Memory(space)
        self.generator = np.random.default_rng(seed)
        self.supply = Supply(space, self.memory, self.generator)
        self.pool: Evaluated | None = None

    def propose(self, count: int) -> Evaluated:
        if self.pool is None:
            self.pool = self.supply.pool(self.POOL)
        score = partial(self._score, best=self._incumbent())
        pool = ranked(self.pool, score)
        candidates = ranked(self._moves(pool, score).join(pool), score)
        wanted = count - round(self.RANDOM_SHARE * count)
        chosen = self.memory.fresh(candidates, wanted, alike=False)
        if len(chosen) < wanted:  # the pool is used up: the next batch draws another
            self.pool = None
        return chosen.join(self.supply.random(count - len(chosen)))

    def observe(self, measured: Evaluated, seconds: np.ndarray) -> None:
        self.memory.observe(measured, seconds)
        self.memory.teach(self.model)

    def _incumbent(self) -> float:
        """The lowest prediction for anything measured; before that, nothing to improve on."""
        known = self.memory.best(len(self.memory.measured))
        return float(self.model.predict(known.features).min()) if len(known) else np.inf

    def _score(self, features: np.ndarray, best: float) -> np.ndarray:
        """Minus the expected improvement; the prediction where nothing has been measured or nothing is uncertain."""
        mean, deviation = self.model.predict(features), self.model.spread(features)
        if not np.isfinite(best) or not deviation.any():
            return mean
        return -expected_improvement(best - mean, np.maximum(deviation, 1e-9))

    def _moves(self, pool: Evaluated, score: partial[np.ndarray]) -> Evaluated:
        """Children of the best measured and of the pool's first, all of few sketches."""
        kept = self.memory.best(self.PARENTS).join(pool.take(np.arange(min(self.PARENTS, len(pool)))))
        rows = of_few_sketches(kept, score(kept.features), self.SKETCHES)
        if not len(rows):
            return self.space.empty()
        parents = kept.population.take(rows[self.generator.integers(len(rows), size=self.CHILDREN)])
        near = moved(self.space, parents, self.generator, 1.5)
        return self.space.evaluate(jumped(self.space, near, self.generator, 0.2))


def expected_improvement(gain: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """The mean of max(0, x) where x is normal with mean ``gain``."""
    ratio = gain / deviation
    below = np.array([NORMAL.cdf(value) for value in ratio.tolist()])
    return gain * below + deviation * np.array([NORMAL.pdf(value) for value in ratio.tolist()])
