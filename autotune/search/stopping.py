"""When a search has done enough: listeners that end it, and say why."""

from __future__ import annotations

import math

from autotune.search.events import Listener, Progress
from autotune.search.options import TuneOptions
from autotune.tuning_logs import Record


def stoppers(options: TuneOptions) -> list[Listener]:
    """The listeners that end a search as its options ask."""
    chosen: list[Listener] = []
    if options.budget is not None:
        chosen.append(Budget(options.budget))
    if options.patience is not None:
        chosen.append(Plateau(options.patience))
    if options.stop_at is not None:
        chosen.append(NearLimit(options.stop_at))
    return chosen


class Budget(Listener):
    """Ends a search after so many seconds of wall clock."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def should_stop(self, progress: Progress) -> str:
        return f"the budget of {self.seconds:g} s is used up" if progress.elapsed >= self.seconds else ""


class Plateau(Listener):
    """Ends a search when so many ``trials`` of this run in a row have not improved the best by a share of ``gain``."""

    def __init__(self, trials: int, gain: float = 0.01) -> None:
        self.trials, self.gain = trials, gain
        self._best, self._since = math.inf, 0

    def on_start(self, progress: Progress) -> None:
        self._best, self._since = progress.best_seconds or math.inf, 0

    def on_trial(self, record: Record, progress: Progress) -> None:
        best = progress.best_seconds or math.inf
        if best < self._best * (1 - self.gain):
            self._best, self._since = best, progress.new_trials

    def should_stop(self, progress: Progress) -> str:
        if progress.new_trials - self._since < self.trials:
            return ""
        return f"{self.trials} trials in a row were no better by {self.gain:.0%}"


class NearLimit(Listener):
    """Ends a search when the best reaches a ``fraction`` of what the roofline allows."""

    def __init__(self, fraction: float) -> None:
        self.fraction = fraction

    def should_stop(self, progress: Progress) -> str:
        reached = progress.limit_fraction
        if reached is None or reached < self.fraction:
            return ""
        return f"{reached:.1%} of the {progress.limit} limit is reached, and {self.fraction:.0%} was asked for"
