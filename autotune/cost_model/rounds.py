"""How well a model foretold a round of measurements: what it predicted before, beside what was measured."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True, slots=True)
class Round:
    """One batch of a search. ``measured`` counts the trials that worked, of ``proposed``; the figures are NaN where
    fewer than two did.

    ``rank_correlation`` is Spearman's between prediction and time, from -1 to 1. ``recall`` is the share of the
    fastest quarter that is in the predicted fastest quarter. ``regret`` is how much longer the predicted best took than
    the best of the round: 0.1 is ten percent. ``error`` is the root mean square of prediction less measurement in log2
    seconds, their means taken out. ``best_seconds`` is the fastest trial of the round.
    """

    batch: int
    proposed: int
    measured: int
    rank_correlation: float = math.nan
    recall: float = math.nan
    regret: float = math.nan
    error: float = math.nan
    best_seconds: float = math.nan

    @property
    def figures(self) -> dict[str, float | None]:
        """All but ``batch`` by name, None for NaN: as the database keeps them."""
        found = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "batch"}
        return {name: None if math.isnan(value) else value for name, value in found.items()}


def judge(batch: int, predicted: np.ndarray, seconds: np.ndarray) -> Round:
    """The round of a batch from predictions (lower is better) and times in seconds, infinite for failures."""
    worked = np.isfinite(seconds)
    count = int(worked.sum())
    best = float(seconds.min()) if count else math.nan
    if count < 2:
        return Round(batch, len(seconds), count, best_seconds=best)
    predicted, log_seconds = predicted[worked].astype(float), np.log2(seconds[worked])
    quarter = -(-count // 4)
    first = int(predicted.argmin())
    return Round(
        batch, len(seconds), count, rank_correlation(predicted, log_seconds), recall(predicted, log_seconds, quarter),
        float(np.exp2(log_seconds[first] - log_seconds.min()) - 1),
        float(((predicted - predicted.mean()) - (log_seconds - log_seconds.mean())).std()), best,
    )  # fmt: skip


def rank_correlation(predicted: np.ndarray, measured: np.ndarray) -> float:
    """Spearman's rank correlation: Pearson's of the ranks, equal values sharing their mean rank; 0 where all values of
    one side are equal."""
    a, b = _ranks(predicted), _ranks(measured)
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale else 0.0


def recall(predicted: np.ndarray, measured: np.ndarray, count: int) -> float:
    """The share of the ``count`` fastest that are among the ``count`` predicted fastest."""
    chosen = set(np.argsort(predicted, kind="stable")[:count].tolist())
    return len(chosen.intersection(np.argsort(measured, kind="stable")[:count].tolist())) / count


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends: np.ndarray = np.cumsum(counts)
    return (ends - (counts + 1) / 2)[inverse]
