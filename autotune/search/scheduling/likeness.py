"""How much tasks resemble each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autotune.search.task import TuningTask
from autotune.tuning_logs.nearness import place, shape_distances


def likenesses(tasks: Sequence[TuningTask]) -> list[Mapping[int, float]]:
    """For each task the others of its family, target and number of threads, by number, from 0 to 1.

    1 / (1 + distance), with the distance that near answers of the database go by: one half where one axis is twice as
    long.
    """
    places = [place(task.workload.operator, task.workload.params, task.workload.text) for task in tasks]
    kinds = [(p.family, task.target.key, task.threads) for p, task in zip(places, tasks, strict=True)]
    found: list[Mapping[int, float]] = []
    for number, here in enumerate(places):
        others = [other for other, kind in enumerate(kinds) if other != number and kind == kinds[number]]
        distances = shape_distances(here.shape, [places[other].shape for other in others])
        found.append({other: float(1 / (1 + d)) for other, d in zip(others, distances, strict=True)})
    return found
