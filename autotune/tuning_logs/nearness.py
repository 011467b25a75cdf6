"""What is near: workloads of one family by their shapes, devices by their facts.

A family holds the workloads that differ in numbers only. Between two of them the distance is the sum over these numbers
of |log2((1 + a) / (1 + b))|: doubling one long axis costs about 1, and so does padding where there was none. It is a
metric, and the difference of the sums of log2(1 + a) never exceeds it, so an index on that sum (``size``) finds the
nearest without looking at all. Neither does the difference of sums in which some of the logarithms count negatively
(``contrasts``): shapes of one size that are far apart differ in one of them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_EXTENTS = re.compile(r"\[([\d,|]+)\]")  # of a tensor in an expression's canonical text: float32[64,5|7]
_NUMBERS = re.compile(r"\d+(?:,\d+)*\Z")  # of a parameter such as kernel=3,3
CONTRASTS = 3  # up to eight numbers any two are then told apart by a sign; more cost space in the index
FEATURES_WEIGHT = 8.0  # what two devices without a common instruction set extension are apart


@dataclass(frozen=True, slots=True)
class Place:
    """Where a workload stands: its family, its numbers as text (``1,64,56,56``), and sums of their logarithms.

    In contrast k those numbers count negatively whose position has bit k: the signs of Walsh's functions.
    """

    family: str
    shape: str
    size: float
    contrasts: tuple[float, ...]


def place(operator: str, params: Mapping[str, Any], text: str) -> Place:
    """Where a workload stands among others.

    Of a library's operator the integers count, lists of them too; what is a name or a flag must be equal; other
    numbers (an epsilon) decide nothing. An expression's numbers are the extents in its canonical text.
    """
    numbers: list[int] = []
    if not params:
        family = _EXTENTS.sub("[]", text)
        for extents in _EXTENTS.findall(text):
            numbers += [int(extent) for extent in re.findall(r"\d+", extents)]
    else:
        fixed = []
        for name, value in sorted(params.items()):
            found = _integers(value)
            numbers += found
            if found:
                fixed.append(f"{name}:{len(found)}")
            elif not isinstance(value, float):
                fixed.append(f"{name}={json.dumps(value, sort_keys=True)}")
        family = f"{operator}({', '.join(fixed)})"
    logs = [math.log2(1 + n) for n in numbers]
    contrasts = (
        math.fsum(-log if position >> bit & 1 else log for position, log in enumerate(logs)) for bit in range(CONTRASTS)
    )
    return Place(family, ",".join(map(str, numbers)), math.fsum(logs), tuple(contrasts))


def _integers(value: Any) -> list[int]:
    """The numbers that a parameter's value consists of, none where it is something else."""
    if isinstance(value, bool):
        return []
    if isinstance(value, int) and value >= 0:
        return [value]
    if isinstance(value, str) and _NUMBERS.match(value):
        return [int(number) for number in value.split(",")]
    if isinstance(value, (list, tuple)) and value and all(map(_integers, value)):
        return [number for item in value for number in _integers(item)]
    return []


def shape_distances(shape: str, others: Sequence[str]) -> np.ndarray:
    """The distances from a shape to others of its family."""
    if not shape or not others:
        return np.zeros(len(others))
    rows = np.fromstring(",".join(others), sep=",").reshape(len(others), -1)
    mine = np.fromstring(shape, sep=",")
    distances: np.ndarray = np.abs(np.log2(1 + rows) - np.log2(1 + mine)).sum(axis=1)
    return distances


def device_distance(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """How far devices are apart by their facts: 0 for equal ones, infinite where they share no fact.

    The sum of |log2(a / b)| over the positive numbers that both state (cores, cache sizes), ``FEATURES_WEIGHT`` times
    the Jaccard distance of their lists (instruction set extensions), and 1 for each text that differs (the CPU's name).
    """
    shared = one.keys() & other.keys()
    if not shared:
        return math.inf
    return sum(_fact_distance(one[name], other[name]) for name in sorted(shared))


def _fact_distance(a: Any, b: Any) -> float:
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        mine, theirs = set(map(str, a)), set(map(str, b))
        return FEATURES_WEIGHT * (1 - len(mine & theirs) / len(mine | theirs)) if mine | theirs else 0.0
    if isinstance(a, (int, float)) and isinstance(b, (int, float)) and a > 0 and b > 0:
        return abs(math.log2(a / b))
    return float(a != b)
