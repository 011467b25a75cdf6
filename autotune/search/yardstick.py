"""Times of a machine whose speed drifts, made comparable."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from autotune.tuning_logs import Record


class Yardstick:
    """Compares records by their times as multiples of the baselines beside them.

    So that they remain seconds, all are scaled to the first baseline that the yardstick met. A record without one, as
    older releases left, counts as it is.
    """

    def __init__(self) -> None:
        self._length: float | None = None

    def seconds(self, record: Record) -> float:
        """The record's time as if the baseline had always taken as long; infinite where the trial failed."""
        if record.status != "ok" or record.seconds is None:
            return math.inf
        if record.baseline_seconds is None:
            return record.seconds
        if self._length is None:
            self._length = record.baseline_seconds
        return record.seconds / record.baseline_seconds * self._length

    def all_seconds(self, records: Iterable[Record]) -> np.ndarray:
        """The times of records, one after the other."""
        return np.array([self.seconds(record) for record in records])


def ratio(record: Record | None) -> float:
    """A record's time as a multiple of its baseline's; infinite where it has none."""
    if record is None or not record.seconds or not record.baseline_seconds:
        return math.inf
    return record.seconds / record.baseline_seconds
