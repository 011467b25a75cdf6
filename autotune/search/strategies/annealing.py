"""Simulated annealing on the model: many chains walk over its score, and what they pass is measured best first.

The search of AutoTVM (Chen et al., Learning to Optimize Tensor Programs, NeurIPS 2018, section 3.3).
"""

from __future__ import annotations

import numpy as np

from autotune.cost_model.models import CostModel
from autotune.search.space import Evaluated, SearchSpace
from autotune.search.strategies.memory import Memory, Supply, ranked
from autotune.search.strategies.moves import jumped, moved, of_few_sketches
from autotune.search.strategies.strategy import strategy


@strategy("annealing")
class AnnealingStrategy:
    """Parallel chains that go on from batch to batch; a share of every batch is random.

    A chain moves one knob at a time, and takes a step that the model thinks d octaves slower with probability
    2**(-d / temperature). The temperature falls from ``HOT`` to 0 within each batch. Evaluating a step costs nearly the
    same for many candidates as for few, so there are more chains than AutoTVM's 128, and they take fewer steps.
    """

    POOL = 8192
    CHAINS = 768
    STEPS = 6
    HOT = 1.0
    SKETCHES = 4
    RANDOM_SHARE = 0.1

    def __init__(self, space: SearchSpace, model: CostModel, seed: int) -> None:
        self.space, self.model, self.memory = space, model, Memory(space)
        self.generator = np.random.default_rng(seed)
        self.supply = Supply(space, self.memory, self.generator)
        self.pool: Evaluated | None = None
        self.chains = space.empty()

    def propose(self, count: int) -> Evaluated:
        wanted = count - round(self.RANDOM_SHARE * count)
        chosen = self.memory.fresh(self._anneal(), wanted, alike=False)
        return chosen.join(self.supply.random(count - len(chosen)))

    def observe(self, measured: Evaluated, seconds: np.ndarray) -> None:
        self.memory.observe(measured, seconds)
        self.memory.teach(self.model)

    def _anneal(self) -> Evaluated:
        """All that the chains came by, best first by the model."""
        if self.pool is None:
            self.pool = self.supply.pool(self.POOL)
        start = self.memory.best(self.CHAINS // 8).join(self.chains).join(self.pool)
        start = start.take(of_few_sketches(start, self.model.predict(start.features), self.SKETCHES)[: self.CHAINS])
        chains, scores = start, self.model.predict(start.features)
        passed = start
        for step in range(self.STEPS if len(start) else 0):
            knobs = moved(self.space, chains.population, self.generator, 1.0)
            tried = self.space.evaluate(jumped(self.space, knobs, self.generator, 0.1))
            new = np.where(tried.legal, self.model.predict(tried.features), np.inf)
            temperature = self.HOT * (1 - step / self.STEPS)
            taken = self.generator.random(len(new)) < np.exp2(np.minimum(0.0, scores - new) / temperature)
            chains = _where(taken, tried, chains)
            scores = np.where(taken, new, scores)
            passed = passed.join(tried.take(np.flatnonzero(tried.legal)))
        self.chains = chains
        return ranked(passed, self.model.predict)


def _where(taken: np.ndarray, one: Evaluated, other: Evaluated) -> Evaluated:
    return one.join(other).take(np.arange(len(taken)) + np.where(taken, 0, len(taken)))
