"""How often to time a kernel, and what its samples say: decisions alone, so that a test can drift the clock.

A baseline of the same kind (see Clock) is timed before and after every sample. Two samples are compared as ratios to
the baselines beside them, so that what slows both, a falling clock or a busy neighbour, cancels out.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autotune.measure.results import median_interval

Timer = Callable[[int], float]  # the number of runs in a row -> seconds per run
Baseline = Callable[[], float]  # -> seconds that the baseline takes now

_RESTLESS, _MORE_ROUNDS = 1.1, 3


@dataclass(frozen=True, slots=True)
class Reading:
    """``samples`` in seconds per run, and ``baseline``: what the baseline took, in the sense that the ratio of the
    samples' median to it is the median of the ratios."""

    samples: tuple[float, ...]
    baseline: float

    @property
    def ratio(self) -> float:
        """The kernel's time as a multiple of the baseline's."""
        return statistics.median(self.samples) / self.baseline


def _reading(samples: Sequence[float], beside: Sequence[float]) -> Reading:
    ratio = statistics.median(s / b for s, b in zip(samples, beside, strict=True))
    return Reading(tuple(samples), statistics.median(samples) / ratio)


def runs_per_sample(once: float, options: Mapping[str, Any]) -> int:
    """How many runs of ``once`` seconds make a sample long enough; one where caches are to be cold."""
    if options["cache"] == "cold":
        return 1
    return max(1, math.ceil(options["min_sample_seconds"] / max(once, 1e-9)))


def sample_trial(time: Timer, baseline: Baseline, best_ratio: float, options: Mapping[str, Any]) -> Reading:
    """Sample until it is decided whether the kernel is faster than ``best_ratio`` baselines, and how fast if it is.

    What is hopeless stops after one sample, if it was as slow in the warming run before: one time may have shared its
    core with something else.
    """
    once = time(1)
    number = runs_per_sample(once, options)
    before = baseline()
    samples: list[float] = []
    beside: list[float] = []
    spent = once
    while len(samples) < options["max_samples"] and (not samples or spent < options["max_seconds"]):
        samples.append(time(number))
        after = baseline()
        beside.append((before + after) / 2)
        before = after
        spent += samples[-1] * number
        ratios = [sample / base for sample, base in zip(samples, beside, strict=True)]
        if min(*ratios, once / beside[0]) > options["race_factor"] * best_ratio:
            break
        if len(samples) >= options["min_samples"]:
            low, high = median_interval(ratios)
            if low > best_ratio or high - low <= options["spread"] * statistics.median(ratios):
                break
    return _reading(samples, beside)


def sample_head_to_head(
    times: Sequence[Timer], baseline: Baseline, rounds: int, max_seconds: float, options: Mapping[str, Any]
) -> list[Reading]:
    """Time kernels in interleaved rounds, forwards and backwards in turn, one sample each a round; more rounds where
    the machine is restless. All readings are scaled to one baseline, so that their samples compare as they are."""
    numbers = [runs_per_sample(time(1), options) for time in times]
    samples: list[list[float]] = [[] for _ in times]
    beside: list[list[float]] = [[] for _ in times]
    before, spent, turn = baseline(), 0.0, 0
    while turn == 0 or (
        spent < max_seconds and (turn < rounds or (turn < _MORE_ROUNDS * rounds and _restless(samples, beside)))
    ):
        order = range(len(times))
        for index in order if turn % 2 == 0 else reversed(order):
            warming = times[index](1)  # what ran before has left its own data in the caches
            samples[index].append(times[index](numbers[index]))
            after = baseline()
            beside[index].append((before + after) / 2)
            before = after
            spent += warming + samples[index][-1] * numbers[index]
        turn += 1
    common = statistics.median(base for bases in beside for base in bases)
    return [
        Reading(tuple(sample * common / base for sample, base in zip(taken, bases, strict=True)), common)
        for taken, bases in zip(samples, beside, strict=True)
    ]


def _restless(samples: Sequence[Sequence[float]], beside: Sequence[Sequence[float]]) -> bool:
    """Whether even the steadiest kernel's median lies well above its shortest time."""
    spreads = []
    for taken, bases in zip(samples, beside, strict=True):
        ratios = [sample / base for sample, base in zip(taken, bases, strict=True)]
        spreads.append(statistics.median(ratios) / min(ratios))
    return min(spreads) > _RESTLESS
