"""Fuzzing: a slice of it, that it is complete and deterministic, and what it makes of something that is wrong."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from autotune.cli.fuzz import command
from autotune.fuzz import run, shrink
from autotune.fuzz.check import Outcome, check_interpreted
from autotune.fuzz.choices import Choices, RandomChoices
from autotune.fuzz.operators import draw_workload_of
from autotune.fuzz.programs import draw_pair, draw_workload
from autotune.fuzz.snippet import reproducer, tensor_source
from autotune.fuzz.steps import draw_schedule
from autotune.fuzz.worker import CHECKS, Worker
from autotune.lowering import pipeline
from autotune.lowering.ir import For, Function, Stmt, rewrite_statements
from autotune.schedules.primitives import primitives
from autotune.schedules.primitives.unroll import Unroll
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.schedules.state import State
from autotune.targets.facts import TARGETS, X86_AVX2, Target
from autotune.targets.host import supports
from autotune.tensor_expr import Workload, call, cast, compute, graph, placeholder, reduce_axis, select
from autotune.tensor_expr import sum as total
from autotune.tensor_expr.expr import Const, const
from autotune.tensor_expr.operators import operators
from autotune.tensor_expr.serialize import canonical_text
from autotune.tensor_expr.tensor import as_output

RUNNABLE = [target.name for target in TARGETS.values() if supports(target)]


class HypothesisChoices(Choices):
    """Choices by Hypothesis, which shrinks them."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data

    def integer(self, low: int, high: int) -> int:
        return int(self.data.draw(st.integers(low, high)))


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as worker:
        yield worker


@pytest.mark.skipif(not RUNNABLE, reason="no target's code runs on this machine")
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_accepted_schedule_computes_the_same(worker: Worker, data: st.DataObject) -> None:
    choices = HypothesisChoices(data)
    workload = draw_workload(choices)
    schedule = draw_schedule(choices, workload.output).schedule
    target = choices.choice(RUNNABLE)
    for check in ("interpreted", "compiled"):
        outcome = worker.check(check, workload, schedule, target)
        if not outcome.good:
            note(reproducer(workload, schedule.steps, target))
        assert outcome.good, outcome


def test_a_seeded_slice() -> None:
    report = run.fuzz(seed=1_000_000, seconds=8)
    assert [str(finding) for finding in report.findings] == []
    assert report.pairs >= 5 and report.outcomes["ok"] >= 4 * report.pairs - report.outcomes["refused"] - 5


def test_every_primitive_is_exercised() -> None:
    accepted = Counter[str]()
    for number in range(600):
        pair = draw_pair(0, number)
        accepted.update(pair.draft.accepted)
        assert pair.draft.trouble is None, pair.draft.trouble
    assert [name for name in primitives() if not accepted[name]] == []


@pytest.mark.parametrize("name", operators())
def test_every_operator_has_random_small_parameters(name: str) -> None:
    drawn = {draw_workload_of(RandomChoices(seed), operators()[name]).text for seed in range(8)}
    assert len(drawn) > 1


def test_a_pair_is_the_same_everywhere() -> None:
    """Here and in a process of its own, with another hash seed."""
    program = (
        "from autotune.fuzz.programs import draw_pair\n"
        "for number in range(20):\n"
        "    pair = draw_pair(7, number)\n"
        "    print(pair.workload.text, pair.draft.schedule.text)\n"
    )
    command = [sys.executable, "-c", program]
    there = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "5"})
    pairs = [draw_pair(7, number) for number in range(20)]
    here = "".join(f"{pair.workload.text} {pair.draft.schedule.text}\n" for pair in pairs)
    assert there.stdout == here


# -- source --------------------------------------------------------------------------------------------------------


def made(source: str) -> Any:
    names: dict[str, Any] = {}
    exec(source, names)
    return as_output(names["output"])


def test_tensors_as_source() -> None:
    for number in range(150):
        output = draw_pair(3, number).workload.output
        assert canonical_text(made(tensor_source(output))) == canonical_text(output)


def test_source_of_awkward_names_and_constants() -> None:
    lambda_ = placeholder((3,), "float64", "lambda")
    i = placeholder((3,), "float32", "i", constant=True)
    y = compute((3,), lambda i_: select(lambda_[i_] < float("-inf"), 0.1, lambda_[i_]) * i[i_], name="at.sum")
    source = tensor_source(y)
    assert canonical_text(made(source)) == canonical_text(y)
    again = made(source)
    assert again.name == "at.sum" and [axis.name for axis in again.axes] == ["i_"]


def test_source_of_deep_expressions() -> None:
    x = placeholder((3,), "float32", "x")

    def chain(i: Any) -> Any:
        value = x[i]
        for _ in range(2000):
            value = value * 0.5 + 1
        return value

    y = compute((3,), chain, name="y")
    assert canonical_text(made(tensor_source(y))) == canonical_text(y)


# -- shrinking -----------------------------------------------------------------------------------------------------


def big_case() -> shrink.Case:
    """A pipeline and a schedule of which little matters."""
    p, q = placeholder((7, 23), "float32", "p"), placeholder((23,), "float32", "q")
    a = compute((7, 23), lambda i, j: p[i, j] * 2 + q[j], name="a")
    k = reduce_axis(23, "k")
    b = compute((7,), lambda i: total(a[i, k] * 3, axis=k), name="b")
    c = compute((7, 23), lambda i, j: b[i] + a[i, 22 - j], name="c")
    schedule = (
        create_schedule(c).split("a", "j", [5]).unroll("a", "j.1").reorder("b", ["k", "i"]).compute_at("b", "c", "i")
        .split("c", "j", [8, 2]).vectorize("c", "j.2")
    )  # fmt: skip
    return shrink.Case(Workload(c), schedule.steps)


