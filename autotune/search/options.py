"""How to search."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from numbers import Real

from autotune.errors import UsageError
from autotune.measure.builders import BuildOptions
from autotune.measure.results import MeasureOptions
from autotune.search.limits import check_count
from autotune.search.strategies import Factory, check_strategy
from autotune.tensor_expr.algorithms import check_algorithms

MAX_TRIALS = 10_000_000
MAX_SEED = 2**63 - 1  # what the database and the model's library take


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """``trials`` in all for the task, earlier runs' included; ``budget`` in seconds of wall clock, None for no limit.

    The search ends early when ``patience`` trials in a row brought no improvement by 1%, or when the best reaches the
    fraction ``stop_at`` of what the roofline allows; None for neither. ``algorithms``: the definitions of the workload
    that are searched (``alternatives``), None for all of them.
    ``check``: verify the IR of every candidate between passes, and LLVM's, while it is built.
    ``strategy``: the name of one, or a class that is made with a space, a cost model and a seed.
    ``transfer``: a learned model begins with what the database has of other workloads and devices.
    ``batch`` candidates are proposed at a time; ``finalists`` of the best are measured again head to head, in
    ``rounds``.
    """

    trials: int = 200
    budget: float | None = None
    patience: int | None = None
    stop_at: float | None = None
    algorithms: tuple[str, ...] | None = None
    strategy: str | Factory = "evolutionary"
    cost_model: str = "xgboost"
    transfer: bool = False
    seed: int = 0
    batch: int = 16
    finalists: int = 6
    rounds: int = 25
    check: bool = False
    measure: MeasureOptions = field(default_factory=MeasureOptions)
    build: BuildOptions = field(default_factory=BuildOptions)

    def __post_init__(self) -> None:
        check_strategy(self.strategy)
        bounds = {"trials": (1, MAX_TRIALS), "seed": (0, MAX_SEED)}
        bounds |= dict.fromkeys(("batch", "finalists", "rounds"), (1, MAX_TRIALS))
        for name, (least, most) in bounds.items():
            object.__setattr__(self, name, check_count(name, getattr(self, name), least, most))
        if self.patience is not None:
            object.__setattr__(self, "patience", check_count("patience", self.patience, 1, MAX_TRIALS))
        object.__setattr__(self, "algorithms", check_algorithms(self.algorithms))
        if self.stop_at is not None and not (isinstance(self.stop_at, Real) and 0 < self.stop_at <= 1):
            raise UsageError(f"stop_at is {self.stop_at!r}; it must be a fraction above 0, at most 1")
        if self.budget is not None:
            if not isinstance(self.budget, Real) or not 0 < self.budget < math.inf:
                raise UsageError(f"budget is {self.budget!r}; it must be a positive number of seconds")
            object.__setattr__(self, "budget", float(self.budget))
