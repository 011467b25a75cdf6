"""A cost model held to its word: whatever it does wrong is one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np

from autotune.cost_model.model import CostModel
from autotune.errors import AutotuneError


class ModelError(AutotuneError):
    """A cost model that raises, or that predicts what is no number for each candidate."""


class GuardedModel:
    """A cost model whose every failure is a ``ModelError``."""

    def __init__(self, model: CostModel) -> None:
        self.model, self.name = model, type(model).__name__

    def predict(self, features: np.ndarray) -> np.ndarray:
        return self._numbers("predict", features)

    def spread(self, features: np.ndarray) -> np.ndarray:
        return self._numbers("spread", features)

    def update(self, features: np.ndarray, log_seconds: np.ndarray) -> None:
        self._call("update", features, log_seconds)

    def _call(self, method: str, *arguments: np.ndarray) -> Any:
        try:
            return getattr(self.model, method)(*arguments)
        except (Exception, SystemExit) as error:
            text = " ".join(str(error).split())[:200]
            raise ModelError(
                f"cost model {self.name} raised {type(error).__name__} in {method}" + (f": {text}" if text else "")
            ) from error

    def _numbers(self, method: str, features: np.ndarray) -> np.ndarray:
        """What the method returns, if that is a number for each candidate."""
        found = self._call(method, features)
        try:
            numbers = np.asarray(found, float)
        except (TypeError, ValueError):
            numbers = np.empty(0)
        if numbers.shape != (len(features),) or not np.isfinite(numbers).all():
            raise ModelError(
                f"cost model {self.name} returned from {method} what is not a finite number for each of "
                f"{len(features)} candidates"
            )
        return numbers
