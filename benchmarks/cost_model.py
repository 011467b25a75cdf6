"""Cost models compared on recorded trials: ``python benchmarks/cost_model.py PART``, each part a command of its own.

collect    fill a database: per workload 150 random trials, 100 evolved by the analytic model and 200 by the learned one
compare    models that train on some trials of a workload and rank the others: rank correlation, recall, regret
transfer   the same for a model that starts with what the other workloads of the database teach

Figures are means over workloads and seeds. Recall is the share of the 16 fastest among the 16 predicted fastest; regret
is how much slower the best of those 16 is than the best of all, ``first`` the same for the predicted fastest alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import click
import numpy as np
import xgboost
from rich.console import Console
from rich.table import Table

import autotune as at
from autotune.cost_model.model import ANALYTIC, CostModel
from autotune.cost_model.models.analytic import AnalyticModel
from autotune.cost_model.models.random import RandomModel
from autotune.cost_model.models.xgboost import LearnedModel
from autotune.cost_model.recorded import Measured, measured
from autotune.cost_model.rounds import rank_correlation, recall
from autotune.cost_model.transfer import transferred
from autotune.targets.host import native_target
from autotune.tensor_expr.operators import get_operator
from autotune.tuning_logs import Database, Task

TOP = 16
TRAINED = (16, 32, 64, 128)
WORKLOADS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("conv2d", {}),
    ("conv2d", {"in_channels": 64, "out_channels": 64, "height": 56, "width": 56, "kernel": 1, "padding": 0}),
    ("conv2d", {"in_channels": 256, "out_channels": 256, "height": 14, "width": 14, "stride": 2}),
    ("conv2d", {"in_channels": 3, "height": 224, "width": 224, "out_channels": 64, "kernel": 7, "stride": 2}),
    ("conv2d", {"in_channels": 13, "out_channels": 37, "height": 31, "width": 17}),
    ("depthwise_conv2d", {"channels": 144, "height": 56, "width": 56}),
    ("conv1d", {}),
    ("conv2d_transpose", {}),
    ("conv3d", {}),
    ("matmul", {"m": 512, "n": 512, "k": 512}),
    ("matmul", {"m": 384, "n": 768, "k": 256, "constant_b": True}),
    ("batch_matmul", {}),
    ("dense", {}),
)


class WithPrior(LearnedModel):
    """All members learn log2(measured / estimated)."""

    def _start(self, number: int, features: np.ndarray) -> np.ndarray:
        return self._prior(features)


class WithoutPrior(LearnedModel):
    """All members learn log2 of the time itself: of the analytic model they have the features alone."""

    def _start(self, number: int, features: np.ndarray) -> np.ndarray:
        return np.zeros(len(features))


class OneMember(WithPrior):
    """A single set of trees that see all rows and features."""

    MEMBERS, TREES = 1, 60
    PARAMETERS: ClassVar[dict[str, object]] = {
        **LearnedModel.PARAMETERS, "max_depth": 5, "eta": 0.15, "subsample": 0.9, "colsample_bynode": 1.0, "lambda": 1.0
    }  # fmt: skip


class Ranking(WithPrior):
    """Trees that learn which of two candidates is faster (LambdaMART's pairwise objective), from the estimate on."""

    PARAMETERS: ClassVar[dict[str, object]] = {
        **LearnedModel.PARAMETERS, "objective": "rank:pairwise", "lambdarank_pair_method": "mean",
        "lambdarank_num_pair_per_sample": 8,
    }  # fmt: skip

    def _train(self, number: int, features: np.ndarray, log_seconds: np.ndarray) -> xgboost.Booster:
        data = xgboost.DMatrix(features, label=log_seconds.max() - log_seconds, qid=np.zeros(len(features), np.int32))
        data.set_base_margin(-features[:, ANALYTIC])
        return xgboost.train({**self.PARAMETERS, "seed": self.seed + number}, data, num_boost_round=self.TREES)

    def _members(self, features: np.ndarray) -> np.ndarray:
        rows = xgboost.DMatrix(features, base_margin=-self._prior(features))
        return np.stack([-member.predict(rows, output_margin=True) for member in self.members])


class RankingOneMember(Ranking):
    """The same, a single set of trees."""

    MEMBERS = 1
    PARAMETERS: ClassVar[dict[str, object]] = {**Ranking.PARAMETERS, "subsample": 0.9, "colsample_bynode": 1.0}


MODELS: dict[str, Callable[[int], CostModel]] = {
    "random": RandomModel,
    "analytic": AnalyticModel,
    "xgboost: regression, 2 members with prior, 2 without": LearnedModel,
    "regression, 4 members with prior": WithPrior,
    "regression, 4 members without": WithoutPrior,
    "regression, 1 member with prior": OneMember,
    "ranking, 4 members with prior": Ranking,
    "ranking, 1 member with prior": RankingOneMember,
}


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one model on one workload, trained on some trials."""

    correlation: float
    recall: float
    regret: float
    first: float
    seconds: float  # of CPU, to train


def judge(model: CostModel, trials: Measured, count: int, seed: int) -> Figures:
    """Train on ``count`` random trials, and rank the others."""
    order = np.random.default_rng(seed).permutation(len(trials))
    seen, rest = order[:count], order[count:]
    began = time.process_time()
    if count:
        model.update(trials.features[seen], trials.log_seconds[seen])
    spent = time.process_time() - began
    predicted, actual = model.predict(trials.features[rest]), trials.log_seconds[rest]
    chosen = np.argsort(predicted, kind="stable")[:TOP]
    beyond = np.exp2(actual[chosen] - actual.min()) - 1
    found = recall(predicted, actual, TOP)
    return Figures(rank_correlation(predicted, actual), found, float(beyond.min()), float(beyond[0]), spent)


def load(database: Database) -> list[tuple[Task, Measured]]:
    """Each task's trials; tasks of too few are left out."""
    found = []
    for task in database.tasks():
        workload = get_operator(task.workload.operator)(**task.workload.params)
        trials = measured(workload, native_target(), task.threads, database.records(task, phase="trial"))
        if len(trials) > 2 * max(TRAINED):
            found.append((task, trials))
    return found


def show(title: str, rows: dict[str, dict[int, list[Figures]]], counts: Sequence[int]) -> None:
    """One row a model, one column for each number of trials that it was trained on."""
    table = Table(title=f"{title}: rank correlation, recall, regret, first (ms of CPU to train)")
    for name in ("model", *(f"{count} trials" for count in counts)):
        table.add_column(name)
    for name, by_count in rows.items():
        cells = []
        for count in counts:
            figures = by_count[count]
            mean = {key: float(np.mean([getattr(f, key) for f in figures])) for key in Figures.__slots__}
            cells.append(
                f"{mean['correlation']:.3f} {mean['recall']:.2f} {mean['regret']:.1%} {mean['first']:.1%} "
                f"({1e3 * mean['seconds']:.0f})"
            )
        table.add_row(name, *cells)
    Console(width=190).print(table)


@click.group(help=__doc__, context_settings={"max_content_width": 110})
def main() -> None:
    """The parts are commands."""


@main.command()
@click.argument("database", type=Path)
def collect(database: Path) -> None:
    """Fill a database."""
    for strategy, model, trials in (
        ("random", "analytic", 150), ("evolutionary", "analytic", 250), ("evolutionary", "xgboost", 450)
    ):  # fmt: skip
        for operator, params in WORKLOADS:
            result = at.tune(
                operator, trials=trials, strategy=strategy, cost_model=model, seed=trials, database=database, **params
            )
            print(f"{result.task.workload.text}: {result.trials} trials, {result.trials_per_second:.1f}/s", flush=True)


@main.command()
@click.argument("database", type=Path)
@click.option("--seeds", default=3, show_default=True)
def compare(database: Path, seeds: int) -> None:
    """Models that train on a workload's own trials."""
    with Database.open(database, readonly=True) as opened:
        tasks = load(opened)
    rows = {
        name: {
            count: [judge(make(seed), trials, count, seed) for _, trials in tasks for seed in range(seeds)]
            for count in TRAINED
        }
        for name, make in MODELS.items()
    }
    show(f"{len(tasks)} workloads, {seeds} seeds", rows, TRAINED)


@main.command()
@click.argument("database", type=Path)
@click.option("--seeds", default=3, show_default=True)
def transfer(database: Path, seeds: int) -> None:
    """A model that starts with what other workloads teach, beside one that starts with the estimate alone."""
    counts = (0, *TRAINED)
    rows: dict[str, dict[int, list[Figures]]] = {
        name: {count: [] for count in counts} for name in ("from the estimate", "from other workloads")
    }
    with Database.open(database, readonly=True) as opened:
        tasks = load(opened)
        for task, trials in tasks:
            start = transferred(opened, task, native_target(), seed=0)
            assert start is not None
            for count in counts:
                for seed in range(seeds):
                    for name in rows:
                        model = LearnedModel(seed)
                        if name == "from other workloads":
                            model.warm_start(start)
                        rows[name][count].append(judge(model, trials, count, seed))
    show(f"{len(tasks)} workloads, {seeds} seeds", rows, counts)


if __name__ == "__main__":
    main()
