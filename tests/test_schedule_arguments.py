"""What a schedule, its steps and its JSON are given: right, or refused with a sentence."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from operators_for_tests import double, matmul

from autotune.errors import ScheduleError, UsageError
from autotune.schedules.primitives import primitives
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.tensor_expr.operators import get_operator


@pytest.mark.parametrize("name", list(primitives()))
def test_arguments_of_a_wrong_type_are_refused(name: str) -> None:
    """Whatever stands in the place of an argument, the sentence names the stage, the primitive and the argument."""
    schedule = create_schedule(matmul())
    right: dict[str, object] = {"str": "c", "bool": True, "int": 1, "int | float": 1, "Factor": 1, "int | None": 0}
    given = {f.name: right.get(str(f.type), ()) for f in fields(primitives()[name])}
    for argument in given:
        for wrong in (np.array([2, 3]), ((),), [object], {"not": "a knob"}):
            with pytest.raises(ScheduleError, match=f"stage .*: {name} takes .* as {argument}, got"):
                getattr(schedule, name)(**{**given, argument: wrong})


@pytest.mark.parametrize(
    "knob", [{"knob": [], "choices": [2]}, *({"knob": "k", "choices": c} for c in ([], 3, "4", [[1]], ["x"]))]
)
def test_json_of_knobs_that_are_none(knob: object) -> None:
    with pytest.raises(ScheduleError, match=r"a knob is named \[\]|knob 'k' has the choices .*; give it whole numbers"):
        Schedule.from_json(
            double(), {"version": 1, "steps": [["split", {"stage": "y", "axis": "i", "factors": [knob]}]]}
        )


def test_a_workload_is_scheduled_by_its_output() -> None:
    work = get_operator("matmul")(m=3, n=4, k=5)
    assert create_schedule(work).output is work.output


def test_version_of_another_release() -> None:
    with pytest.raises(UsageError, match="schedule version 9 is not known here; this release reads version 1"):
        Schedule.from_json(double(), {"version": 9, "steps": []})
    with pytest.raises(UsageError, match="a schedule's JSON is an object with a version and steps, not 7"):
        Schedule.from_json(double(), 7)  # type: ignore[arg-type]
    for steps in (None, 7, [7], [["split"]], [["split", 7]], [[7, {}]], [["split", {7: 7}]]):
        with pytest.raises(UsageError, match=r"a schedule's steps are a list of pairs \[name, \{argument: value\}\]"):
            Schedule.from_json(double(), {"version": 1, "steps": steps})
