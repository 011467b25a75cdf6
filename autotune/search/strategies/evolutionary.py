"""Evolutionary search on the cost model: mutate and cross the best, measure what the model likes most.

The structure follows Ansor (Zheng et al., OSDI 2020, section 5.1): a population evolves under the model's score, and a
share of every batch is drawn at random so that the model sees what it would not choose.
"""

from __future__ import annotations

import numpy as np

from autotune.cost_model.model import CostModel
from autotune.search.space import Evaluated, Key, Population, SearchSpace
from autotune.search.strategies.strategy import strategy, unseen


@strategy("evolutionary")
class EvolutionaryStrategy:
    """Keeps a pool of random candidates and all measured ones; each batch evolves from the best of both."""

    POOL = 12288
    PARENTS = 96
    CHILDREN = 512
    GENERATIONS = 2
    SKETCHES = 4
    RANDOM_SHARE = 0.1

    def __init__(self, space: SearchSpace, model: CostModel, seed: int) -> None:
        self.space, self.model = space, model
        self.generator = np.random.default_rng(seed)
        self.seen: set[Key] = set()
        self.looks: set[tuple[int, bytes]] = set()  # sketch and features of what was proposed or measured
        self.pool: Evaluated | None = None
        self.measured = space.empty()
        self.log_seconds = np.zeros(0)

    def propose(self, count: int) -> Evaluated:
        pool = self._pool()
        scores = self.model.predict(pool.features)
        order = np.argsort(scores, kind="stable")
        random_count = round(self.RANDOM_SHARE * count)
        chosen = self._fresh(self._evolve(pool, order, scores), count - random_count, alike=False)
        best = pool.take(order[: 8 * self.PARENTS])
        chosen = chosen.join(self._fresh(best, count - random_count - len(chosen), alike=False))
        anything = pool.take(self.generator.permutation(len(order)))
        chosen = chosen.join(self._fresh(anything, count - len(chosen), alike=True))
        if len(chosen) < count:  # the pool is used up: look for more
            self.pool = None
            chosen = chosen.join(self._fresh(self._pool(), count - len(chosen), alike=True))
        return chosen

    def observe(self, measured: Evaluated, seconds: np.ndarray) -> None:
        self.seen.update(measured.population.key(row) for row in range(len(measured.population)))
        self.looks.update(
            (int(s), f.tobytes()) for s, f in zip(measured.population.sketch, measured.features, strict=True)
        )
        self.measured = self.measured.join(measured)
        log_seconds = np.log2(np.where(np.isfinite(seconds), seconds, np.nan))
        self.log_seconds = np.concatenate([self.log_seconds, log_seconds])
        known = np.isfinite(self.log_seconds)
        if known.any():
            # What failed counts as eight times slower than the slowest, so that its like is avoided.
            worst = self.log_seconds[known].max() + 3.0
            self.model.update(self.measured.features, np.where(known, self.log_seconds, worst))

    def _pool(self) -> Evaluated:
        if self.pool is None:
            drawn = self.space.evaluate(self.space.sample(self.generator, self.POOL))
            rows = np.flatnonzero(drawn.legal)
            self.pool = drawn.take(rows[unseen(drawn.population.take(rows), set())])
        return self.pool

    def _fresh(self, candidates: Evaluated, count: int, alike: bool) -> Evaluated:
        """The first ``count`` candidates not proposed before; unless ``alike``, none that the model cannot tell from
        one that was: knobs often differ without making a difference."""
        rows: list[int] = []
        for row in unseen(candidates.population, self.seen):
            if len(rows) >= count:
                break
            look = (int(candidates.population.sketch[row]), candidates.features[row].tobytes())
            if alike or look not in self.looks:
                self.looks.add(look)
                rows.append(row)
        fresh = candidates.take(rows)
        self.seen.update(fresh.population.key(row) for row in range(len(fresh)))
        return fresh

    def _evolve(self, pool: Evaluated, order: np.ndarray, scores: np.ndarray) -> Evaluated:
        """Descendants of the best measured and the best predicted candidates, best first by the model."""
        known = np.where(np.isfinite(self.log_seconds), self.log_seconds, np.inf)
        alive = np.argsort(known, kind="stable")[: self.PARENTS // 2]
        alive = alive[np.isfinite(known[alive])]
        best = order[: self.PARENTS - len(alive)]
        kept = pool.take(best)
        ranks = scores[best]
        if len(alive):
            own = self.measured.take(alive)
            kept, ranks = own.join(kept), np.concatenate([self.model.predict(own.features), ranks])
        kept, ranks = self._few_sketches(kept, ranks)
        for _ in range(self.GENERATIONS):
            front = np.argsort(ranks, kind="stable")[: 4 * self.PARENTS]
            front = front[unseen(kept.population.take(front), set())][: self.PARENTS]
            if not len(front):
                break
            children = self.space.evaluate(self._children(kept.population.take(front)))
            children = children.take(np.flatnonzero(children.legal))
            kept, ranks = kept.join(children), np.concatenate([ranks, self.model.predict(children.features)])
        return kept.take(np.argsort(ranks, kind="stable"))

    def _few_sketches(self, kept: Evaluated, ranks: np.ndarray) -> tuple[Evaluated, np.ndarray]:
        """Only candidates of the best few sketches: evaluation costs per sketch, not per candidate."""
        order = np.argsort(ranks, kind="stable")
        sketch = kept.population.sketch[order]
        leading = list(dict.fromkeys(sketch.tolist()))[: self.SKETCHES]
        rows = order[np.isin(sketch, leading)]
        return kept.take(rows), ranks[rows]

    def _children(self, parents: Population) -> Population:
        """Each child is a parent with some knobs moved, or mixed with another parent of its sketch."""
        generator, count = self.generator, self.CHILDREN
        # Better parents come first and have more children.
        picks = np.minimum((generator.random(count) ** 2 * len(parents)).astype(np.int64), len(parents) - 1)
        sketch, genes = parents.sketch[picks], parents.genes[picks].copy()
        others = picks[generator.permutation(count)]
        cross = (parents.sketch[others] == sketch) & (generator.random(count) < 0.3)
        mask = cross[:, None] & (generator.random(genes.shape) < 0.5)
        genes = np.where(mask, parents.genes[others], genes)
        sizes = self.space.sizes[sketch]
        moved = generator.random(genes.shape) < 1.5 / max(1, self.space.width)
        step = generator.choice(np.array([-2, -1, 1, 2]), genes.shape)
        near = np.clip(genes + step, 0, sizes - 1)
        anywhere = (generator.random(genes.shape) * sizes).astype(np.int64)
        genes = np.where(moved, np.where(generator.random(genes.shape) < 0.6, near, anywhere), genes)
        # Now and then the same numbers in another structure, where it has the same knobs.
        jump = generator.random(count) < 0.2
        target = generator.choice(np.unique(parents.sketch), count)
        same = np.array([self.space.names[a] == self.space.names[b] for a, b in zip(sketch, target, strict=True)], bool)
        sketch = np.where(jump & same, target, sketch)
        return Population(sketch, np.minimum(genes, self.space.sizes[sketch] - 1))
