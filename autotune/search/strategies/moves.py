"""Steps from candidates to others like them."""

from __future__ import annotations

import numpy as np

from autotune.search.space import Evaluated, Population, SearchSpace

STEPS = np.array([-2, -1, 1, 2])


def moved(space: SearchSpace, population: Population, generator: np.random.Generator, knobs: float) -> Population:
    """The candidates with about ``knobs`` knobs of each moved: most by a step or two, some anywhere."""
    genes, sizes = population.genes, space.sizes[population.sketch]
    chosen = generator.random(genes.shape) < knobs / max(1, space.width)
    near = np.clip(genes + generator.choice(STEPS, genes.shape), 0, sizes - 1)
    anywhere = (generator.random(genes.shape) * sizes).astype(np.int64)
    to = np.where(generator.random(genes.shape) < 0.6, near, anywhere)
    return Population(population.sketch, np.where(chosen, to, genes))


def jumped(space: SearchSpace, population: Population, generator: np.random.Generator, share: float) -> Population:
    """Some of the candidates with the same numbers in another of the population's sketches, where that has the same
    knobs."""
    kinds = _kinds(space)
    to = generator.choice(np.unique(population.sketch), len(population))
    jumps = (generator.random(len(population)) < share) & (kinds[to] == kinds[population.sketch])
    sketch = np.where(jumps, to, population.sketch)
    return Population(sketch, np.minimum(population.genes, space.sizes[sketch] - 1))


def one_knob_away(space: SearchSpace, population: Population, row: int) -> Population:
    """Every candidate that differs in one knob, the smallest moves first."""
    number, genes = int(population.sketch[row]), population.genes[row]
    moves = [
        (abs(value - genes[knob]), knob, value)
        for knob, size in enumerate(space.sizes[number])
        for value in range(size)
        if value != genes[knob]
    ]
    found = np.repeat(genes[None, :], len(moves), axis=0)
    for place, (_, knob, value) in enumerate(sorted(moves)):
        found[place, knob] = value
    return Population(np.full(len(moves), number), found)


def other_structures(space: SearchSpace, population: Population, row: int) -> Population:
    """The same numbers in every other sketch that has the same knobs."""
    kinds, own = _kinds(space), int(population.sketch[row])
    others = np.flatnonzero((kinds == kinds[own]) & (np.arange(len(kinds)) != own))
    genes = np.repeat(population.genes[row][None, :], len(others), axis=0)
    return Population(others, np.minimum(genes, space.sizes[others] - 1))


def of_few_sketches(candidates: Evaluated, scores: np.ndarray, most: int) -> np.ndarray:
    """The rows of the sketches with the best scores, best first: evaluation costs per sketch, not per candidate."""
    order = np.argsort(scores, kind="stable")
    sketch = candidates.population.sketch[order]
    leading = list(dict.fromkeys(sketch.tolist()))[:most]
    return order[np.isin(sketch, leading)]


def _kinds(space: SearchSpace) -> np.ndarray:
    """A number for each sketch, equal for those that have the same knobs."""
    names = [tuple(knobs) for knobs in space.names]
    return np.array([names.index(own) for own in names])
