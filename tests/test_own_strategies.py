"""A user's own strategy: ten lines that work, and all that can be wrong with one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autotune as at
from autotune.api import tuning_task
from autotune.cost_model.models.analytic import AnalyticModel
from autotune.search.strategies import strategies
from autotune.search.strategies.guard import GuardedStrategy
from autotune.targets.host import native_target
from autotune.tensor_expr.operators import get_operator


class Luck:
    """Ten lines."""

    def __init__(self, space: at.SearchSpace, model: at.CostModel, seed: int) -> None:
        self.space, self.generator, self.seen = space, np.random.default_rng(seed), set()

    def propose(self, count: int) -> at.Evaluated:
        drawn = self.space.evaluate(self.space.sample(self.generator, 1000))
        keys = {drawn.population.key(row): row for row in np.flatnonzero(drawn.legal)}
        new = [key for key in keys if key not in self.seen][:count]
        self.seen.update(new)
        return drawn.take([keys[key] for key in new])

    def observe(self, measured: at.Evaluated, seconds: np.ndarray) -> None:
        self.seen.update(measured.population.key(row) for row in range(len(measured)))


def proposing(change: Callable[[at.SearchSpace, at.Evaluated, int], object]) -> type[Luck]:
    """Luck from its second batch on changed."""

    class Wrong(Luck):
        batches = 0

        def propose(self, count: int) -> at.Evaluated:
            self.batches += 1
            good = super().propose(count)
            return change(self.space, good, count) if self.batches > 1 else good  # type: ignore[return-value]

    return Wrong


def illegal(space: at.SearchSpace, good: at.Evaluated, count: int) -> at.Evaluated:
    drawn = space.evaluate(space.sample(np.random.default_rng(0), 1000))
    return drawn.take(np.flatnonzero(~drawn.legal)[:count])


def moved(space: at.SearchSpace, good: at.Evaluated, count: int) -> at.Evaluated:
    elsewhere = at.Population(good.population.sketch, good.population.genes + 10_000)
    return at.Evaluated(elsewhere, good.features, good.legal)


def fail(space: at.SearchSpace, good: at.Evaluated, count: int) -> None:
    raise ZeroDivisionError("a bug\nof mine")


WRONG = {
    "raised ZeroDivisionError when it proposed: a bug of mine": fail,
    "raised SystemExit when it proposed: 3": lambda space, good, count: sys.exit(3),
    "proposed None; it must be what SearchSpace.evaluate returns": lambda space, good, count: None,
    "proposed Population(": lambda space, good, count: good.population,
    "proposed 8 candidates where 4 were asked for": lambda space, good, count: good.join(good),
    "proposed a candidate twice, or one that was measured before": lambda space, good, count: good.take([0, 0]),
    "proposed a candidate that is not legal": illegal,
    "proposed what is not a candidate of this space": moved,
}


@pytest.fixture(scope="module")
def space() -> at.SearchSpace:
    return at.SearchSpace(
        get_operator("conv2d")(in_channels=8, out_channels=16, height=14, width=14).output, native_target()
    )


@pytest.mark.parametrize("sentence", WRONG)
def test_whatever_is_wrong_with_a_proposal_is_one_sentence(space: at.SearchSpace, sentence: str) -> None:
    guarded = GuardedStrategy(proposing(WRONG[sentence]), space, AnalyticModel(), 0)
    assert len(guarded.propose(4)) == 4 and not guarded.fault
    assert len(guarded.propose(4)) == 0
    assert guarded.fault.startswith(f"strategy Wrong {sentence}") and "\n" not in guarded.fault
    assert len(guarded.propose(4)) == 0, "it is not asked again"


def test_a_strategy_that_raises_when_it_is_made_or_hears(space: at.SearchSpace) -> None:
    class Deaf(Luck):
        def observe(self, measured: at.Evaluated, seconds: np.ndarray) -> None:
            raise RuntimeError

    deaf = GuardedStrategy(Deaf, space, AnalyticModel(), 0)
    first = deaf.propose(4)
    deaf.observe(first, np.ones(4))
    assert deaf.fault == "strategy Deaf raised RuntimeError when it observed" and not len(deaf.propose(4))
    unmade = GuardedStrategy(lambda space: None, space, AnalyticModel(), 0)  # type: ignore[arg-type,misc]
    assert not len(unmade.propose(4)) and unmade.fault.startswith("strategy <lambda> raised TypeError when it was made")


@pytest.mark.parametrize("name", strategies())
def test_the_guard_lets_through_what_is_right(space: at.SearchSpace, name: str) -> None:
    guarded = GuardedStrategy(name, space, AnalyticModel(), 0)
    for _ in range(2):
        batch = guarded.propose(8)
        guarded.observe(batch, np.full(8, 1e-3))
        assert len(batch) == 8 and not guarded.fault


SIZES = {"m": 24, "n": 40, "k": 16}


def test_tuning_with_a_class_of_ones_own(tmp_path: Path) -> None:
    with at.Database.open(tmp_path / "tuning.db") as database:
        result = at.tune("matmul", trials=8, strategy=Luck, database=database, **SIZES)
        assert result.trials == 8 and result.verified and not result.stopped
        (record, *_) = database.records(tuning_task("matmul", **SIZES).key)
        assert database.run(record.run_id).options["strategy"] == "Luck"


def test_a_strategy_that_fails_ends_the_search_with_the_best_so_far(tmp_path: Path) -> None:
    result = at.tune("matmul", trials=64, strategy=proposing(fail), database=tmp_path / "tuning.db", **SIZES)
    assert result.stopped == "strategy Wrong raised ZeroDivisionError when it proposed: a bug of mine"
    assert result.trials == 16 and result.seconds and result.verified
    again = at.tune("matmul", trials=64, strategy=lambda *a: None, database=tmp_path / "tuning.db", **SIZES)
    assert again.stopped == "strategy <lambda> is None, which has no methods propose and observe"
    assert again.seconds


def test_what_is_no_strategy_is_refused_before_anything_runs() -> None:
    with pytest.raises(
        at.UsageError, match=r"a strategy is a name, or a class made with \(space, model, seed\), not 7"
    ):
        at.tune("matmul", strategy=7, **SIZES)  # type: ignore[arg-type]


def test_the_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(at.UsageError, match=r"needs Optuna, which is an extra: pip install 'autotune\[optuna\]'"):
        at.tune("matmul", strategy="optuna", **SIZES)


class Model:
    """Knows nothing, or does one thing wrong."""

    def __init__(self, **wrong: object) -> None:
        vars(self).update(wrong)

    def predict(self, features: np.ndarray) -> np.ndarray:
        return np.zeros(len(features))

    spread = predict

    def update(self, features: np.ndarray, log_seconds: np.ndarray) -> None:
        pass


def bug(*arguments: object) -> None:
    raise ZeroDivisionError("a bug\nof mine")


NOT_NUMBERS = "cost model Model returned from {} what is not a finite number for each of "


@pytest.mark.parametrize(
    ("strategy", "wrong", "sentence"),
    [
        ("random", {"predict": bug}, "cost model Model raised ZeroDivisionError in predict: a bug of mine"),
        ("evolutionary", {"predict": bug}, "cost model Model raised ZeroDivisionError in predict: a bug of mine"),
        ("evolutionary", {"update": bug}, "cost model Model raised ZeroDivisionError in update: a bug of mine"),
        ("expected_improvement", {"spread": lambda features: None}, NOT_NUMBERS.format("spread")),
        ("evolutionary", {"predict": lambda features: np.zeros(1)}, NOT_NUMBERS.format("predict")),
        ("random", {"predict": lambda features: np.full(len(features), np.nan)}, NOT_NUMBERS.format("predict")),
        ("random", {"predict": lambda features: "fast"}, NOT_NUMBERS.format("predict")),
    ],
)
def test_a_cost_model_that_fails_ends_the_search_with_the_best_so_far(
    tmp_path: Path, strategy: str, wrong: dict[str, object], sentence: str
) -> None:
    options: dict[str, Any] = {"strategy": strategy, "database": tmp_path / "tuning.db", **SIZES}
    result = at.tune("matmul", trials=40, cost_model=Model(**wrong), **options)
    assert result.stopped.startswith(sentence) and result.seconds and result.verified and result.trials < 40
