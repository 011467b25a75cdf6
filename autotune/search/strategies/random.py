"""Random search: legal candidates drawn uniformly, the control that every other strategy is measured against."""

from __future__ import annotations

import numpy as np

from autotune.cost_model.models import CostModel
from autotune.search.space import Evaluated, SearchSpace
from autotune.search.strategies.memory import Memory, Supply
from autotune.search.strategies.strategy import strategy


@strategy("random")
class RandomStrategy:
    """Draws legal candidates; neither model nor measurements matter.

    The control for all others, and hard to beat where next to nothing is known (Bergstra and Bengio, JMLR 13, 2012).
    """

    def __init__(self, space: SearchSpace, model: CostModel, seed: int) -> None:
        self.memory = Memory(space)
        self.supply = Supply(space, self.memory, np.random.default_rng(seed))

    def propose(self, count: int) -> Evaluated:
        return self.supply.random(count)

    def observe(self, measured: Evaluated, seconds: np.ndarray) -> None:
        self.memory.observe(measured, seconds)
