"""Epsilon-greedy search: the model's favourites, and now and then anything."""

from __future__ import annotations

import numpy as np

from autotune.cost_model.models import CostModel
from autotune.search.space import Evaluated, SearchSpace
from autotune.search.strategies.memory import Memory, Supply, ranked
from autotune.search.strategies.strategy import strategy


@strategy("epsilon_greedy")
class EpsilonGreedyStrategy:
    """Each candidate is a random one with probability ``EPSILON``, else the model's favourite of a pool.

    The balance of exploring and exploiting is that of Sutton and Barto (Reinforcement Learning, 2018, section 2.2). The
    pool is only random, so this shows what a model is worth without a search that climbs it.
    """

    EPSILON = 0.1
    POOL = 16384

    def __init__(self, space: SearchSpace, model: CostModel, seed: int) -> None:
        self.model, self.memory = model, Memory(space)
        self.generator = np.random.default_rng(seed)
        self.supply = Supply(space, self.memory, self.generator)
        self.pool = space.empty()

    def propose(self, count: int) -> Evaluated:
        explored = int(self.generator.binomial(count, self.EPSILON))
        chosen = self.memory.fresh(ranked(self.pool, self.model.predict), count - explored, alike=False)
        if len(chosen) < count - explored:  # the pool is used up
            self.pool = self.supply.pool(self.POOL)
            favourites = ranked(self.pool, self.model.predict)
            chosen = chosen.join(self.memory.fresh(favourites, count - explored - len(chosen), alike=False))
        return chosen.join(self.supply.random(count - len(chosen)))

    def observe(self, measured: Evaluated, seconds: np.ndarray) -> None:
        self.memory.observe(measured, seconds)
        self.memory.teach(self.model)
