"""The schedule for a workload that is to be built without tuning it now: exact -> analytic.

``exact`` is the tuning database's best for this very workload and target (and, where this machine runs the target, for
this machine); ``analytic`` is the first choice of the analytic cost model, which costs no trial; ``default`` is the
schedule of no steps, where the rules find nothing that could be built.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from autotune.cost_model.model import AnalyticModel
from autotune.errors import AutotuneError
from autotune.lowering.pipeline import lower
from autotune.schedules.schedule import Schedule
from autotune.search.space import SearchSpace
from autotune.search.strategies import make_strategy
from autotune.targets.facts import Target
from autotune.targets.host import host_device, supports
from autotune.tensor_expr.workload import Workload
from autotune.tuning_logs import Database, Record, Task

CHOICES = 8  # of the analytic model, in case that the first ones cannot be lowered


@dataclass(frozen=True, slots=True)
class Found:
    """A schedule and which policy served it: ``exact`` (then with its record), ``analytic`` or ``default``."""

    schedule: Schedule
    source: str
    record: Record | None = None
    task: Task | None = None


def best_record(
    workload: Workload, target: Target, threads: int, database: Database, verified_only: bool = True
) -> tuple[Record, Task] | None:
    """The database's best for the workload on the target, measured on this machine where this machine can run it."""
    device = host_device().key if supports(target) else None
    return database.best(workload.key, target.key, device, threads, verified_only)


def find_schedule(workload: Workload, target: Target, threads: int = 1, database: Database | None = None) -> Found:
    """The best schedule that is known without measuring anything."""
    stored = best_record(workload, target, threads, database) if database is not None else None
    if stored is not None:
        record, task = stored
        try:
            return Found(schedule_of(workload, record), "exact", record, task)
        except AutotuneError:
            pass  # written by a release whose steps this one does not know
    for schedule in _analytic(workload, target, threads):
        return Found(schedule, "analytic")
    return Found(Schedule(workload.output), "default")


def schedule_of(workload: Workload, record: Record) -> Schedule:
    """The schedule that a record measured; ``UsageError`` where this release cannot replay it."""
    return Schedule.from_json(workload.output, json.loads(record.sketch)).with_knobs(record.knobs)


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
