"""Hand-written templates: the space that they span, at sizes that nothing divides, and what goes wrong with them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from differential import compare

import autotune as at
from autotune.api import tuning_task
from autotune.cli.entry import run
from autotune.search.given import given_space
from autotune.search.lookup import find_schedule
from autotune.targets.host import native_target
from autotune.tensor_expr.operators import get_operator

SIZE = {"m": 37, "n": 53, "k": 29}


def tiled(cfg: at.Config, output: at.Tensor) -> at.Schedule:
    c, (i, j), (k,) = output.name, output.axes, output.reduce_axes
    s = at.create_schedule(output)
    s = s.split(c, i.name, cfg.define_split("tile_i", i, policy="imperfect", max_factor=12))
    s = s.split(c, j.name, cfg.define_split("tile_j", j, parts=3, policy="power2", max_factor=16))
    s = s.split(c, k.name, cfg.define_split("tile_k", k, policy="imperfect", max_factor=5))
    i0, i1, j0, j1, j2, k0, k1 = f"{i.name}.0 {i.name}.1 {j.name}.0 {j.name}.1 {j.name}.2 {k.name}.0 {k.name}.1".split()
    outer = cfg.define_reorder("order", [i0, j0, k0])
    s = s.reorder(c, [*outer, k1, j1, i1, j2])
    return cfg.define_annotate("inner", [i1, j2]).apply(s, c)


def space(function: at.Template, **params: int) -> at.SearchSpace:
    output = at.matmul(**(params or SIZE)).output
    return at.SearchSpace(output, native_target(), given=function.sketches(output))


def test_every_structure_is_a_sketch_and_every_number_a_knob() -> None:
    spanned = space(at.template(tiled))
    assert len(spanned.sketches) == 6 * 6  # orders; i.1 as it is or unrolled, j.2 perhaps vectorised, too
    assert len({sketch.name for sketch in spanned.sketches}) == 36
    assert spanned.sketches[0].name == "order i.0,j.0,r.0; inner none"
    (knobs,) = {sketch.schedule.knobs for sketch in spanned.sketches}
    assert {knob.name: knob.choices for knob in knobs} == {
        "tile_i": tuple(range(1, 13)), "tile_j.1": (1, 2, 4, 8, 16), "tile_j.2": (1, 2, 4, 8, 16),
        "tile_k": (1, 2, 3, 4, 5),
    }  # fmt: skip
    assert spanned.size == 36 * 12 * 25 * 5


def test_candidates_at_odd_sizes_compute_what_numpy_does() -> None:
    spanned = space(at.template(tiled))
    drawn = spanned.evaluate(spanned.sample(np.random.default_rng(0), 500))
    assert np.isfinite(drawn.features).all()
    for row in np.flatnonzero(drawn.legal)[:12]:
        schedule = spanned.schedule(drawn.population, row)
        assert compare(schedule, native_target()) == "", schedule.calls


@pytest.mark.parametrize(
    ("options", "choices"),
    [
        ({}, (1, 2, 3, 4, 6, 12)),
        ({"max_factor": 4}, (1, 2, 3, 4)),
        ({"policy": "power2"}, (1, 2, 4, 8)),
        ({"policy": "verbose"}, (1, 2, 3, 4, 6, 8, 12)),
        ({"policy": "imperfect"}, tuple(range(1, 13))),
        ({"policy": "imperfect", "max_factor": 5}, (1, 2, 3, 4, 5)),
        ({"candidates": [5, 7]}, (5, 7)),
    ],
)
def test_policies_of_a_split(options: dict[str, object], choices: tuple[int, ...]) -> None:
    assert at.Config().define_split("t", 12, **options) == (at.Knob("t", choices),)  # type: ignore[arg-type]


def test_joint_candidates_and_choices_that_depend_on_choices() -> None:
    def nested(cfg: at.Config, output: at.Tensor) -> at.Schedule:
        c, s = output.name, at.create_schedule(output)
        if not cfg.define_choice("tiled", [False, True]):
            return s
        s = s.split(c, "i", cfg.define_split("i", 37, parts=3, candidates=[[4, 2], [3, 8]]))
        return s.unroll(c, "i.2") if cfg.define_choice("unrolled", [True, False]) else s

    names = [sketch.name for sketch in at.template(nested).sketches(at.matmul(**SIZE).output)]
    assert names == [
        "tiled False", "tiled True; i 4,2; unrolled True", "tiled True; i 4,2; unrolled False",
        "tiled True; i 3,8; unrolled True", "tiled True; i 3,8; unrolled False",
    ]  # fmt: skip


def test_structures_that_are_not_legal_are_left_out() -> None:
    def anywhere(cfg: at.Config, output: at.Tensor) -> at.Schedule:
        s = at.create_schedule(output)
        return s.vectorize(output.name, cfg.define_choice("vector", ["i", "j", "r", "nowhere"]))

    def turned(cfg: at.Config, output: at.Tensor) -> at.Schedule:
        s = at.create_schedule(output).reorder(output.name, ["r", *cfg.define_reorder("order", ["i", "j"])])
        return s.vectorize(output.name, "j")

    assert [s.name for s in at.template(turned).sketches(at.matmul(**SIZE).output)] == ["order i,j"]
    with pytest.raises(at.TemplateError, match="template anywhere gives no legal schedule: stage 'c': "):
        at.template(anywhere).sketches(at.matmul(**SIZE).output)


def test_steps_that_take_no_columns_are_evaluated_one_by_one() -> None:
    def padded(cfg: at.Config, output: at.Tensor) -> at.Schedule:
        return at.create_schedule(output).pad(output.name, "j", cfg.define_knob("multiple", [8, -8, 16]))

    spanned = space(at.template(padded))
    evaluated = spanned.evaluate(at.Population(np.zeros(3, int), np.arange(3)[:, None]))
    assert evaluated.legal.tolist() == [True, False, True]


def broken(cfg: at.Config, output: at.Tensor) -> at.Schedule:
    raise KeyError("nothing")


def endless(cfg: at.Config, output: at.Tensor) -> at.Schedule:
    schedule = at.create_schedule(output)
    while cfg.define_choice("more", [True, False]):
        pass
    return schedule


FAILING = {
    "template endless raised UsageError: choice 'more' comes after 256 others": endless,
    "template broken raised KeyError: 'nothing'": broken,
    "template <lambda> raised SystemExit: 3": lambda cfg, output: sys.exit(3),
    "template <lambda> returned None; it must return a Schedule": lambda cfg, output: None,
    "template <lambda> raised TypeError: ": lambda: None,
    "template <lambda> gives no legal schedule: stage 'c': axis 'x' does not exist": (
        lambda cfg, output: at.create_schedule(output).unroll("c", "x")
    ),
    "template <lambda> returned the schedule of another operator": (
        lambda cfg, output: at.create_schedule(at.matmul(**SIZE))
    ),
    "template <lambda> raised UsageError: unknown policy 'all'; known: factors, imperfect, power2, verbose": (
        lambda cfg, output: cfg.define_split("t", 8, policy="all")
    ),
    "template <lambda> gives no legal schedule: knob 't' is left open, so nothing can depend on it": (
        lambda cfg, output: at.create_schedule(output) if cfg.define_knob("t", [0, 1]) else None
    ),
    "template <lambda> has too many structures (at most 256); leave numbers to knobs": (
        lambda cfg, output: at.create_schedule(output).split("c", "i", [cfg.define_choice("t", list(range(1, 300)))])
    ),
}


@pytest.mark.parametrize("sentence", FAILING)
def test_what_goes_wrong_in_a_template_is_one_sentence(sentence: str) -> None:
    own = given_space(tuning_task("matmul", **SIZE), FAILING[sentence])  # type: ignore[arg-type]
    assert own.problem.startswith(sentence) and not own.space.sketches and "\n" not in own.problem


def untuned(**size: int) -> at.Schedule:
    """What ``build`` takes where no database has anything."""
    return find_schedule(get_operator("matmul")(**size), native_target()).schedule


def test_a_template_that_fails_leaves_what_needs_no_search(tmp_path: Path) -> None:
    result = at.tune("matmul", trials=8, template=broken, database=tmp_path / "tuning.db", **SIZE)
    assert result.stopped == "template broken raised KeyError: 'nothing'"
    assert result.trials == 0 and result.source == "analytic" and result.seconds
    assert result.schedule is not None and result.schedule.text == untuned(**SIZE).text


def test_no_template_is_slower_than_what_needs_no_search(tmp_path: Path) -> None:
    def scalar(cfg: at.Config, output: at.Tensor) -> at.Schedule:
        return at.create_schedule(output).split(output.name, "i", cfg.define_split("t", 64))

    size = {"m": 64, "n": 64, "k": 64}
    result = at.tune("matmul", trials=2, template=scalar, database=tmp_path / "tuning.db", **size)
    assert (result.trials, result.source, result.failed) == (2, "analytic", 0)
    assert result.schedule is not None and result.schedule.text == untuned(**size).text
    assert at.find("matmul", database=tmp_path / "tuning.db", **size).schedule.text == result.schedule.text


def test_what_a_person_wrote_is_tried_whatever_the_model_thinks_of_it() -> None:
    def long(cfg: at.Config, output: at.Tensor) -> at.Schedule:
        """More straight-line code than the automatic space allows."""
        schedule = at.create_schedule(output).reorder("c", ["i", "r", "j"]).split("c", "j", cfg.define_split("t", 53))
        return schedule.unroll("c", "r").unroll("c", "j.0").unroll("c", "j.1")

    own = given_space(tuning_task("matmul", **SIZE), long).space
    everything = at.Population(np.zeros(own.size, int), np.arange(own.size)[:, None])
    assert own.evaluate(everything).legal.all()
    untrusted = at.SearchSpace(own.definitions["direct"], own.target, given=own.sketches)
    assert not untrusted.evaluate(everything).legal.any()


def test_trials_of_a_template_are_its_own_and_lookups_find_its_best(tmp_path: Path) -> None:
    with at.Database.open(tmp_path / "tuning.db") as database:
        first = at.tune("matmul", trials=6, template=tiled, database=database, **SIZE)
        assert (first.trials, first.new_trials, first.stopped) == (6, 6, "") and first.verified
        again = at.tune("matmul", trials=8, template=at.template(tiled), database=database, **SIZE)
        assert (again.trials, again.new_trials) == (8, 2), "the same template resumes"
        automatic = tuning_task("matmul", **SIZE)
        assert database.count(automatic.key, phase="trial") == 0
        assert database.count(first.task.key, phase="trial") == 8
        found = at.find("matmul", database=database, **SIZE)
        assert found.source == "exact" and found.task is not None and found.task.space_version.startswith("template ")
        a, b = (np.ones(shape, np.float32) for shape in ((37, 29), (29, 53)))
        np.testing.assert_allclose(at.build("matmul", database=database, **SIZE)(a, b), a @ b)


def test_a_schedule_with_knobs_is_a_space(tmp_path: Path) -> None:
    a = at.placeholder((37, 53), name="a")
    out = at.compute((37, 53), lambda i, j: a[i, j] * 3, name="out")
    schedule = at.create_schedule(out).split("out", "j", [at.Knob("tile", (8, 16, 24))]).vectorize("out", "j.1")
    result = at.tune(schedule, trials=10, database=tmp_path / "tuning.db")
    assert result.trials == 3 and result.stopped == "the space has no more candidates" and result.verified


def test_the_command_line_takes_a_template_by_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my_templates.py").write_text(
        "import autotune as at\n\n\ndef plain(cfg, output):\n"
        "    return at.create_schedule(output).split(output.name, 'j', cfg.define_split('t', 53, policy='power2'))\n"
    )
    monkeypatch.chdir(tmp_path)
    size = [word for name, value in SIZE.items() for word in (f"--{name}", str(value))]
    command = ["matmul", *size, "--trials", "3", "--db", "t.db", "--quiet", "--template"]
    assert run([*command, "my_templates:plain"]) == 0
    with at.Database.open(tmp_path / "t.db") as database:
        assert {task.space_version.split()[1] for task in database.tasks()} == {"plain"}
    assert run([*command, "my_templates:missing"]) == 2
    assert "'my_templates:missing' cannot be loaded: AttributeError" in capsys.readouterr().err
