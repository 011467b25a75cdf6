"""Evolutionary search on the cost model: mutate and cross the best, measure what the model likes most.

The structure follows Ansor (Zheng et al., OSDI 2020, section 5.1): a population evolves under the model's score, and a
share of every batch is drawn at random so that the model sees what it would not choose.
"""

from __future__ import annotations

import numpy as np

from autotune.cost_model.models import CostModel
from autotune.search.space import Evaluated, Population, SearchSpace
from autotune.search.strategies.memory import Memory, Supply, distinct, ranked
from autotune.search.strategies.moves import jumped, moved, of_few_sketches
from autotune.search.strategies.strategy import strategy


@strategy("evolutionary")
class EvolutionaryStrategy:
    """Keeps a pool of random candidates and all measured ones; each batch evolves from the best of both."""

    POOL = 12288
    PARENTS = 96
    CHILDREN = 512
    GENERATIONS = 4
    SKETCHES = 4
    RANDOM_SHARE = 0.1

    def __init__(self, space: SearchSpace, model: CostModel, seed: int) -> None:
        self.space, self.model, self.memory = space, model, Memory(space)
        self.generator = np.random.default_rng(seed)
        self.supply = Supply(space, self.memory, self.generator)
        self.pool: Evaluated | None = None

    def propose(self, count: int) -> Evaluated:
        if self.pool is None:
            self.pool = self.supply.pool(self.POOL)
        wanted = count - round(self.RANDOM_SHARE * count)
        best = ranked(self.pool, self.model.predict).take(np.arange(min(8 * self.PARENTS, len(self.pool))))
        chosen = self.memory.fresh(self._evolve(best), wanted, alike=False)
        chosen = chosen.join(self.memory.fresh(best, wanted - len(chosen), alike=False))
        anything = self.pool.take(self.generator.permutation(len(self.pool)))
        chosen = chosen.join(self.memory.fresh(anything, count - len(chosen)))
        if len(chosen) < count:  # the pool is used up: the next batch draws another
            self.pool = None
        return chosen.join(self.supply.random(count - len(chosen)))

    def observe(self, measured: Evaluated, seconds: np.ndarray) -> None:
        self.memory.observe(measured, seconds)
        self.memory.teach(self.model)

    def _evolve(self, predicted: Evaluated) -> Evaluated:
        """Descendants of the best measured and the best predicted candidates, best first by the model."""
        own = self.memory.best(self.PARENTS // 2)
        kept = own.join(predicted.take(np.arange(min(self.PARENTS - len(own), len(predicted)))))
        scores = self.model.predict(kept.features)
        rows = of_few_sketches(kept, scores, self.SKETCHES)
        kept, scores = kept.take(rows), scores[rows]
        for _ in range(self.GENERATIONS):
            front = kept.population.take(np.argsort(scores, kind="stable")[: 4 * self.PARENTS])
            front = front.take(distinct(front)[: self.PARENTS])
            if not len(front):
                break
            children = self.space.evaluate(self._children(front))
            children = children.take(np.flatnonzero(children.legal))
            kept, scores = kept.join(children), np.concatenate([scores, self.model.predict(children.features)])
        return kept.take(np.argsort(scores, kind="stable"))

    def _children(self, parents: Population) -> Population:
        """Each child is a parent with some knobs moved, or mixed with another parent of its sketch."""
        generator, count = self.generator, self.CHILDREN
        # Better parents come first and have more children.
        picks = np.minimum((generator.random(count) ** 2 * len(parents)).astype(np.int64), len(parents) - 1)
        sketch, genes = parents.sketch[picks], parents.genes[picks]
        others = picks[generator.permutation(count)]
        cross = (parents.sketch[others] == sketch) & (generator.random(count) < 0.3)
        mask = cross[:, None] & (generator.random(genes.shape) < 0.5)
        mixed = Population(sketch, np.where(mask, parents.genes[others], genes))
        # Now and then the same numbers in another structure, where it has the same knobs.
        return jumped(self.space, moved(self.space, mixed, generator, 1.5), generator, 0.2)
