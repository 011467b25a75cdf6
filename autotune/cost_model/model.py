"""What a cost model is, and the registry of those that exist."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import numpy as np

ANALYTIC = 0  # the feature that holds the analytic estimate, log2(1 + cycles)


@runtime_checkable
class CostModel(Protocol):
    """Predicts log2 of candidates' seconds, up to a constant that all candidates of a task share; lower is better.

    ``features`` is [candidates x len(SCHEMA)], as ``features.evaluate`` makes them.
    """

    def predict(self, features: np.ndarray) -> np.ndarray:
        """[candidates], log2 seconds."""

    def spread(self, features: np.ndarray) -> np.ndarray:
        """[candidates]: standard deviation of what the model's members predict, log2 seconds; zeros where it has one
        member."""

    def update(self, features: np.ndarray, log_seconds: np.ndarray) -> None:
        """Learn from all that has been measured so far: features, and log2 of seconds."""


Factory = Callable[[int], CostModel]
_COST_MODELS: dict[str, Factory] = {}


def cost_model(name: str) -> Callable[[Factory], Factory]:
    """Register a class ``(seed) -> CostModel`` under a name."""

    def decorate(factory: Factory) -> Factory:
        _COST_MODELS[name] = factory
        return factory

    return decorate


def cost_models() -> Mapping[str, Factory]:
    """All cost models by name."""
    return dict(sorted(_COST_MODELS.items()))
