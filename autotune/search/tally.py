"""What a search's records come to, counted as they arrive."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from autotune.search.yardstick import Yardstick
from autotune.tuning_logs import Record

RECENT = 20  # records by whose probes the peak is told


class Tally:
    """Counts records, and keeps the ``best`` by the yardstick. ``failures`` has, by kind of error, how many there were
    and the first one's message."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self.records: list[Record] = []
        self.best: Record | None = None
        self._yardstick = Yardstick()
        self.failed = 0
        self.failures: dict[str, tuple[int, str]] = {}
        self._recent: deque[Record] = deque(maxlen=RECENT)
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Count one more record."""
        self.records.append(record)
        self._recent.append(record)
        if record.status != "ok":
            count, message = self.failures.get(record.status, (0, record.message))
            self.failures[record.status] = (count + 1, message)
            self.failed += 1
        elif self.best is None or self._yardstick.seconds(record) < self._yardstick.seconds(self.best):
            self.best = record

    @property
    def best_seconds(self) -> float | None:
        """The fastest record's time; None before the first that worked."""
        return self.best.seconds if self.best else None

    @property
    def peak_flops(self) -> float | None:
        """The most FLOP/s that probes beside the recent records reached on one core; None where none was read."""
        return max((r.probe * 1e9 for r in self._recent if r.probe), default=None)
