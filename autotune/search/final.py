"""The final: the best trials measured again, head to head, beside the schedule that needs no search.

So no winner owes its place to a lucky sample, and none is slower than what ``autotune.build`` takes without tuning.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from autotune.measure.builders import BuildResult
from autotune.schedules.schedule import Schedule
from autotune.search.history import trial_record
from autotune.search.lookup import Asked
from autotune.search.options import TuneOptions
from autotune.search.space import SearchSpace
from autotune.search.task import TuningTask
from autotune.search.workbench import Workbench
from autotune.search.yardstick import Yardstick
from autotune.tensor_expr.algorithms import DIRECT, algorithm_of, definitions, executed_flops
from autotune.tuning_logs import Record, TuningDatabase

_ENDS_THE_RACE = ("crash", "timeout", "memory", "load-error")


@dataclass(frozen=True, slots=True)
class Contestant:
    """A schedule in the final. ``source`` is ``search``, ``analytic`` (the cost model's choice without any trial) or
    ``default`` (the schedule of no steps); ``batch`` and ``build_seconds`` are its trial's."""

    schedule: Schedule
    source: str
    sketch: str
    knobs: Mapping[str, int] = field(default_factory=dict)
    batch: int = 0
    build_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Winner:
    """The fastest finalist: seconds (median), share of the interleaved probe's peak, largest relative error.

    ``confirmed`` is False for the best trial of a search whose final did not take place, and for a schedule that was
    not measured, which has no seconds.
    """

    schedule: Schedule
    source: str
    seconds: float | None = None
    peak_fraction: float | None = None
    verified: bool = False
    max_error: float | None = None
    baseline_seconds: float | None = None
    confirmed: bool = False


def finalists(task: TuningTask, records: Sequence[Record], count: int) -> list[Contestant]:
    """The fastest trials, at most ``count``."""
    good = [record for record in records if record.status == "ok" and record.seconds]
    good.sort(key=Yardstick().seconds)
    return [Contestant(_schedule(task, r), "search", r.sketch, r.knobs, r.batch, r.build_seconds) for r in good[:count]]


def refused_best(task: TuningTask, database: TuningDatabase, accepted: Collection[str]) -> list[Contestant]:
    """The task's stored best where its algorithm is not accepted: it races, since later lookups that accept it take the
    winner of the latest race."""
    stored = database.top(1, task.workload.key, task.target.key, task.device.key, task.threads)
    return [
        Contestant(_schedule(task, record), "search", record.sketch, record.knobs, record.batch, record.build_seconds)
        for record, of in stored
        if of == task.key and algorithm_of(record.sketch) not in accepted
    ]


def unsearched(task: TuningTask, algorithms: tuple[str, ...] | None, space: SearchSpace | None) -> list[Contestant]:
    """What can be had without any trial, the better first: the analytic choice as ``autotune.build`` takes it, whatever
    space is searched, and the schedule of no steps.

    ``space`` is the search's, if the rules made it: where it is the one that ``build`` chooses from, it is not made
    again.
    """
    accepted = algorithms or (DIRECT,)
    asked = Asked(task.workload, task.target, task.threads, accepted)
    if space is not None and space.definitions.keys() == definitions(task.workload, accepted).keys():
        asked.space = space
    name, output = next(iter(definitions(task.workload, algorithms).items()))
    default = Schedule(output, algorithm=name)
    found = [] if asked.analytic is None else [Contestant(asked.analytic, "analytic", asked.analytic.text)]
    return [*found, Contestant(default, "default", default.text)]


def best_trial(task: TuningTask, records: Sequence[Record]) -> Winner | None:
    """The fastest trial as its own measurement had it, or None where none worked."""
    record = min(records, key=Yardstick().seconds, default=None)
    if record is None or record.seconds is None or record.status != "ok":
        return None
    schedule, seconds = _schedule(task, record), record.seconds
    flops = executed_flops(task.workload, schedule.algorithm)
    fraction = flops / seconds / (record.probe * 1e9 * task.threads) if record.probe else None
    return Winner(schedule, "search", seconds, fraction, record.verified, record.max_error, record.baseline_seconds)


def race(
    bench: Workbench, database: TuningDatabase, contestants: Sequence[Contestant], options: TuneOptions, run_id: str
) -> list[Winner]:
    """Measure the contestants in interleaved rounds, record each as a final, and return those that work and whose
    algorithm is accepted, the fastest first.

    Returns none where there is nothing to race or nothing survives. A finalist that kills the worker ends the race for
    all, so then each is measured alone and only the guilty one fails.
    """
    kernels = bench.build([contestant.schedule for contestant in contestants])
    racers = [number for number, kernel in enumerate(kernels) if kernel is not None]
    if not racers:
        return []
    racing = [kernel for kernel in kernels if kernel is not None]
    results = bench.measurer.compare(racing, options.rounds)
    if all(result.status in _ENDS_THE_RACE for result in results):
        results = [bench.measure(kernel) for kernel in racing]
    placed: list[Winner] = []
    for place, (number, result) in enumerate(zip(racers, results, strict=True)):
        one = contestants[number]
        built = BuildResult((0, place), "ok", "", kernels[number], one.build_seconds)
        final = trial_record(run_id, one.batch, place, one.sketch, one.knobs, options.seed, built, result, "final")
        database.add(final, bench.task.key)
        accepted = options.algorithms is None or one.schedule.algorithm in options.algorithms
        if final.status == "ok" and accepted:
            peak = result.probe * bench.task.threads
            flops = executed_flops(bench.task.workload, one.schedule.algorithm)
            fraction = flops / result.seconds / peak if peak > 0 else None
            figures = (result.seconds, fraction, result.verified, result.max_error, final.baseline_seconds)
            placed.append(Winner(one.schedule, one.source, *figures, confirmed=True))
    return sorted(placed, key=lambda one: one.seconds or math.inf)


def _schedule(task: TuningTask, record: Record) -> Schedule:
    return Schedule.from_json(task.workload, json.loads(record.sketch)).with_knobs(record.knobs)