def lose_the_last_lane(function: Function, target: Target) -> Function:
    """A wrong pass: vectors of several lanes lack the last one."""

    def fewer(stmt: Stmt) -> Stmt | None:
        if isinstance(stmt, For) and stmt.kind == "vectorize" and isinstance(stmt.extent, Const):
            return replace(stmt, extent=Const("int64", max(1, int(stmt.extent.value) - 1)))
        return None

    return replace(function, body=rewrite_statements(function.body, fewer))


@pytest.fixture
def wrong_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "PASSES", (*pipeline.PASSES, ("lose the last lane", lose_the_last_lane)))


def interpreted(workload: Workload, schedule: Schedule) -> Outcome:
    return check_interpreted(workload, schedule, X86_AVX2)


def output_of(program: str) -> str:
    """What a program prints, run in this process."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(program, {})
    return printed.getvalue()


@pytest.mark.usefixtures("wrong_pass")
def test_a_wrong_pass_shrinks_to_a_small_program_that_shows_it() -> None:
    case = big_case()
    assert shrink.outcome_of(case, interpreted).kind == "fault"
    least = shrink.shrink(case, interpreted)
    assert [step.name for step in least.steps] == ["vectorize"]
    program = reproducer(least.workload, least.steps, "x86_avx2")
    assert len(program.splitlines()) <= 15, program
    assert len(graph(least.workload.output)) == 1, program
    assert output_of(program).startswith("fault: "), program


def test_the_same_program_without_what_was_wrong() -> None:
    case = big_case()
    assert output_of(reproducer(case.workload, case.steps, RUNNABLE[0] if RUNNABLE else "x86_avx2")) == "equal\n"


@pytest.mark.usefixtures("wrong_pass")
def test_what_guards_a_read_stays() -> None:
    """Without its condition the read would be out of bounds, which is another failure."""
    x = placeholder((6,), "float32", "x")
    y = compute((20,), lambda i: select(i < 6, x[i], 0) + 1, name="y")
    schedule = create_schedule(y).split("y", "i", [8]).vectorize("y", "i.1")
    least = shrink.shrink(shrink.Case(Workload(y), schedule.steps), interpreted)
    plain = interpreted(least.workload, create_schedule(least.workload.output))
    assert plain.kind == "ok", reproducer(least.workload, least.steps, "x86_avx2")


def test_a_wrong_primitive_shrinks_to_its_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Unroll, state: State) -> State:
        raise KeyError(self.axis)

    case = big_case()
    monkeypatch.setattr(Unroll, "apply", fail)
    least = shrink.shrink(case, interpreted)
    assert [step.name for step in least.steps] == ["unroll"]
    with pytest.raises(KeyError):
        exec(reproducer(least.workload, least.steps, "x86_avx2"), {})


class InProcess:
    """A worker that is this process, into which tests put what is wrong."""

    def __enter__(self) -> InProcess:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def check(self, check: str, workload: Workload, schedule: Schedule, target: str) -> Outcome:
        return CHECKS[check](workload, schedule, TARGETS[target])


@pytest.mark.usefixtures("wrong_pass")
def test_a_finding_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "Worker", InProcess)
    monkeypatch.setattr(run, "MAX_FINDINGS", 1)
    result = CliRunner().invoke(command, ["--count", "60", "--seed", "5", "--json", "--target", "x86_avx2"])
    assert result.exit_code == 1
    (found,) = json.loads(result.stdout)["findings"]
    assert found["target"] == "x86_avx2" and found["kind"] in ("fault", "wrong")
    assert ".vectorize(" in found["program"]


def test_the_command_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(command, ["--count", "2", "--seed", "3"])
    assert result.exit_code == 0, result.output
    assert "2 of seed 3" in result.stdout and "steps accepted" in result.stdout and "failures" in result.stdout


def test_interrupting_prints_the_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(InProcess):
        calls = 0

        def check(self, check: str, workload: Workload, schedule: Schedule, target: str) -> Outcome:
            Interrupted.calls += 1
            if Interrupted.calls > 6:
                raise KeyboardInterrupt
            return Outcome("ok")

    monkeypatch.setattr(run, "Worker", Interrupted)
    result = CliRunner().invoke(command, ["--count", "50"])
    assert result.exit_code == 130
    assert "1 of seed 0" in result.stdout and "Interrupted" in result.stderr


def test_half_precision_between_stages_is_no_finding() -> None:
    """NumPy computes in float64: what only rounding to half precision decides is left out, and nothing else."""
    e = compute((4,), lambda i: call("exp", const(1, "float16")), name="e")
    wide = compute((4,), lambda i: cast(e[i], "float64"), name="wide")
    assert check_interpreted(Workload(wide), create_schedule(wide), X86_AVX2).kind == "ok"
    above = compute((4,), lambda i: cast(e[i], "float64") > 2.7183, name="above")
    assert check_interpreted(Workload(above), create_schedule(above), X86_AVX2).kind == "ok"


def test_a_worker_that_dies_is_an_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    workload = big_case().workload
    with Worker() as worker:
        assert worker.check("interpreted", workload, create_schedule(workload.output), "x86_avx2").kind == "ok"
        monkeypatch.setattr("autotune.fuzz.worker.SECONDS", 1e-9)
        assert worker.check("interpreted", workload, create_schedule(workload.output), "x86_avx2").kind == "timeout"
