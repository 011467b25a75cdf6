"""The schedule for a workload that is to be built without tuning it now: exact -> near -> analytic.

``exact`` is the tuning database's best for this very workload and target (and, where this machine runs the target, for
this machine); ``near`` is the best of a workload of another shape, or of another device, made legal for the asked one;
``analytic`` is the first choice of the analytic cost model, which costs no trial; ``default`` is the schedule of no
steps, where the rules find nothing that could be built.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autotune.cost_model.models.analytic import AnalyticModel
from autotune.errors import AutotuneError
from autotune.lowering.pipeline import lower
from autotune.schedules.schedule import Schedule
from autotune.schedules.sketches import SPACE_VERSION, Sketch
from autotune.search.relegalize import relegalized
from autotune.search.space import Population, SearchSpace
from autotune.search.strategies import make_strategy
from autotune.search.task import toolchain
from autotune.targets.facts import Target
from autotune.targets.host import host_device, supports
from autotune.tensor_expr.algorithms import DIRECT, definitions
from autotune.tensor_expr.workload import Workload
from autotune.tuning_logs import Accept, DatabaseError, DeviceInfo, Record, Task, TuningDatabase
from autotune.tuning_logs import Workload as LoggedWorkload
from autotune.tuning_logs.accept import VERIFIED

LEEWAY = 1.2  # by which a near schedule may seem slower than the analytic choice
CHOICES = 8  # of the analytic model, in case that the first ones cannot be lowered


class UnknownScheduleError(DatabaseError):
    """A stored schedule that this release cannot replay, and that another one wrote."""


@dataclass(frozen=True, slots=True)
class Found:
    """A schedule and which policy served it: ``exact``, ``near``, ``analytic`` or ``default``.

    The database's come with the record and its task; a near one's are another workload's or device's, ``distance``
    away, and its time is not this workload's here.
    """

    schedule: Schedule
    source: str
    record: Record | None = None
    task: Task | None = None
    distance: float = 0.0


class Asked:
    """A workload on a target and number of threads, and its space of schedules, made once it is needed."""

    def __init__(
        self, workload: Workload, target: Target, threads: int = 1, algorithms: tuple[str, ...] | None = None
    ) -> None:
        self.workload, self.target, self.threads, self.algorithms = workload, target, threads, algorithms

    @cached_property
    def space(self) -> SearchSpace | None:
        """None where the rules find nothing that can be replayed."""
        try:
            return SearchSpace(self.workload, self.target, self.threads, algorithms=self.algorithms)
        except AutotuneError:
            return None

    @cached_property
    def analytic(self) -> Schedule | None:
        """The analytic model's choice: of the operator's own definition, unless others are asked for by name."""
        own = self if self.algorithms else Asked(self.workload, self.target, self.threads, (DIRECT,))
        return analytic_choice(own.space, self.target)

    def seems_slow(self, schedule: Schedule) -> bool:
        """Whether the analytic model gives a schedule much more time than its own choice."""
        return self.analytic is not None and self._estimate(schedule) > self._estimate(self.analytic) * LEEWAY

    def _estimate(self, schedule: Schedule) -> float:
        """Seconds by the analytic model."""
        alone = SearchSpace(self.workload, self.target, self.threads, [Sketch("", schedule)], self.algorithms)
        described = alone.evaluate(Population(np.zeros(1, np.int64), np.zeros((1, 0), np.int64)))
        return float(2.0 ** AnalyticModel().predict(described.features)[0])


def find_schedule(
    workload: Workload,
    target: Target,
    threads: int = 1,
    database: TuningDatabase | None = None,
    accept: Accept = VERIFIED,
) -> Found:
    """The best schedule that is known without measuring anything.

    Raises ``DatabaseError`` where the database or the workload's own record is damaged.
    """
    asked = Asked(workload, target, threads, accept.algorithms)
    if database is not None:
        found = _exact(asked, database, accept) or find_near(asked, database, accept)
        if found is not None:
            return found
    if asked.analytic is not None:
        return Found(asked.analytic, "analytic")
    name, output = next(iter(definitions(workload, accept.algorithms).items()))
    return Found(Schedule(output, algorithm=name), "default")


def best_record(
    workload: Workload, target: Target, threads: int, database: TuningDatabase, accept: Accept = VERIFIED
) -> tuple[Record, Task] | None:
    """The database's best for the workload on the target, measured on this machine where this machine can run it."""
    device = host_device().key if supports(target) else None
    return database.best(workload.key, target.key, device, threads, accept)


def _exact(asked: Asked, database: TuningDatabase, accept: Accept) -> Found | None:
    stored = best_record(asked.workload, asked.target, asked.threads, database, accept)
    if stored is None:
        return None
    record, task = stored
    try:
        return Found(schedule_of(asked.workload, record, task, database.name), "exact", record, task)
    except DatabaseError as error:
        # The same expression may have been tuned under other names of its tensors and axes.
        schedule = relegalized(asked.space, record.sketch, record.knobs) if asked.space else None
        if schedule is not None:
            return Found(schedule, "exact", record, task)
        if isinstance(error, UnknownScheduleError):
            return None
        raise


def find_near(asked: Asked, database: TuningDatabase, accept: Accept = VERIFIED) -> Found | None:
    """The schedule of the nearest record that can be made legal for what is asked; None where there is none.

    A schedule that seems slow here is passed over: the tiles of another shape may not fit this one. In what
    benchmarks/nearness.py measured, schedules to which the model gave over ``LEEWAY`` times its own choice's time lost.
    """
    here = host_device() if supports(asked.target) else None
    device = DeviceInfo(here.name, here.text, here.facts) if here else None
    workload = LoggedWorkload(asked.workload.text, asked.workload.operator, dict(asked.workload.params))
    for neighbour in database.near(workload, asked.target.key, device, asked.threads, accept):
        if asked.space is None:
            return None
        schedule = relegalized(asked.space, neighbour.record.sketch, neighbour.record.knobs)
        if schedule is not None and not asked.seems_slow(schedule):
            return Found(schedule, "near", neighbour.record, neighbour.task, neighbour.distance)
    return None


def schedule_of(workload: Workload, record: Record, task: Task, name: str) -> Schedule:
    """The schedule that a record of the database called ``name`` measured.

    Raises ``DatabaseError`` where it cannot be replayed, of which ``UnknownScheduleError`` is one that another release
    wrote, perhaps with steps that this one does not know.
    """
    try:
        return Schedule.from_json(workload, json.loads(record.sketch)).with_knobs(record.knobs)
    except (AutotuneError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        where = f"the schedule of trial {record.trial!r} cannot be replayed ({_one_line(error)})"
        if (task.toolchain, task.space_version) == (toolchain(), str(SPACE_VERSION)):
            raise DatabaseError(f"{name} is damaged: {where}") from error
        raise UnknownScheduleError(f"{name} is of another release, {task.toolchain}, or damaged: {where}") from error


def _one_line(error: Exception, width: int = 200) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= width else f"{text[: width - 3]}..."


def analytic_choice(space: SearchSpace | None, target: Target) -> Schedule | None:
    """The analytic model's first choice that can be lowered; None where there is none."""
    if space is None or not space.sketches:
        return None
    try:
        chosen = make_strategy("evolutionary", space, AnalyticModel(), seed=0).propose(CHOICES).population
    except AutotuneError:
        return None
    for row in range(len(chosen)):
        schedule = space.schedule(chosen, row)
        try:
            lower(schedule, target)
        except AutotuneError:
            continue
        return schedule
    return None
