"""The nest description against counted loops, the analytic model's order of things, and the learned model."""

from __future__ import annotations

import numpy as np
import pytest

from autotune.cost_model.analytic import estimate
from autotune.cost_model.features import SCHEMA
from autotune.cost_model.models import cost_models, make_cost_model
from autotune.cost_model.models.xgboost import LearnedModel
from autotune.cost_model.nest import describe
from autotune.lowering.ir import For, If, Load, Stmt, Store, children, loads, statements
from autotune.lowering.pipeline import lower
from autotune.search.space import SearchSpace
from autotune.targets.facts import X86_AVX512
from autotune.tensor_expr.expr import Const
from autotune.tensor_expr.operators import get_operator


def updates(stmt: Stmt, buffer: str, times: int = 1) -> int:
    """How many vectors a program accumulates into a buffer, loops with constant extents multiplied out."""
    if isinstance(stmt, Store):
        reads = [load for load in loads(stmt) if isinstance(load, Load) and load.buffer is stmt.buffer]
        return times if stmt.buffer.name == buffer and reads else 0
    if isinstance(stmt, For) and stmt.kind != "vectorize":
        assert isinstance(stmt.extent, Const)
        times *= int(stmt.extent.value)
    return sum(updates(child, buffer, times) for child in children(stmt))


@pytest.mark.parametrize(
    "operator, params, least_exact",
    [
        ("conv2d", {"in_channels": 13, "out_channels": 37, "height": 11, "width": 17, "stride": 2}, 0),
        ("matmul", {"m": 37, "n": 100, "k": 29}, 0),
        ("matmul", {"m": 24, "n": 128, "k": 32}, 1),
    ],
)
def test_trip_counts_are_those_of_the_lowered_loops(operator: str, params: dict[str, int], least_exact: int) -> None:
    """Exact where tiles divide, an upper bound where they do not."""
    workload = get_operator(operator)(**params)
    space = SearchSpace(workload.output, X86_AVX512)
    drawn = space.evaluate(space.sample(np.random.default_rng(0), 300))
    checked = exact = 0
    for row in np.flatnonzero(drawn.legal)[:40]:
        schedule = space.schedule(drawn.population, int(row))
        function = lower(schedule, X86_AVX512)
        if any(
            isinstance(s, If) or (isinstance(s, For) and not isinstance(s.extent, Const))
            for s in statements(function.body)
        ):
            continue
        nest = describe(schedule.state, X86_AVX512, 1)
        assert nest is not None
        anchor = next(name for name in schedule.state.stages if name.endswith(".tile"))
        predicted = (nest.tiles * nest.steps * nest.accumulators * nest.unrolled)[0]
        counted = updates(function.body, anchor)
        assert counted <= predicted
        checked += 1
        exact += counted == predicted
    assert checked >= 5
    assert exact >= least_exact


def test_spills_and_narrow_tiles_cost() -> None:
    workload = get_operator("matmul")(m=240, n=256, k=256, constant_b=True)
    space = SearchSpace(workload.output, X86_AVX512)
    sketch = space.sketches[0].schedule
    tiles = {"good": (12, 32), "narrow": (1, 16), "spilling": (30, 64)}
    columns = {
        knob.name: np.array([{"i.tile": i, "j.tile": j}.get(knob.name, knob.choices[0]) for i, j in tiles.values()])
        for knob in sketch.knobs
    }
    nest = describe(sketch.replay(columns), X86_AVX512, len(tiles))
    assert nest is not None
    cost = estimate(nest, X86_AVX512, threads=1)
    good, narrow, spilling = cost.cycles
    assert good < narrow and good < spilling
    assert cost.legal[0] and not cost.legal[2]
    assert cost.cycles[0] >= workload.flops / (2 * 16 * 2), "no candidate is estimated above the peak"


def test_the_learned_model_corrects_the_analytic_one() -> None:
    generator = np.random.default_rng(0)
    features = generator.random((400, len(SCHEMA))).astype(np.float32) * 10
    log_seconds = features[:, 0] + 2.0 * (features[:, 8] > 5) - 30.0
    model = LearnedModel()
    before = np.corrcoef(model.predict(features[200:]), log_seconds[200:])[0, 1]
    model.update(features[:200], log_seconds[:200])
    after = np.corrcoef(model.predict(features[200:]), log_seconds[200:])[0, 1]
    assert after > max(0.98, before)


def test_it_is_retrained_only_when_the_measurements_have_grown() -> None:
    features = np.random.default_rng(0).random((40, len(SCHEMA))).astype(np.float32)
    model = LearnedModel()
    model.update(features[:20], features[:20, 0].astype(float))
    first = model.trees
    model.update(features[:21], features[:21, 0].astype(float))
    assert model.trees is first
    model.update(features, features[:, 0].astype(float))
    assert model.trees is not first


@pytest.mark.parametrize("name", cost_models())
def test_every_model_ranks_a_population_by_its_features_alone(name: str) -> None:
    features = np.random.default_rng(0).random((50, len(SCHEMA))).astype(np.float32)
    model = make_cost_model(name, seed=1)
    first = model.predict(features)
    assert first.shape == model.spread(features).shape == (50,)
    assert len(np.unique(first)) == 50 and (model.spread(features) >= 0).all()
    rows = np.arange(50)[::-7]
    assert (make_cost_model(name, seed=1).predict(features[rows]) == first[rows]).all()
    assert len(model.predict(features[:0])) == 0


def test_the_random_model_differs_by_seed_and_knows_nothing() -> None:
    features = np.random.default_rng(0).random((2000, len(SCHEMA))).astype(np.float32)
    first, second = (make_cost_model("random", seed).predict(features) for seed in (0, 1))
    for other in (second, features[:, 0]):
        assert abs(np.corrcoef(first, other)[0, 1]) < 0.1
