"""Schedulers: which of many tasks gets the next turn."""

from __future__ import annotations

import math
from typing import Any

import pytest
from recorded_curves import recorded, share

from autotune.api import tuning_task
from autotune.errors import UsageError
from autotune.search.scheduling import Standing, get_scheduler, next_task, schedulers
from autotune.search.scheduling.likeness import likenesses

GRADIENT = get_scheduler("gradient")


def standing(*curve: tuple[int, float], **facts: object) -> Standing:
    return Standing(**{"weight": 1.0, "turn": 16, "curve": curve, **facts})  # type: ignore[arg-type]


def test_unknown_schedulers_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"unknown scheduler 'gradent'; known: .*gradient.*greedy.*round-robin"):
        get_scheduler("gradent")


@pytest.mark.parametrize("name", schedulers())
def test_every_task_has_a_first_turn_and_what_is_over_has_none(name: str) -> None:
    chosen = get_scheduler(name)
    had = standing((16, 1.0), weight=1000.0)
    assert next_task(chosen, [had, standing(work=2.0), standing(work=3.0)]) == 2
    assert next_task(chosen, [had, standing(work=2.0), standing(work=3.0, over="done")]) == 1
    assert next_task(chosen, [standing((16, 1.0), over="done"), standing((32, 1e-9))]) == 1
    assert next_task(chosen, [standing((16, 1.0), over="done")]) is None


def test_the_gradient_goes_where_the_most_is_to_be_saved() -> None:
    even = standing((16, 1.0), (32, 0.9))
    assert next_task(GRADIENT, [even, standing((16, 1.0), (32, 0.9), weight=2.0)]) == 1, "what counts more"
    assert next_task(GRADIENT, [even, standing((16, 1.1), (32, 0.9))]) == 1, "what improved more"
    assert next_task(GRADIENT, [standing((16, 1.0), (32, 0.9), (48, 0.9)), even]) == 1, "what had fewer trials"
    assert next_task(GRADIENT, [standing((16, 1.0), (32, 0.9), limit_seconds=0.89), even]) == 1, (
        "what is far from its limit"
    )
    assert next_task(GRADIENT, [even, standing((16, 1.0), (32, 0.9), price=0.5)]) == 1, "what costs less"
    assert next_task(GRADIENT, [even, standing((16, math.inf), weight=1e-3)]) == 1, "what does not work yet"


def test_similar_tasks_foretell_each_others_gain() -> None:
    fast, flat = standing((16, 2.0), (32, 1.0), over="done"), standing((16, 1.0), (32, 1.0), over="done")
    like_fast = standing((16, 1.0), likeness={0: 1.0})
    like_flat = standing((16, 1.0), likeness={1: 1.0})
    assert next_task(GRADIENT, [fast, flat, like_flat, like_fast]) == 3


def test_likeness_is_of_the_same_operator_and_threads() -> None:
    def conv(channels: int, threads: int = 1) -> object:
        return tuning_task("conv2d", threads=threads, in_channels=channels, out_channels=8, height=7, width=7)

    found = likenesses([conv(15), conv(31), conv(63), tuning_task("matmul", m=8, n=8, k=8)])  # type: ignore[list-item]
    assert found[0] == pytest.approx({1: 1 / 2, 2: 1 / 3}) and found[1] == pytest.approx({0: 1 / 2, 2: 1 / 2})
    assert found[3] == {}


# -- on recorded searches ----------------------------------------------------------------------------------------


def excess(name: str, tasks: list[dict[str, Any]], total: int) -> float:
    """How far above the best that is recorded the weighted time was, on average over the turns."""
    least = sum(one["weight"] * min(filter(None, one["seconds"])) for one in tasks)
    seconds = share(name, tasks, total).seconds
    return sum(seconds) / len(seconds) / least - 1


def test_the_gradient_is_better_than_turns_for_all_alike() -> None:
    tasks = recorded()
    skewed = [{**one, "weight": {0: 8, 5: 30}.get(number, 1)} for number, one in enumerate(tasks)]
    for some, total in ((tasks, 800), (skewed, 400)):
        even = excess("round-robin", some, total)
        assert excess("gradient", some, total) < 0.75 * even
        assert excess("gradient", some, total) < excess("ansor", some, total)


def test_greedy_stays_where_nothing_is_to_be_gained_and_the_gradient_does_not() -> None:
    stuck = {**recorded()[0], "weight": 10, "seconds": [2e-3] * 400, "limit": 1.9999e-3}
    tasks = [stuck, *({**one, "weight": 1} for one in recorded()[1:])]
    assert share("greedy", tasks, 384).trials == [272, *[16] * 7]
    gradient = share("gradient", tasks, 384).trials
    assert gradient[0] < 100 and min(gradient) == 16


def test_no_task_starves() -> None:
    """Even one whose time is a thousandth of the others' gets more turns, if the others do not run out of trials."""
    falling = [0.1 * (1 + trial) ** -0.1 for trial in range(100_000)]
    large = {**recorded()[0], "weight": 1, "seconds": falling, "limit": 0.0}
    small = {**recorded()[1], "weight": 1, "seconds": [1e-3 * s for s in falling], "limit": 0.0}
    assert share("gradient", [large, small], 100_000).trials[1] > 4 * 16
