"""Turns where the time goes: a control."""

from __future__ import annotations

from collections.abc import Sequence

from autotune.search.scheduling.scheduler import Standing, scheduler


@scheduler("greedy")
def greedy(standings: Sequence[Standing], able: Sequence[int]) -> int:
    """The task that has the largest share of the weighted time now.

    It stays with one that cannot be made faster until the roofline is reached.
    """
    return max(able, key=lambda number: _seconds(standings[number]))


def _seconds(one: Standing) -> float:
    return one.weight * one.best_seconds if one.best_seconds > one.limit_seconds else 0.0
