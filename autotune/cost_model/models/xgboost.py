"""Gradient-boosted trees that correct the analytic estimate (XGBoost: Chen and Guestrin, KDD 2016)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import xgboost

from autotune.cost_model.features import SCHEMA
from autotune.cost_model.model import ANALYTIC, cost_model


@cost_model("xgboost")
class LearnedModel:
    """The analytic estimate, corrected by trees.

    The trees learn log2(measured / estimated), so that the model starts as the analytic one. They are retrained
    whenever the measurements have grown by a factor, not each time.
    """

    GROWTH = 1.4
    LEAST = 12
    PARAMETERS: ClassVar[dict[str, object]] = {
        "objective": "reg:squarederror", "max_depth": 5, "eta": 0.15, "subsample": 0.9, "min_child_weight": 1.0,
        "lambda": 1.0, "tree_method": "hist", "nthread": 1, "verbosity": 0,
    }  # fmt: skip
    ROUNDS = 60

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.trees: xgboost.Booster | None = None
        self.trained_on = 0

    def predict(self, features: np.ndarray) -> np.ndarray:
        prior = features[:, ANALYTIC]
        if self.trees is None or not len(features):
            return prior
        return prior + self.trees.inplace_predict(np.ascontiguousarray(features))

    def spread(self, features: np.ndarray) -> np.ndarray:
        return np.zeros(len(features))

    def update(self, features: np.ndarray, log_seconds: np.ndarray) -> None:
        count = len(log_seconds)
        if count < max(self.LEAST, self.trained_on * self.GROWTH):
            return
        assert features.shape[1] == len(SCHEMA)
        residual = log_seconds - features[:, ANALYTIC]
        # What is slower than several times the best need not be told apart: the trees' leaves go to what is fast.
        best = log_seconds.min()
        weight = np.exp2(-np.clip(log_seconds - best, 0.0, 4.0))
        data = xgboost.DMatrix(features, label=residual, weight=weight)
        self.trees = xgboost.train({**self.PARAMETERS, "seed": self.seed}, data, num_boost_round=self.ROUNDS)
        self.trained_on = count
