"""Candidates on their way to a result: builders work on the next ones while one is measured."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping
from typing import Any, TypeAlias

from autotune.measure.builders import BuildResult
from autotune.measure.process import wait_any
from autotune.measure.results import MeasureResult
from autotune.schedules.schedule import Schedule
from autotune.search.workbench import Workbench

Outcome: TypeAlias = "tuple[BuildResult, MeasureResult | None]"  # None: it could not be built


class Pipeline:
    """Builds and measures what is submitted.

    Where builders share the measuring core, all that waits is built before anything is measured, and measured before
    anything more is built.
    """

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self._requests: deque[tuple[Hashable, dict[str, Any]]] = deque()  # not given to the builders yet
        self._built: deque[BuildResult] = deque()  # to be measured
        self._measured: dict[Hashable, BuildResult] = {}  # given to the measurer

    @property
    def busy(self) -> bool:
        """Whether anything that was submitted is not finished."""
        return bool(self._requests or self._bench.builders.pending or self._built or self._measured)

    @property
    def holds_back(self) -> bool:
        """Whether new candidates would disturb what is being measured."""
        return not self._bench.overlap and bool(self._measured)

    def submit(self, ident: Hashable, sketch: Schedule, knobs: Mapping[str, int]) -> None:
        """Queue a candidate."""
        self._requests.append((ident, self._bench.request(sketch, knobs)))
        self._build()

    def wait(self, timeout: float | None) -> None:
        """Wait until ``advance`` has something to do, for at most ``timeout`` seconds (None: no limit)."""
        wait_any([self._bench.builders, self._bench.measurer], timeout)

    def advance(self, best_ratio: float) -> list[Outcome]:
        """Take all that is ready one step further; returns what is finished. ``best_ratio`` is the time to beat
        in baselines."""
        finished: list[Outcome] = []
        for built in self._bench.builders.poll():
            if built.kernel is None:
                finished.append((built, None))
            else:
                self._built.append(built)
        while self._built and (self._bench.overlap or not self._bench.builders.pending):
            built = self._built.popleft()
            assert built.kernel is not None
            self._measured[built.ident] = built
            self._bench.measurer.submit(built.ident, built.kernel, best_ratio)
        finished += [(self._measured.pop(ident), result) for ident, result in self._bench.measurer.poll()]
        self._build()
        return finished

    def abandon(self) -> None:
        """Give up what is being built or measured."""
        self._requests.clear()
        self._built.clear()
        if self._bench.builders.pending:
            self._bench.builders.close()
        if self._measured:
            self._bench.measurer.close()

    def _build(self) -> None:
        while self._requests and not self.holds_back:
            self._bench.builders.submit(*self._requests.popleft())
