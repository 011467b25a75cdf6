"""How to search."""

from __future__ import annotations

from dataclasses import dataclass, field

from autotune.errors import UsageError
from autotune.measure.builders import BuildOptions
from autotune.measure.results import MeasureOptions

MAX_TRIALS = 10_000_000
MAX_SEED = 2**63 - 1  # what the database and the model's library take


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """``trials`` in all for the task, earlier runs' included; ``budget`` in seconds of wall clock, None for no limit.

    ``batch`` candidates are proposed at a time; ``finalists`` of the best are measured again head to head, in
    ``rounds``.
    """

    trials: int = 200
    budget: float | None = None
    strategy: str = "evolutionary"
    seed: int = 0
    batch: int = 16
    finalists: int = 6
    rounds: int = 25
    measure: MeasureOptions = field(default_factory=MeasureOptions)
    build: BuildOptions = field(default_factory=BuildOptions)

    def __post_init__(self) -> None:
        if not 1 <= self.trials <= MAX_TRIALS:
            raise UsageError(f"trials is {self.trials}; it must be from 1 to {MAX_TRIALS}")
        if self.budget is not None and not self.budget > 0:
            raise UsageError(f"budget is {self.budget} seconds; it must be positive")
        if not 0 <= self.seed <= MAX_SEED:
            raise UsageError(f"seed is {self.seed}; it must be from 0 to {MAX_SEED}")
