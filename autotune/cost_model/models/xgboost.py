"""Gradient-boosted trees that correct the analytic estimate (XGBoost: Chen and Guestrin, KDD 2016)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import xgboost

from autotune.cost_model.features import FEATURE_VERSION, SCHEMA, check_version
from autotune.cost_model.model import ANALYTIC, cost_model
from autotune.cost_model.rounds import rank_correlation
from autotune.errors import UsageError


class Correction(Protocol):
    """What the analytic estimate is to be corrected by before anything is known of the task: log2 seconds."""

    def predict(self, features: np.ndarray) -> np.ndarray:
        """[candidates]"""


@cost_model("xgboost")
class LearnedModel:
    """The analytic estimate, corrected by an ensemble of trees that learn log2(measured / estimated).

    It starts as the analytic model, or with the correction of ``warm_start``. The members see different rows and
    features, and ``spread`` is how far they disagree. They are retrained whenever the measurements have grown by a
    factor, not each time, so that all training of a search costs a few times its last one.
    """

    GROWTH = 1.4
    LEAST = 12  # measurements
    MEMBERS = 4
    TREES = 30
    PARAMETERS: ClassVar[dict[str, object]] = {
        "objective": "reg:squarederror", "max_depth": 4, "eta": 0.2, "subsample": 0.6, "colsample_bynode": 0.5,
        "min_child_weight": 1.0, "lambda": 2.0, "tree_method": "hist", "nthread": 1, "verbosity": 0,
    }  # fmt: skip

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.members: list[xgboost.Booster] = []
        self.trained_on = 0
        self.start: Correction | None = None

    def warm_start(self, start: Correction) -> None:
        """Begin with a correction learnt elsewhere; it is dropped once it ranks measurements worse than none does."""
        self.start = start

    def predict(self, features: np.ndarray) -> np.ndarray:
        prior = self._prior(features)
        return prior + self._corrections(features).mean(axis=0) if self.members and len(features) else prior

    def spread(self, features: np.ndarray) -> np.ndarray:
        return self._corrections(features).std(axis=0) if self.members and len(features) else np.zeros(len(features))

    def update(self, features: np.ndarray, log_seconds: np.ndarray) -> None:
        count = len(log_seconds)
        if count < max(self.LEAST, self.trained_on * self.GROWTH):
            return
        if self.start is not None and self._is_misled(features, log_seconds):
            self.start = None
        self.members = [self._train(features, log_seconds, self.seed + number * 7919) for number in range(self.MEMBERS)]
        self.trained_on = count

    def contributions(self, features: np.ndarray) -> np.ndarray:
        """[candidates x len(SCHEMA)]: what each feature adds to the correction of each candidate's log2 seconds, as
        Shapley values of the trees (Lundberg et al., Nature Machine Intelligence 2, 2020); zeros before training."""
        if not self.members:
            return np.zeros((len(features), len(SCHEMA)))
        data = xgboost.DMatrix(features)
        return np.mean([member.predict(data, pred_contribs=True)[:, :-1] for member in self.members], axis=0)

    def save(self, path: str | Path) -> None:
        """Write the trees to a JSON file, which ``load_model`` reads."""
        stored = {
            "feature_version": FEATURE_VERSION, "trained_on": self.trained_on,
            "members": [json.loads(bytes(member.save_raw("json"))) for member in self.members],
        }  # fmt: skip
        Path(path).write_text(json.dumps(stored), encoding="utf-8")

    def _prior(self, features: np.ndarray) -> np.ndarray:
        prior = features[:, ANALYTIC]
        return prior if self.start is None or not len(features) else prior + self.start.predict(features)

    def _corrections(self, features: np.ndarray) -> np.ndarray:
        rows = np.ascontiguousarray(features)
        return np.stack([member.inplace_predict(rows) for member in self.members])

    def _is_misled(self, features: np.ndarray, log_seconds: np.ndarray) -> bool:
        started, plain = (rank_correlation(p, log_seconds) for p in (self._prior(features), features[:, ANALYTIC]))
        return started < plain

    def _train(self, features: np.ndarray, log_seconds: np.ndarray, seed: int) -> xgboost.Booster:
        # What is slower than several times the best need not be told apart: the trees' leaves go to what is fast.
        weight = np.exp2(-np.clip(log_seconds - log_seconds.min(), 0.0, 4.0))
        data = xgboost.DMatrix(features, label=log_seconds - self._prior(features), weight=weight)
        return xgboost.train({**self.PARAMETERS, "seed": seed % 2**31}, data, num_boost_round=self.TREES)


def load_model(path: str | Path) -> LearnedModel:
    """The model that ``save`` wrote; ``UsageError`` for what is none, or was trained on another feature schema."""
    try:
        stored: Any = json.loads(Path(path).read_text(encoding="utf-8"))
        version, members, count = stored["feature_version"], stored["members"], int(stored["trained_on"])
    except OSError as error:
        raise UsageError(f"cannot read the cost model {path}: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, RecursionError):
        raise UsageError(f"{path} holds no cost model, such as LearnedModel.save writes") from None
    check_version(version, f"the cost model in {path}")
    model = LearnedModel()
    model.members, model.trained_on = _boosters(members, path), count
    return model


def _boosters(members: Sequence[Any], path: str | Path) -> list[xgboost.Booster]:
    try:
        found = [xgboost.Booster(model_file=bytearray(json.dumps(member).encode())) for member in members]
    except (xgboost.core.XGBoostError, TypeError) as error:
        raise UsageError(f"the cost model in {path} is damaged: {str(error).splitlines()[-1]:.200}") from None
    return found
