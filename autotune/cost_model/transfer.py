"""What the database's trials of other workloads and devices say about a new one.

Features mean the same for every operator, so that what the analytic estimate gets wrong on neighbours can be learnt
before the first trial. Each task counts alike, and its mean is taken out: what devices and kernels have in common is
which candidates are faster than estimated, not by how much the estimate is off as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import xgboost

from autotune.cost_model.model import ANALYTIC, CostModel
from autotune.cost_model.models.xgboost import LearnedModel
from autotune.cost_model.recorded import Measured, measured
from autotune.errors import AutotuneError
from autotune.targets.facts import Target
from autotune.tensor_expr.operators import get_operator
from autotune.tuning_logs import Task, TuningDatabase
from autotune.tuning_logs.nearness import device_distance, place, shape_distances

TASKS = 6  # the nearest
NEWEST = 200  # trials of each
LEAST = 24  # trials that a task must have to count
TREES = 60


@dataclass(frozen=True, slots=True)
class Transferred:
    """A correction of the analytic estimate that was learnt from ``tasks`` others."""

    trees: xgboost.Booster
    tasks: tuple[Task, ...]

    def predict(self, features: np.ndarray) -> np.ndarray:
        """[candidates]: log2 seconds to add to the analytic estimate, up to a constant."""
        return self.trees.inplace_predict(np.ascontiguousarray(features))


def warm_start(
    model: CostModel, database: TuningDatabase, task: Task, target: Target, seed: int, until: str | None = None
) -> None:
    """Give a model that can use it what ``transferred`` finds; others stay as they are."""
    if isinstance(model, LearnedModel):
        found = transferred(database, task, target, seed, until)
        if found is not None:
            model.warm_start(found)


def transferred(
    database: TuningDatabase, task: Task, target: Target, seed: int, until: str | None = None
) -> Transferred | None:
    """What the nearest other tasks of the target teach; None where there are none.

    With ``until``, only what was stored up to that trial counts. The same database gives the same trees.
    """
    found = []
    for other in _nearest(database, task):
        try:
            trials = _measured(database, other, target, until)
        except AutotuneError:  # an operator that another release knew, or knew otherwise
            continue
        if len(trials) >= LEAST:
            found.append((other, trials))
        if len(found) == TASKS:
            break
    if not found:
        return None
    labels, weights = zip(*(_centred(trials) for _, trials in found), strict=True)
    features = np.concatenate([trials.features for _, trials in found])
    data = xgboost.DMatrix(features, label=np.concatenate(labels), weight=np.concatenate(weights))
    parameters = {**LearnedModel.PARAMETERS, "eta": 0.1, "seed": seed % 2**31}
    return Transferred(xgboost.train(parameters, data, num_boost_round=TREES), tuple(other for other, _ in found))


def _nearest(database: TuningDatabase, task: Task) -> Iterator[Task]:
    """The other tasks of the target: those of the workload's family by distance, then the others as they were stored;
    equally near ones on nearer devices first."""
    here = place(task.workload.operator, task.workload.params, task.workload.text)
    ranked = []
    for number, other in enumerate(database.tasks()):
        same = (other.workload.key, other.device.key, other.threads) == (
            task.workload.key, task.device.key, task.threads,
        )  # fmt: skip
        if same or other.target.key != task.target.key or not other.workload.params:
            continue
        there = place(other.workload.operator, other.workload.params, other.workload.text)
        near = here.family == there.family
        distance = float(shape_distances(here.shape, [there.shape])[0]) if near else math.inf
        ranked.append((distance, device_distance(task.device.facts, other.device.facts), number, other))
    yield from (other for *_, other in sorted(ranked, key=lambda one: one[:3]))


def _measured(database: TuningDatabase, task: Task, target: Target, until: str | None) -> Measured:
    records = database.records(task, phase="trial", until=until)[-NEWEST:]
    workload = get_operator(task.workload.operator)(**task.workload.params)
    return measured(workload, target, task.threads, records)


def _centred(trials: Measured) -> tuple[np.ndarray, np.ndarray]:
    """What each trial took beyond the estimate, less the task's mean, and weights: fast ones count most."""
    beyond = trials.log_seconds - trials.features[:, ANALYTIC]
    weight = np.exp2(-np.clip(trials.log_seconds - trials.log_seconds.min(), 0.0, 4.0))
    return beyond - np.average(beyond, weights=weight), 100.0 * weight / weight.sum()
