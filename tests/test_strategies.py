"""Search strategies on real spaces, with the analytic model's own estimate as the time that is measured."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import autotune.tensor_expr as te
from autotune.cost_model.features import SCHEMA
from autotune.cost_model.models.analytic import AnalyticModel
from autotune.cost_model.models.xgboost import LearnedModel
from autotune.search.space import Key, SearchSpace
from autotune.search.strategies import make_strategy, strategies
from autotune.search.strategies.walk import Walk
from autotune.targets.host import native_target
from autotune.tensor_expr.operators import get_operator

GUIDED = {name for name in strategies() if name not in ("random", "grid", "hill_climbing", "optuna")}  # by a model


@cache
def space(operator: str = "conv2d", **params: int) -> SearchSpace:
    return SearchSpace(get_operator(operator)(**params).output, native_target())


def whole_of_one_sketch() -> SearchSpace:
    odd = space("matmul", m=17, n=16, k=1)
    return SearchSpace(odd.definitions["direct"], odd.target, given=odd.sketches[:1])


def estimate(features: np.ndarray) -> np.ndarray:
    """Seconds of the analytic model, at 4 GHz."""
    return np.exp2(features[:, SCHEMA.index("cycles")].astype(float) - 32)


@pytest.mark.parametrize("name", strategies())
def test_proposals_are_legal_new_and_repeatable(name: str) -> None:
    small = space("conv2d", in_channels=7, out_channels=13, height=9, width=11)

    def proposals() -> list[Key]:
        strategy = make_strategy(name, small, LearnedModel(), seed=3)
        keys = []
        for _ in range(4):
            measured = strategy.propose(16)
            population = measured.population
            assert measured.legal.all()
            assert np.array_equal(measured.features, small.evaluate(population).features)
            keys += [population.key(row) for row in range(len(population))]
            seconds = np.exp2(measured.features[:, 0] - 40)
            seconds[0] = np.inf  # a failure
            strategy.observe(measured, seconds)
        return keys

    first = proposals()
    assert len(set(first)) == len(first) == 64
    assert first == proposals()


@pytest.mark.parametrize("name", strategies())
def test_what_earlier_runs_measured_is_not_proposed_again(name: str) -> None:
    small = space("conv2d", in_channels=7, out_channels=13, height=9, width=11)
    before = make_strategy("grid", small, AnalyticModel(), 0).propose(40)
    strategy = make_strategy(name, small, LearnedModel(), 0)
    strategy.observe(before, estimate(before.features))
    after = strategy.propose(40)
    known = {before.population.key(row) for row in range(len(before))}
    assert len(after) == 40 and not known & {after.population.key(row) for row in range(40)}


@pytest.mark.parametrize("name", strategies())
def test_a_space_is_searched_to_its_end(name: str) -> None:
    """Every legal candidate comes exactly once, in batches that divide nothing."""
    small = whole_of_one_sketch()
    everything = small.evaluate(Walk(small).take(small.size))
    assert 200 < everything.legal.sum() < small.size < 500
    wanted = {everything.population.key(row) for row in np.flatnonzero(everything.legal)}
    strategy = make_strategy(name, small, LearnedModel(), seed=1)
    found: list[Key] = []
    while len(batch := strategy.propose(137)):
        found += [batch.population.key(row) for row in range(len(batch))]
        strategy.observe(batch, estimate(batch.features))
    assert len(found) == len(wanted) and set(found) == wanted


@pytest.mark.parametrize("name", strategies())
def test_a_space_of_three_candidates(name: str) -> None:
    x = te.placeholder((64,), name="x")
    tiny = SearchSpace(te.compute((64,), lambda i: x[i] * 2, name="y"), native_target())
    strategy = make_strategy(name, tiny, AnalyticModel(), 0)
    assert len(strategy.propose(50)) == tiny.size
    assert len(strategy.propose(50)) == 0


def test_a_walk_meets_every_candidate_once_and_begins_everywhere() -> None:
    small = space("matmul", m=37, n=53, k=29)
    walk, keys = Walk(small), []
    first = walk.take(len(small.sketches))
    assert set(first.sketch) == set(range(len(small.sketches)))
    begin = walk.take(4000)
    places = (begin.genes + 0.5) / small.sizes[begin.sketch]
    assert np.allclose(places.mean(axis=0), 0.5, atol=0.03)
    keys = [p.key(row) for p in (first, begin) for row in range(len(p))]
    while not walk.over:
        part = walk.take(50_000)
        keys += [part.key(row) for row in range(len(part))]
    assert len(keys) == len(set(keys)) == small.size


@cache
def regret(name: str) -> float:
    """How much slower the best of 64 trials is than the best of 100,000 random candidates, as a fraction: the median of
    three seeds, two batches in flight."""
    whole = space()
    drawn = whole.evaluate(whole.sample(np.random.default_rng(99), 100_000))
    best = estimate(drawn.features[drawn.legal]).min()
    found = []
    for seed in range(3):
        strategy = make_strategy(name, whole, LearnedModel(seed), seed)
        seconds: list[float] = []
        flying = []
        while len(seconds) < 4:
            flying.append(strategy.propose(16))
            seconds.append(estimate(flying[-1].features).min())
            if len(flying) == 2:
                strategy.observe(flying[0], estimate(flying.pop(0).features))
        found.append(min(seconds) / best - 1)
    return float(np.median(found))


@pytest.mark.parametrize("name", sorted(GUIDED))
def test_strategies_with_a_model_beat_random_search(name: str) -> None:
    assert regret(name) < 0.5 * regret("random")


def test_hill_climbing_moves_one_knob_of_the_best() -> None:
    whole = space()
    strategy = make_strategy("hill_climbing", whole, AnalyticModel(), 0)
    first = strategy.propose(32)
    strategy.observe(first, estimate(first.features))
    best = first.population.take([int(np.argmin(estimate(first.features)))])
    near = strategy.propose(8).population
    moved = (near.sketch == best.sketch[0]) & ((near.genes != best.genes[0]).sum(axis=1) == 1)
    assert moved.sum() >= 6


def test_a_sampler_of_optuna_comes_to_prefer_what_is_fast() -> None:
    """Of one sketch: the median of what TPE proposes falls."""
    whole = space("matmul", m=128, n=128, k=128)
    one = SearchSpace(whole.definitions["direct"], whole.target, given=whole.sketches[:1])
    strategy, medians = make_strategy("optuna", one, AnalyticModel(), 0), []
    for _ in range(6):
        batch = strategy.propose(16)
        strategy.observe(batch, estimate(batch.features))
        medians.append(np.median(estimate(batch.features)))
    assert np.mean(medians[3:]) < 0.95 * medians[0]
