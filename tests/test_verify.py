"""``verify``: candidates are checked while they are built, and what is going to be used is interpreted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from operators_for_tests import matmul
from test_fuzz import lose_the_last_lane

import autotune as at
from autotune.api import tuning_task
from autotune.cli.entry import autotune
from autotune.errors import AutotuneError
from autotune.fuzz.proof import ProofError, prove
from autotune.lowering import pipeline
from autotune.lowering.ir import Function, Load, Stmt, Store, rewrite_statements
from autotune.lowering.passes.verify import VerifyError
from autotune.schedules.schedule import create_schedule
from autotune.search.options import TuneOptions
from autotune.search.workbench import open_workbench
from autotune.targets.facts import X86_AVX2, Target
from autotune.targets.llvm.build import build_from_json
from autotune.tensor_expr import Workload
from autotune.tensor_expr.operators import get_operator


def beyond_the_end(function: Function, target: Target) -> Function:
    """A wrong pass, whose accesses the verifier can refuse."""

    def moved(stmt: Stmt) -> Stmt | None:
        if isinstance(stmt, Store) and isinstance(stmt.value, Load):
            return None
        return replace(stmt, indices=(stmt.indices[0] + 10**6, *stmt.indices[1:])) if isinstance(stmt, Store) else None

    return replace(function, body=rewrite_statements(function.body, moved))


def broken(monkeypatch: pytest.MonkeyPatch, wrong: pipeline.Pass) -> None:
    monkeypatch.setattr(pipeline, "PASSES", (*pipeline.PASSES, ("a wrong pass", wrong)))


def test_a_small_schedule_is_interpreted() -> None:
    workload = get_operator("matmul")(m=7, n=21, k=5)
    proof = prove(
        workload, create_schedule(workload.output).reorder("c", ["i", "r", "j"]).vectorize("c", "j"), X86_AVX2
    )
    assert proof.interpreted and proof.text == "interpreted without a fault, and equal to NumPy"


def test_a_large_one_on_a_smaller_problem() -> None:
    workload = get_operator("matmul")(m=512, n=512, k=512)
    schedule = create_schedule(workload.output).split("c", "j", [16]).reorder("c", ["i", "j.0", "r", "j.1"])
    schedule = schedule.vectorize("c", "j.1").parallel("c", "i")
    proof = prove(workload, schedule, X86_AVX2)
    assert proof.interpreted
    assert proof.text.startswith("too large to interpret; its steps on matmul(") and "m=64" in proof.text


def test_an_expression_of_ones_own_on_a_smaller_problem() -> None:
    x = at.placeholder((3000, 2000), "float32", "x")
    y = at.compute((3000, 2000), lambda i, j: x[i, 1999 - j] + 1, name="y")
    proof = prove(Workload(y), create_schedule(y).vectorize("y", "j"), X86_AVX2)
    assert proof.interpreted and "[750,500|]" in proof.text


def test_what_fits_no_smaller_problem_is_said_to_be_too_large() -> None:
    """Many small dimensions, of which none is large enough to be made smaller."""
    x = at.placeholder((15, 15, 15, 15, 15), "int8", "x")
    y = at.compute(x.shape, lambda a, b, c, d, e: x[a, b, c, d, e] + 1, name="y")
    schedule = create_schedule(y)
    proof = prove(Workload(y), schedule, X86_AVX2)
    assert not proof.interpreted and proof.text.startswith("too large to interpret")
    with pytest.warns(UserWarning, match="too large to interpret"):
        at.build(schedule, verify=True)


def test_build_refuses_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = create_schedule(matmul()).reorder("c", ["i", "r", "j"]).vectorize("c", "j")
    kernel = at.build(schedule, verify=True)
    a, b = np.ones((7, 5), np.float32), np.ones((5, 21), np.float32)
    np.testing.assert_array_equal(kernel(a, b), a @ b)
    broken(monkeypatch, lose_the_last_lane)
    with pytest.raises(ProofError, match=r"the schedule of .* is wrong \(fault\)"):
        at.build(schedule, verify=True)


def test_builders_check_candidates_where_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    task = tuning_task("matmul", m=7, n=21, k=5)
    schedule = create_schedule(task.workload.output)
    requests = {}
    for check in (False, True):
        with open_workbench(task, TuneOptions(check=check)) as bench:
            requests[check] = bench.request(schedule, {})
    assert requests[False]["check"] is False and requests[True]["check"] is True
    broken(monkeypatch, beyond_the_end)
    with pytest.raises(VerifyError, match="out of bounds"):
        build_from_json(requests[True])


def test_tuning_says_how_the_winner_was_interpreted(tmp_path: Path) -> None:
    path = tmp_path / "tuning.db"
    result = at.tune("matmul", trials=4, budget=20, database=path, m=12, n=20, k=9, verify=True)
    assert result.proof == "interpreted without a fault, and equal to NumPy"
    assert at.tune("matmul", trials=4, database=path, m=12, n=20, k=9).proof == ""
    common = ["--m", "12", "--n", "20", "--k", "9", "--db", str(path), "--verify"]
    best = CliRunner().invoke(autotune, ["best", "matmul", *common, "--json"])
    assert json.loads(best.stdout)["proof"] == result.proof
    explained = CliRunner().invoke(autotune, ["explain", "matmul", *common, "--show", "schedule"])
    assert explained.exit_code == 0 and explained.stderr.strip() == result.proof
    tuned = CliRunner().invoke(autotune, ["matmul", *common, "--trials", "4", "--json", "--quiet"])
    assert json.loads(tuned.stdout)["proof"] == result.proof


def test_a_proof_error_is_one_of_ours() -> None:
    assert issubclass(ProofError, AutotuneError)
