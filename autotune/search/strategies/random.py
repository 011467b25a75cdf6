"""Random search: legal candidates drawn uniformly, the control that every other strategy is measured against."""

from __future__ import annotations

import numpy as np

from autotune.cost_model.model import CostModel
from autotune.search.space import Evaluated, Key, SearchSpace
from autotune.search.strategies.strategy import strategy, unseen


@strategy("random")
class RandomStrategy:
    """Draws legal candidates; neither model nor measurements matter."""

    ATTEMPTS = 20

    def __init__(self, space: SearchSpace, model: CostModel, seed: int) -> None:
        self.space = space
        self.generator = np.random.default_rng(seed)
        self.seen: set[Key] = set()

    def propose(self, count: int) -> Evaluated:
        chosen = self.space.empty()
        for _ in range(self.ATTEMPTS):
            drawn = self.space.evaluate(self.space.sample(self.generator, max(256, 16 * count)))
            legal = drawn.take(np.flatnonzero(drawn.legal))
            fresh = legal.take(unseen(legal.population, self.seen)[: count - len(chosen)])
            self.seen.update(fresh.population.key(row) for row in range(len(fresh)))
            chosen = chosen.join(fresh)
            if len(chosen) >= count:
                break
        return chosen

    def observe(self, measured: Evaluated, seconds: np.ndarray) -> None:
        self.seen.update(measured.population.key(row) for row in range(len(measured.population)))
