"""Grid search: every legal candidate in a fixed order, spread evenly from the first one on."""

from __future__ import annotations

import numpy as np

from autotune.cost_model.models import CostModel
from autotune.search.space import Evaluated, SearchSpace
from autotune.search.strategies.memory import Memory, Supply
from autotune.search.strategies.strategy import strategy


@strategy("grid")
class GridStrategy:
    """Walks through the whole space: for one that is small enough to be measured completely.

    The order is a Weyl sequence through each sketch's candidates, sketches in turns, so that a walk that is cut short
    has looked everywhere. Model, measurements and seed do not matter.
    """

    def __init__(self, space: SearchSpace, model: CostModel, seed: int) -> None:
        self.memory = Memory(space)
        self.supply = Supply(space, self.memory, np.random.default_rng(seed))

    def propose(self, count: int) -> Evaluated:
        return self.supply.in_order(count)

    def observe(self, measured: Evaluated, seconds: np.ndarray) -> None:
        self.memory.observe(measured, seconds)
