"""Coordinate descent: polishing around the best, one knob at a time."""

from __future__ import annotations

import numpy as np

from autotune.cost_model.models import CostModel
from autotune.search.space import Evaluated, Population, SearchSpace
from autotune.search.strategies.memory import Memory, Supply, ranked
from autotune.search.strategies.moves import one_knob_away, other_structures
from autotune.search.strategies.strategy import strategy


@strategy("coordinate_descent")
class CoordinateDescentStrategy:
    """Measures what differs from the best in one knob, or only in structure, in the order that the model likes.

    Once all around the best is known, it goes on around the second best, and so forth; it starts from the model's
    favourites of a random pool. Coordinate descent as in Wright (Mathematical Programming 151, 2015, section 1), with
    the model to choose the coordinate.
    """

    POOL = 8192
    CENTRES = 16  # around which it looks in one batch, at most

    def __init__(self, space: SearchSpace, model: CostModel, seed: int) -> None:
        self.space, self.model, self.memory = space, model, Memory(space)
        self.supply = Supply(space, self.memory, np.random.default_rng(seed))

    def propose(self, count: int) -> Evaluated:
        chosen = self.space.empty()
        centres = self.memory.best(self.CENTRES).population
        for row in range(len(centres)):
            if len(chosen) < count:
                chosen = chosen.join(self._liked(self._around(centres, row), count - len(chosen)))
        if len(chosen) < count:
            chosen = chosen.join(self._liked(self.supply.pool(self.POOL), count - len(chosen)))
        return chosen.join(self.supply.random(count - len(chosen)))

    def observe(self, measured: Evaluated, seconds: np.ndarray) -> None:
        self.memory.observe(measured, seconds)
        self.memory.teach(self.model)

    def _around(self, centres: Population, row: int) -> Evaluated:
        around = one_knob_away(self.space, centres, row)
        if row == 0:  # evaluation costs per sketch, so only the best is tried in all of them
            around = around.join(other_structures(self.space, centres, row))
        return self.space.evaluate(around)

    def _liked(self, candidates: Evaluated, count: int) -> Evaluated:
        return self.memory.fresh(ranked(candidates, self.model.predict), count, alike=False)
