"""Hill climbing: coordinate descent that trusts measurements alone."""

from __future__ import annotations

import numpy as np

from autotune.cost_model.models import CostModel
from autotune.search.space import Evaluated, SearchSpace
from autotune.search.strategies.memory import Memory, Supply
from autotune.search.strategies.moves import one_knob_away
from autotune.search.strategies.strategy import strategy


@strategy("hill_climbing")
class HillClimbingStrategy:
    """Starts from random candidates and measures what differs from the best in one knob, the smallest moves first.

    Once all around the best is known, it goes on around the second best, and so forth. No model matters, which makes it
    the control for those that have one; OpenTuner (Ansel et al., PACT 2014, section 4.2) has climbers like it.
    """

    FIRST = 16  # random candidates that have to have worked before it climbs
    RANDOM_SHARE = 0.1
    CENTRES = 16

    def __init__(self, space: SearchSpace, model: CostModel, seed: int) -> None:
        self.space, self.memory = space, Memory(space)
        self.supply = Supply(space, self.memory, np.random.default_rng(seed))

    def propose(self, count: int) -> Evaluated:
        centres = self.memory.best(self.CENTRES).population
        chosen = self.supply.random(round(self.RANDOM_SHARE * count))
        for row in range(len(centres) if len(centres) >= self.FIRST else 0):
            if len(chosen) < count:
                near = self.space.evaluate(one_knob_away(self.space, centres, row))
                chosen = chosen.join(self.memory.fresh(near, count - len(chosen)))
        return chosen.join(self.supply.random(count - len(chosen)))

    def observe(self, measured: Evaluated, seconds: np.ndarray) -> None:
        self.memory.observe(measured, seconds)
