"""Turns for all alike: a control."""

from __future__ import annotations

from collections.abc import Sequence

from autotune.search.scheduling.scheduler import Standing, scheduler


@scheduler("round-robin")
def round_robin(standings: Sequence[Standing], able: Sequence[int]) -> int:
    """The task with the fewest trials, whatever they brought."""
    return min(able, key=lambda number: standings[number].trials)
