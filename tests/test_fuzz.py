"""Random operators under random schedules equal NumPy: a slice of ``python tests/differential.py``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from differential import Worker, fuzz, report
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from programs import HypothesisSource, draw_program

from autotune.targets.facts import TARGETS
from autotune.targets.host import supports

RUNNABLE = [target.name for target in TARGETS.values() if supports(target)]


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


@pytest.mark.skipif(not RUNNABLE, reason="no target's code runs on this machine")
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_accepted_schedule_computes_the_same(worker: Worker, data: st.DataObject) -> None:
    source = HypothesisSource(data, st)
    program = draw_program(source)
    if program is None:
        return
    workload, schedule = program
    target = source.choice(RUNNABLE)
    problem = worker.ask(workload.output, schedule, target)
    if problem:
        note(report(workload.output, schedule, target))
    assert problem == ""


@pytest.mark.skipif(not RUNNABLE, reason="no target's code runs on this machine")
def test_a_seeded_slice() -> None:
    assert fuzz(seconds=8, seed=1_000_000, stop_after=1) == 0
