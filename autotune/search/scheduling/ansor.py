"""The task scheduler of Ansor (Zheng et al., OSDI 2020, section 6.2), as published, to compare with."""

from __future__ import annotations

import math
from collections.abc import Sequence

from autotune.search.scheduling.scheduler import Standing, scheduler

ALPHA = 0.2  # the weight of the backward difference
BETA = 2.0  # how much faster than its like a task is thought to become
WINDOW = 3  # turns back
ALIKE = 0.25  # what resembles a task more counts as its like


@scheduler("ansor")
def ansor(standings: Sequence[Standing], able: Sequence[int]) -> int:
    """The steepest of gradients, each the weighted sum of a backward difference and of an optimistic guess.

    The guess is the smaller of two gains: all of the time within as many trials again as there were, and ``BETA`` times
    the speed of the fastest similar task. Operations and bytes are the work that this speed is of. Without the random
    choices that the paper mixes in.
    """
    return max(able, key=lambda number: _slope(standings, number))


def _slope(standings: Sequence[Standing], number: int) -> float:
    one = standings[number]
    if not math.isfinite(one.best_seconds):
        return math.inf
    trials, seconds = one.curve[max(0, len(one.curve) - 1 - WINDOW)]
    passed = one.trials - trials
    backward = (seconds - one.best_seconds) / passed if passed and math.isfinite(seconds) else 0.0
    alike = (standings[other] for other, likeness in one.likeness.items() if likeness >= ALIKE)
    speed = max((other.work / other.best_seconds for other in (one, *alike)), default=0.0)
    guess = min(one.best_seconds / one.trials, max(0.0, one.best_seconds - one.work / (BETA * speed)))
    return one.weight * (ALPHA * backward + (1 - ALPHA) * guess)
