"""A model that knows nothing, the control that every other model is measured against."""

from __future__ import annotations

import numpy as np

from autotune.cost_model.features import SCHEMA
from autotune.cost_model.model import cost_model


@cost_model("random")
class RandomModel:
    """An arbitrary number for each candidate, the same whenever it is asked."""

    def __init__(self, seed: int = 0) -> None:
        self.multipliers = np.random.default_rng(seed).integers(1, 2**64, len(SCHEMA), np.uint64) | np.uint64(1)

    def predict(self, features: np.ndarray) -> np.ndarray:
        bits = np.ascontiguousarray(features, np.float32).view(np.uint32).astype(np.uint64)
        mixed = (bits * self.multipliers).sum(axis=1, dtype=np.uint64)
        mixed = (mixed ^ (mixed >> np.uint64(32))) * self.multipliers[0]
        return (mixed >> np.uint64(11)) / 2.0**53

    def spread(self, features: np.ndarray) -> np.ndarray:
        return np.zeros(len(features))

    def update(self, features: np.ndarray, log_seconds: np.ndarray) -> None:
        """Measurements change nothing."""
