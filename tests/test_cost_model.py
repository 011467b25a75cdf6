"""The nest description against counted loops, the analytic model's order of things, and the learned model."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from autotune import tuning_logs
from autotune.cost_model.analytic import estimate
from autotune.cost_model.features import FEATURE_VERSION, SCHEMA
from autotune.cost_model.models import cost_models, load_model, make_cost_model
from autotune.cost_model.models.xgboost import LearnedModel
from autotune.cost_model.nest import describe
from autotune.cost_model.recorded import measured
from autotune.cost_model.rounds import judge, rank_correlation
from autotune.cost_model.transfer import transferred
from autotune.errors import UsageError
from autotune.search.space import SearchSpace
from autotune.targets.facts import X86_AVX512
from autotune.tensor_expr.operators import get_operator
from autotune.tuning_logs import Database

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import population


def test_columns_are_what_the_lowered_loops_do() -> None:
    """Exact where tiles divide, an upper bound where they do not; the benchmark does it for 10,000."""
    tally = population.run(rows=130)
    assert not tally.wrong, tally.examples
    assert tally.seen == 130 and tally.slow == 0, tally.skipped
    assert min(tally.exact["updates"], tally.above["updates"], tally.exact["bytes copied"]) >= 20


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


def test_lines_that_nothing_fetches_ahead_cost() -> None:
    """Of a matrix whose rows are pages apart, panels are read far more slowly than packed copies of them."""
    space = SearchSpace(get_operator("matmul")(m=1024, n=1024, k=1024).output, X86_AVX512)
    knobs = {"i.block": 12, "i.tile": 12, "j.block": 8, "j.tile": 32, "r.unroll": 4}
    cycles = {}
    for place in ("in place", "copied per block"):
        name = f"vector j; blocks b first; tiles a first; reduce r; a in place; b {place}"
        (schedule,) = (sketch.schedule for sketch in space.sketches if sketch.name == name)
        cycles[place] = estimate(describe(schedule.with_knobs(knobs).state, X86_AVX512, 1), X86_AVX512, 1).cycles[0]
    assert cycles["in place"] > 2 * cycles["copied per block"]


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
    first = model.members
    model.update(features[:21], features[:21, 0].astype(float))
    assert model.members is first
    model.update(features, features[:, 0].astype(float))
    assert model.members is not first


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


def learned(seed: int = 0, count: int = 200) -> tuple[LearnedModel, np.ndarray]:
    """A model that knows that feature 8 doubles the time beyond 5, and what it was trained on."""
    features = np.random.default_rng(seed).random((count, len(SCHEMA))).astype(np.float32) * 10
    model = LearnedModel(seed)
    model.update(features, features[:, 0] + 1.0 * (features[:, 8] > 5) - 30.0)
    return model, features


def test_the_ensemble_disagrees_where_it_has_seen_nothing() -> None:
    model, features = learned()
    far = features.copy()
    far[:, 0] += 8.0  # no estimate was as large
    assert model.spread(features).shape == (200,)
    assert model.spread(far).mean() > 2 * model.spread(features).mean()


def test_contributions_name_the_feature_that_matters() -> None:
    model, features = learned()
    contributions = model.contributions(features)
    assert contributions.shape == features.shape
    assert np.abs(contributions).mean(axis=0).argmax() == 8


def test_a_model_is_stored_and_one_of_other_features_is_refused(tmp_path: Path) -> None:
    model, features = learned()
    path = tmp_path / "model.json"
    model.save(path)
    assert (make_cost_model(str(path), 0).predict(features) == model.predict(features)).all()
    path.write_text(json.dumps({**json.loads(path.read_text()), "feature_version": FEATURE_VERSION - 1}))
    sentence = f"model.json was trained on version {FEATURE_VERSION - 1} of the features, and this release has version"
    with pytest.raises(UsageError, match=sentence):
        load_model(path)
    for text in ("", "[]", "{", '{"feature_version": 2}'):
        path.write_text(text)
        with pytest.raises(UsageError, match="holds no cost model"):
            load_model(path)
    path.write_text(json.dumps({"feature_version": FEATURE_VERSION, "trained_on": 1, "members": [{}]}))
    with pytest.raises(UsageError, match="is damaged"):
        load_model(path)
    with pytest.raises(UsageError, match="cannot read the cost model"):
        load_model(tmp_path / "none.json")


def test_a_round_is_judged_by_ranks_recall_and_regret() -> None:
    seconds = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0])
    perfect = judge(3, np.log2(seconds) + 5.0, seconds)
    assert (perfect.batch, perfect.rank_correlation, perfect.recall, perfect.regret) == (3, 1.0, 1.0, 0.0)
    assert perfect.error == pytest.approx(0.0) and perfect.best_seconds == 1.0
    wrong = judge(0, -np.log2(seconds), seconds)
    assert (wrong.rank_correlation, wrong.recall, wrong.regret) == (-1.0, 0.0, 127.0)
    failed = judge(0, np.arange(8.0), np.where(seconds > 1.5, np.inf, seconds))
    assert (failed.proposed, failed.measured, failed.best_seconds) == (8, 1, 1.0)
    assert failed.figures["rank_correlation"] is None
    assert judge(0, np.arange(2.0), np.full(2, np.inf)).figures["best_seconds"] is None


def test_ranks_are_shared_by_equal_values() -> None:
    # By hand: ranks 0.5, 0.5, 2 against 0, 1, 2.
    assert rank_correlation(np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0])) == pytest.approx(0.75**0.5)
    assert rank_correlation(np.ones(4), np.arange(4.0)) == 0.0


# -- transfer ------------------------------------------------------------------------------------------------------


def logged_tasks(database: Database, sizes: list[int]) -> list[tuning_logs.Task]:
    """Trials of matmuls of some sizes, as if every schedule that packs nothing took four times its estimate."""
    tasks = []
    for number, size in enumerate(sizes):
        workload = get_operator("matmul")(m=size, n=size, k=size)
        space = SearchSpace(workload.output, X86_AVX512)
        drawn = space.evaluate(space.sample(np.random.default_rng(number), 200))
        rows = np.flatnonzero(drawn.legal)[:60]
        task = tuning_logs.Task(
            tuning_logs.Workload(workload.text, workload.operator, dict(workload.params)),
            tuning_logs.TargetInfo("x86_avx512", "x86_avx512"),
            tuning_logs.DeviceInfo("cpu", f"cpu {number}"),
            threads=1,
            toolchain="none",
            space_version="1",
        )
        run = tuning_logs.Run(run_id=f"run {size}", seed=0, package_version="1", llvm_version="1")
        database.start_run(run, task)
        for row in rows:
            schedule = space.sketches[int(drawn.population.sketch[row])].schedule
            packs = any(step.name == "cache_read" for step in schedule.steps)
            log_seconds = drawn.features[row, 0] - 33.0 - number + (0.0 if packs else 2.0)
            record = tuning_logs.Record(
                trial=f"{size} {row}", run_id=run.run_id, sketch=schedule.text, seed=0,
                knobs=space.knobs(drawn.population, int(row)), seconds=float(2.0**log_seconds),
            )  # fmt: skip
            database.add(record, task)
        tasks.append(task)
    return tasks


def test_a_model_starts_with_what_other_workloads_teach_unless_it_misleads(tmp_path: Path) -> None:
    with Database.open(tmp_path / "trials.db") as database:
        *known, new = logged_tasks(database, [64, 96, 128, 160])
        workload = get_operator("matmul")(m=160, n=160, k=160)
        own = measured(workload, X86_AVX512, 1, database.records(new))
        assert len(own) == 60
        found = transferred(database, new, X86_AVX512, seed=0)
        assert found is not None and new not in found.tasks
        assert [task.workload.params["m"] for task in found.tasks] == [128, 96, 64], "the nearest first"
        again = transferred(database, new, X86_AVX512, seed=0)
        assert again is not None and (again.predict(own.features) == found.predict(own.features)).all()
        first = database.records(known[0])[-1].trial
        until = transferred(database, new, X86_AVX512, seed=0, until=first)
        assert until is not None and until.tasks == (known[0],), "what was stored later does not count"

    cold, warm = LearnedModel(), LearnedModel()
    warm.warm_start(found)
    ranks = [rank_correlation(model.predict(own.features), own.log_seconds) for model in (cold, warm)]
    assert ranks[1] > ranks[0] + 0.05
    warm.update(own.features, own.log_seconds)
    assert warm.start is found
    misled = LearnedModel()
    misled.warm_start(found)
    misled.update(own.features, 2 * own.features[:, 0] - own.log_seconds)
    assert misled.start is None
