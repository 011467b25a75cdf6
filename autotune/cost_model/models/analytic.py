"""The analytic estimate alone: knows the machine's facts, and learns nothing."""

from __future__ import annotations

import numpy as np

from autotune.cost_model.model import ANALYTIC, cost_model


@cost_model("analytic")
class AnalyticModel:
    """What ``analytic.estimate`` says."""

    def __init__(self, seed: int = 0) -> None:
        pass

    def predict(self, features: np.ndarray) -> np.ndarray:
        return features[:, ANALYTIC]

    def spread(self, features: np.ndarray) -> np.ndarray:
        return np.zeros(len(features))

    def update(self, features: np.ndarray, log_seconds: np.ndarray) -> None:
        """Measurements change nothing."""
