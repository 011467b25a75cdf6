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
    """The analytic estimate, corrected by an ensemble of trees.

    It starts as the analytic model, or with the correction of ``warm_start``. Half of the members learn log2(measured /
    estimated), the others log2 of the time itself, with the estimate as one feature among others: the first are right
    with few trials, the second where the estimate is wrong. They see different rows and features, and ``spread`` is how
    far they disagree. They are retrained whenever the measurements have grown by a factor, not each time, so that all
    training of a search costs a few times its last one.
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
        trained = self.members and len(features)
        return self._members(features).mean(axis=0) if trained else self._prior(features)

    def spread(self, features: np.ndarray) -> np.ndarray:
        trained = self.members and len(features)
        return self._members(features).std(axis=0) if trained else np.zeros(len(features))

    def update(self, features: np.ndarray, log_seconds: np.ndarray) -> None:
        count = len(log_seconds)
        if count < max(self.LEAST, self.trained_on * self.GROWTH):
            return
        if self.start is not None and self._is_misled(features, log_seconds):
            self.start = None
        self.members = [self._train(number, features, log_seconds) for number in range(self.MEMBERS)]
        self.trained_on = count

    def contributions(self, features: np.ndarray) -> np.ndarray:
        """[candidates x len(SCHEMA)]: what each feature adds to the correction of the estimate, log2 seconds, as
        Shapley values of the trees (Lundberg et al., Nature Machine Intelligence 2, 2020); zeros before training."""
        if not self.members:
            return np.zeros((len(features), len(SCHEMA)))
        data = xgboost.DMatrix(features, nthread=1)
        return np.mean([member.predict(data, pred_contribs=True)[:, :-1] for member in self.members[::2]], axis=0)

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

    def _start(self, number: int, features: np.ndarray) -> np.ndarray:
        """What a member's trees add to."""
        return self._prior(features) if number % 2 == 0 else np.zeros(len(features))

    def _members(self, features: np.ndarray) -> np.ndarray:
        """[members x candidates]: log2 seconds, as each member predicts them."""
        rows = np.ascontiguousarray(features)
        return np.stack(
            [self._start(number, rows) + member.inplace_predict(rows) for number, member in enumerate(self.members)]
        )

    def _is_misled(self, features: np.ndarray, log_seconds: np.ndarray) -> bool:
        started, plain = (rank_correlation(p, log_seconds) for p in (self._prior(features), features[:, ANALYTIC]))
        return started < plain

    def _train(self, number: int, features: np.ndarray, log_seconds: np.ndarray) -> xgboost.Booster:
        # What is slower than several times the best need not be told apart: the trees' leaves go to what is fast.
        weight = np.exp2(-np.clip(log_seconds - log_seconds.min(), 0.0, 4.0))
        data = xgboost.DMatrix(features, label=log_seconds - self._start(number, features), weight=weight, nthread=1)
        seed = (self.seed + 7919 * number) % 2**31
        return xgboost.train({**self.PARAMETERS, "seed": seed}, data, num_boost_round=self.TREES)


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
