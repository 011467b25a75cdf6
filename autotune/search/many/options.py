"""How to share a budget among tasks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from numbers import Real

from autotune.errors import UsageError
from autotune.search.limits import check_count
from autotune.search.options import MAX_TRIALS, TuneOptions
from autotune.search.scheduling import get_scheduler

TRIALS_PER_TASK = 100  # where neither trials nor a budget are given


@dataclass(frozen=True, slots=True)
class ManyOptions:
    """``trials`` of all tasks together, earlier runs' included; ``budget`` in seconds of wall clock, finals included.

    Where both are None, there are ``TRIALS_PER_TASK`` for each task. A turn is ``turn`` batches of one task.
    ``search`` says how each task is searched; its own ``trials`` and ``budget`` do not count.
    """

    trials: int | None = None
    budget: float | None = None
    scheduler: str = "gradient"
    turn: int = 2
    search: TuneOptions = field(default_factory=lambda: TuneOptions(finalists=4))

    def __post_init__(self) -> None:
        get_scheduler(self.scheduler)
        object.__setattr__(self, "turn", check_count("turn", self.turn))
        if self.trials is not None:
            object.__setattr__(self, "trials", check_count("trials", self.trials, 1, MAX_TRIALS))
        if self.budget is not None:
            if not isinstance(self.budget, Real) or not 0 < self.budget < math.inf:
                raise UsageError(f"budget is {self.budget!r}; it must be a positive number of seconds")
            object.__setattr__(self, "budget", float(self.budget))

    def total(self, tasks: int) -> int:
        """Trials of all tasks together."""
        if self.trials is not None:
            return self.trials
        return MAX_TRIALS if self.budget is not None else TRIALS_PER_TASK * tasks
