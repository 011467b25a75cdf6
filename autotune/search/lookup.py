"""The schedule for a workload that is to be built without tuning it now: exact -> analytic.

``exact`` is the tuning database's best for this very workload and target (and, where this machine runs the target, for
this machine); ``analytic`` is the first choice of the analytic cost model, which costs no trial; ``default`` is the
schedule of no steps, where the rules find nothing that could be built.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from autotune.cost_model.model import AnalyticModel
from autotune.errors import AutotuneError
from autotune.lowering.pipeline import lower
from autotune.schedules.schedule import Schedule
from autotune.schedules.sketches import SPACE_VERSION
from autotune.search.space import SearchSpace
from autotune.search.strategies import make_strategy
from autotune.search.task import toolchain
from autotune.targets.facts import Target
from autotune.targets.host import host_device, supports
from autotune.tensor_expr.workload import Workload
from autotune.tuning_logs import Accept, Database, DatabaseError, Record, Task
from autotune.tuning_logs.accept import VERIFIED

CHOICES = 8  # of the analytic model, in case that the first ones cannot be lowered


class UnknownScheduleError(DatabaseError):
    """A stored schedule that this release cannot replay, and that another one wrote."""


@dataclass(frozen=True, slots=True)
class Found:
    """A schedule and which policy served it: ``exact`` (then with its record), ``analytic`` or ``default``."""

    schedule: Schedule
    source: str
    record: Record | None = None
    task: Task | None = None


def best_record(
    workload: Workload, target: Target, threads: int, database: Database, accept: Accept = VERIFIED
) -> tuple[Record, Task] | None:
    """The database's best for the workload on the target, measured on this machine where this machine can run it."""
    device = host_device().key if supports(target) else None
    return database.best(workload.key, target.key, device, threads, accept)


def find_schedule(workload: Workload, target: Target, threads: int = 1, database: Database | None = None) -> Found:
    """The best schedule that is known without measuring anything."""
    stored = best_record(workload, target, threads, database) if database is not None else None
    if stored is not None:
        record, task = stored
        assert database is not None
        try:
            return Found(schedule_of(workload, record, task, database.path), "exact", record, task)
        except UnknownScheduleError:
            pass
    for schedule in _analytic(workload, target, threads):
        return Found(schedule, "analytic")
    return Found(Schedule(workload.output), "default")


def schedule_of(workload: Workload, record: Record, task: Task, path: Path) -> Schedule:
    """The schedule that a record of the database at ``path`` measured.

    Raises ``DatabaseError`` where it cannot be replayed, of which ``UnknownScheduleError`` is one that another release
    wrote, perhaps with steps that this one does not know.
    """
    try:
        return Schedule.from_json(workload.output, json.loads(record.sketch)).with_knobs(record.knobs)
    except (AutotuneError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        where = f"the schedule of trial {record.trial!r} cannot be replayed ({_one_line(error)})"
        if (task.toolchain, task.space_version) == (toolchain(), str(SPACE_VERSION)):
            raise DatabaseError(f"{path} is damaged: {where}") from error
        raise UnknownScheduleError(f"{path} is of another release, {task.toolchain}, or damaged: {where}") from error


def _one_line(error: Exception, width: int = 200) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _analytic(workload: Workload, target: Target, threads: int) -> list[Schedule]:
    """The analytic model's first choice that can be lowered, or none."""
    try:
        space = SearchSpace(workload.output, target, threads)
        chosen = make_strategy("evolutionary", space, AnalyticModel(), seed=0).propose(CHOICES).population
    except AutotuneError:
        return []
    for row in range(len(chosen)):
        schedule = space.schedule(chosen, row)
        try:
            lower(schedule, target)
        except AutotuneError:
            continue
        return [schedule]
    return []
