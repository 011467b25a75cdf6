"""Spaces that a person wrote: a template, or a schedule that leaves knobs open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from autotune.errors import AutotuneError
from autotune.schedules.schedule import Schedule
from autotune.schedules.sketches import Sketch
from autotune.schedules.templates import Function, Template, fingerprint, template
from autotune.search.space import SearchSpace
from autotune.search.task import TuningTask

Given: TypeAlias = "Template | Function | Schedule"


@dataclass(frozen=True, slots=True)
class GivenSpace:
    """The ``task`` of searching the ``space``, and the ``problem`` where that is empty."""

    task: TuningTask
    space: SearchSpace
    problem: str = ""


def given_space(task: TuningTask, given: Given) -> GivenSpace:
    """The space of a template, or of a schedule with knobs, as a task that is told apart from the automatic one.

    A schedule must be one of the task's own output. A template that fails leaves the space empty.
    """
    if isinstance(given, Schedule):
        return _space(task, "schedule", [Sketch("as given", given)])
    chosen = given if isinstance(given, Template) else template(given)
    try:
        return _space(task, f"template {chosen.name}", chosen.sketches(task.workload.output))
    except AutotuneError as error:
        return replace(_space(task, f"template {chosen.name}", ()), problem=str(error))


def _space(task: TuningTask, name: str, sketches: Sequence[Sketch]) -> GivenSpace:
    # Trials of other sketches do not count, though lookups take the best of all of them.
    named = replace(task, space=f"{name} {fingerprint(sketches)}")
    return GivenSpace(named, SearchSpace(task.workload.output, task.target, task.threads, given=sketches, trusted=True))
