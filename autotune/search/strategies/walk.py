"""All candidates of a space, each once, so that any beginning is spread evenly."""

from __future__ import annotations

from math import gcd

import numpy as np

from autotune.search.space import Population, SearchSpace

GOLDEN = (5**0.5 - 1) / 2


class Walk:
    """Goes through every sketch's candidates, the sketches in turns.

    A sketch's candidates are numbered with their knobs as digits, and visited in steps of about the golden section of
    their number, coprime to it: so each is met once, and the first ones are far apart (a Weyl sequence: Niederreiter,
    Random Number Generation and Quasi-Monte Carlo Methods, 1992, chapter 3).
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.counts = [int(np.prod(row, dtype=object)) for row in space.sizes]
        self.strides = [_coprime(round(count * GOLDEN), count) for count in self.counts]
        self.done = [0] * len(self.counts)

    @property
    def over(self) -> bool:
        """Whether every candidate was visited."""
        return self.done == self.counts

    def take(self, count: int) -> Population:
        """The next ``count`` candidates or a few more, sketches in turns; fewer at the end."""
        left = [number for number, done in enumerate(self.done) if done < self.counts[number]]
        share = -(-count // max(1, len(left)))
        visited = [
            (turn, number) for number in left for turn in range(min(share, self.counts[number] - self.done[number]))
        ]
        genes = np.zeros((len(visited), self.space.width), np.int64)
        sketch = np.zeros(len(visited), np.int64)
        for row, (turn, number) in enumerate(sorted(visited)):
            sketch[row] = number
            place = (self.done[number] + turn) * self.strides[number] % self.counts[number]
            for knob, size in enumerate(self.space.sizes[number].tolist()):
                place, genes[row, knob] = divmod(place, size)
        for _, number in visited:
            self.done[number] += 1
        return Population(sketch, genes)


def _coprime(wanted: int, count: int) -> int:
    """The least number from ``wanted`` on that shares no factor with ``count``."""
    wanted = max(1, wanted)
    while gcd(wanted, count) > 1:
        wanted += 1
    return wanted
