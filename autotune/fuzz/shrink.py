"""Reduces a failure to what is needed for it: greedily, as long as the same kind of thing stays wrong."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from autotune.errors import UsageError
from autotune.fuzz.check import Outcome, helpful
from autotune.fuzz.reduce import smaller
from autotune.schedules.primitives import Step
from autotune.schedules.schedule import Schedule
from autotune.tensor_expr import Workload
from autotune.tensor_expr.operators import get_operator

SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Case:
    """An operator and the steps of a schedule, which may be ones that a primitive fails on."""

    workload: Workload
    steps: tuple[Step, ...]


Check = Callable[[Workload, Schedule], Outcome]


def outcome_of(case: Case, check: Check) -> Outcome:
    """What becomes of a case: of its steps, and of what is checked of their schedule."""
    try:
        schedule = Schedule(case.workload.output, case.steps)
    except UsageError as refusal:
        return Outcome("refused" if helpful(refusal) else "unhelpful", str(refusal))
    except Exception as error:  # a primitive that fails instead of refusing
        return Outcome("error", f"{type(error).__name__}: {error}")
    return check(case.workload, schedule)


def shrink(case: Case, check: Check, seconds: float = SECONDS) -> Case:
    """The smallest case found within a time that fails as the given one does."""
    wanted = _signature(outcome_of(case, check))
    if _signature(outcome_of(replace(case, steps=()), check)) != wanted:
        check = _with_steps_only(check, wanted)
    deadline = time.monotonic() + seconds
    progress = True
    while progress and time.monotonic() < deadline:
        progress = False
        for variants in (_fewer_steps, _smaller_factors, _smaller_parameters, _smaller_expressions):
            found = _first(variants(case), check, wanted, deadline)
            while found is not None:
                case, progress = found, True
                found = _first(variants(case), check, wanted, deadline)
    return case


def _with_steps_only(check: Check, wanted: str) -> Check:
    """The check of a failure that needs steps: what fails without any is an expression that means nothing."""

    def checked(workload: Workload, schedule: Schedule) -> Outcome:
        outcome = check(workload, schedule)
        if _signature(outcome) == wanted and _signature(check(workload, Schedule(workload.output))) == wanted:
            return Outcome("ok")
        return outcome

    return checked


def _first(variants: Iterator[Case], check: Check, wanted: str, deadline: float) -> Case | None:
    """The first variant that fails in the same way."""
    for variant in variants:
        if time.monotonic() > deadline:
            return None
        if _signature(outcome_of(variant, check)) == wanted:
            return variant
    return None


def _signature(outcome: Outcome) -> str:
    """The kind of a failure; of an exception also its type."""
    return outcome.message.split(":")[0] if outcome.kind == "error" else outcome.kind


def _fewer_steps(case: Case) -> Iterator[Case]:
    """Without runs of steps, long ones first."""
    length = len(case.steps)
    while length:
        for start in range(len(case.steps) - length, -1, -1):
            yield replace(case, steps=case.steps[:start] + case.steps[start + length :])
        length //= 2
    for place, step in enumerate(case.steps):
        for loop in sorted(_texts(step), key=len):
            later = tuple(_renamed(other, loop) for other in case.steps[place + 1 :])
            yield replace(case, steps=case.steps[:place] + later)


def _texts(step: Step) -> set[str]:
    return {value for argument in fields(step) if isinstance(value := getattr(step, argument.name), str)}


def _renamed(step: Step, loop: str) -> Step:
    """The step with what a split made of a loop replaced by the loop itself."""
    parts = re.compile(re.escape(loop) + r"\.\d+")

    def whole(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(dict.fromkeys(map(whole, value)))
        return loop if isinstance(value, str) and parts.fullmatch(value) else value

    return replace(step, **{argument.name: whole(getattr(step, argument.name)) for argument in fields(step)})


def _smaller_factors(case: Case) -> Iterator[Case]:
    """With one number of one step made smaller."""
    for place, step in enumerate(case.steps):
        for argument in fields(step):
            for value in _smaller_values(getattr(step, argument.name)):
                changed = replace(step, **{argument.name: value})
                yield replace(case, steps=(*case.steps[:place], changed, *case.steps[place + 1 :]))


def _smaller_values(value: Any) -> Iterator[Any]:
    if isinstance(value, int) and not isinstance(value, bool):
        yield from (less for less in dict.fromkeys((1, 2, value // 2, value - 1)) if 1 <= less < value)
    elif isinstance(value, tuple):
        for place, item in enumerate(value):
            for less in _smaller_values(item):
                yield (*value[:place], less, *value[place + 1 :])


def _smaller_parameters(case: Case) -> Iterator[Case]:
    """An operator of the library with one of its numbers made smaller."""
    if case.workload.operator == "expression":
        return
    operator, params = get_operator(case.workload.operator), case.workload.params
    known = {param.name for param in operator.params}
    for name, value in params.items():
        for less in _smaller_numbers(value) if name in known else ():
            try:
                yield replace(case, workload=operator(**{**params, name: less}))
            except UsageError:
                continue


def _smaller_numbers(value: Any) -> Iterator[Any]:
    """A number, or a text with numbers in it, with one of them made smaller."""
    if isinstance(value, str):
        for found in re.finditer(r"\d+", value):
            for less in _smaller_values(int(found[0])):
                yield f"{value[: found.start()]}{less}{value[found.end() :]}"
    else:
        yield from _smaller_values(value)


def _smaller_expressions(case: Case) -> Iterator[Case]:
    """The operator's expression with something left out of it."""
    domains = case.workload.domains
    for output in smaller(case.workload.output):
        names = {tensor.name for tensor in Workload(output).placeholders}
        kept = {name: domain for name, domain in domains.items() if name in names}
        yield replace(case, workload=Workload(output, domains=kept))
