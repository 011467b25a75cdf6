"""Interpreting one schedule that somebody is going to use: all of it, or the same steps on a smaller problem."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from autotune.errors import AutotuneError, ScheduleError, UsageError
from autotune.fuzz.check import check_interpreted, points
from autotune.fuzz.reduce import scaled
from autotune.schedules.schedule import Schedule
from autotune.targets.facts import Target
from autotune.tensor_expr import Workload
from autotune.tensor_expr.algorithms import definition
from autotune.tensor_expr.operators import operators
from autotune.tensor_expr.operators.registry import Value

LIMIT = 500_000  # statements that are interpreted at most: about two seconds
LARGE = 16  # sizes from here on are made smaller
HALVINGS = 12
_NUMBERS = re.compile(r"\b\d+\b")


class ProofError(AutotuneError):
    """A schedule that does not compute what its operator means; the sentence says what the interpreter saw."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Whether a schedule was interpreted, itself or on a smaller problem, and a line that says so."""

    interpreted: bool
    text: str


def prove(workload: Workload, schedule: Schedule, target: Target) -> Proof:
    """Interpret a schedule, verified between passes, beside NumPy.

    A problem of more than ``LIMIT`` statements is replaced by the largest smaller one that the same steps fit, and the
    line says which. Raises ``ProofError`` where something is wrong.
    """
    for candidate in (workload, *_reduced(workload)):
        if points(candidate) > LIMIT:
            continue
        try:
            output = definition(candidate, schedule.algorithm)
            steps = Schedule(output, schedule.steps, algorithm=schedule.algorithm)
        except (ScheduleError, UsageError):
            continue
        outcome = check_interpreted(candidate, steps, target, LIMIT)
        if not outcome.good:
            raise ProofError(f"the schedule of {candidate.text} is wrong ({outcome.kind}): {outcome.message}")
        if outcome.kind == "ok":
            return Proof(True, _line(candidate, workload))
    return Proof(False, f"too large to interpret (more than {LIMIT} statements), and its steps fit no smaller problem")


def _line(interpreted: Workload, workload: Workload) -> str:
    if interpreted is workload:
        return "interpreted without a fault, and equal to NumPy"
    return f"too large to interpret; its steps on {interpreted.text} ran without a fault, and equal to NumPy"


def _reduced(workload: Workload) -> Iterator[Workload]:
    """The workload with large sizes divided by 2, 4, 8, ..."""
    for halvings in range(1, HALVINGS):
        operator = operators().get(workload.operator)
        if operator is None:
            output = scaled(workload.output, LARGE, 2**halvings)
            if output is not None:
                yield Workload(output, domains=workload.domains)
            continue
        known = {param.name for param in operator.params}
        params = {name: _divided(value, 2**halvings) for name, value in workload.params.items() if name in known}
        try:
            yield operator(**params)
        except UsageError:
            continue


def _divided(value: Value, by: int) -> Value:
    """A parameter with its large numbers divided."""
    if isinstance(value, str):
        return _NUMBERS.sub(lambda found: str(_divided(int(found[0]), by)), value)
    return value if isinstance(value, (bool, float)) or value < LARGE else max(1, value // by)
