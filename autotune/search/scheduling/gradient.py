"""Turns where they are expected to save the most: the scheduler that is taken unless another one is asked for.

Ansor's (Zheng et al., OSDI 2020, section 6) guesses a task's gain from its last slope and from what could be gained at
most. Here it is predicted. The best of n draws improves ever more slowly: from n to n + m trials by the factor
((n + m) / n) ** rate, if the logarithms of the draws fall off exponentially towards the fast end. That rate is all that
is to be estimated, from the task's own improvements, the recent ones before all, from those of similar tasks, and from
what is usual. What the roofline leaves to be gained bounds it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from autotune.search.scheduling.scheduler import Standing, scheduler

USUAL_RATE = 0.1  # e-folds of improvement per e-fold of trials
USUAL_WEIGHT = 1.0  # the usual rate counts as if it had been seen over so many e-folds of trials
FORGET = 0.6  # of what was seen a turn earlier
OTHERS = 0.3  # what is seen of a task that resembles this one perfectly, beside what is seen of itself


@scheduler("gradient")
def gradient(standings: Sequence[Standing], able: Sequence[int]) -> int:
    """The task whose next turn is expected to save the most weighted seconds, for what the turn costs.

    Similar tasks foretell each other's gain. No task starves: an expectation is never zero, and falls with each turn,
    so that the others' becomes the larger one.
    """
    seen = [observed(one) for one in standings]
    return max(able, key=lambda number: expected_gain(standings[number], rate(number, standings, seen)))


def expected_gain(one: Standing, rate: float) -> float:
    """Weighted seconds that the next turn is expected to save, for each unit of its price."""
    if not math.isfinite(one.best_seconds):
        return math.inf  # nothing works yet, and without it nothing else helps
    return one.weight * one.best_seconds * _share(one, rate) / one.price


def expected_shares(standings: Sequence[Standing]) -> list[float | None]:
    """The share of its time that each task is expected to save in its next turn; None where nothing is known of it."""
    seen = [observed(one) for one in standings]
    return [
        _share(one, rate(number, standings, seen)) if math.isfinite(one.best_seconds) else None
        for number, one in enumerate(standings)
    ]


def _share(one: Standing, rate: float) -> float:
    gain = rate * math.log((one.trials + one.turn) / one.trials)
    if one.limit_seconds > 0:
        room = max(0.0, math.log(one.best_seconds / one.limit_seconds))
        gain = gain * room / (gain + room) if room else 0.0
    return -math.expm1(-gain)


def rate(number: int, standings: Sequence[Standing], seen: Sequence[tuple[float, float]]) -> float:
    """E-folds of improvement per e-fold of trials, of a task among others of which so much was ``seen``."""
    gained, passed = seen[number]
    gained, passed = gained + USUAL_WEIGHT * USUAL_RATE, passed + USUAL_WEIGHT
    for other, likeness in standings[number].likeness.items():
        gained += OTHERS * likeness * seen[other][0]
        passed += OTHERS * likeness * seen[other][1]
    return gained / passed


def observed(one: Standing) -> tuple[float, float]:
    """By how many e-folds the best improved, and over how many e-folds of trials; earlier turns count less."""
    gained = passed = 0.0
    for (before, slower), (after, faster) in zip(one.curve, one.curve[1:], strict=False):
        if math.isfinite(slower):
            gained = FORGET * gained + math.log(slower / faster)
            passed = FORGET * passed + math.log(after / before)
    return gained, passed
