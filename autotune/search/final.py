"""The final: the best trials measured again, head to head, so that no winner owes its place to a lucky sample."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from autotune.measure.builders import BuildResult
from autotune.schedules.schedule import Schedule
from autotune.search.history import trial_record
from autotune.search.options import TuneOptions
from autotune.search.task import TuningTask
from autotune.search.workbench import Workbench
from autotune.tuning_logs import Record, TuningDatabase

_ENDS_THE_RACE = ("crash", "timeout", "memory", "load-error")


@dataclass(frozen=True, slots=True)
class Winner:
    """The fastest finalist: seconds (median), share of the interleaved probe's peak, largest relative error.

    ``confirmed`` is False for the best trial of a search whose final did not take place.
    """

    schedule: Schedule
    seconds: float
    peak_fraction: float | None
    verified: bool
    max_error: float
    confirmed: bool = True


def best_trial(task: TuningTask, records: Sequence[Record]) -> Winner | None:
    """The fastest trial as its own measurement had it, or None where none worked."""
    good = [record for record in records if record.status == "ok" and record.seconds]
    if not good:
        return None
    record = min(good, key=lambda r: r.seconds or math.inf)
    seconds = record.seconds or math.inf
    schedule = Schedule.from_json(task.workload.output, json.loads(record.sketch)).with_knobs(record.knobs)
    fraction = task.workload.flops / seconds / (record.probe * 1e9 * task.threads) if record.probe else None
    error = record.max_error if record.max_error is not None else math.nan
    return Winner(schedule, seconds, fraction, record.verified, error, confirmed=False)


def race_finalists(
    bench: Workbench, database: TuningDatabase, records: Sequence[Record], options: TuneOptions, run_id: str
) -> Winner | None:
    """Measure the given trials in interleaved rounds, record each as a final, and return the fastest.

    Returns None where there is nothing to race or nothing survives. A finalist that kills the worker ends the race for
    all, so then each is measured alone and only the guilty one fails.
    """
    output = bench.task.workload.output
    schedules = [Schedule.from_json(output, json.loads(r.sketch)).with_knobs(r.knobs) for r in records]
    kernels = bench.build(schedules)
    racers = [number for number, kernel in enumerate(kernels) if kernel is not None]
    if not racers:
        return None
    racing = [kernel for kernel in kernels if kernel is not None]
    results = bench.measurer.compare(racing, options.rounds)
    if all(result.status in _ENDS_THE_RACE for result in results):
        results = [bench.measure(kernel) for kernel in racing]
    best: Winner | None = None
    for place, (number, result) in enumerate(zip(racers, results, strict=True)):
        record = records[number]
        built = BuildResult((0, place), "ok", "", kernels[number], record.build_seconds)
        final = trial_record(
            run_id, record.batch, place, record.sketch, record.knobs, options.seed, built, result, "final"
        )
        database.add(final, bench.task.key)
        if final.status == "ok" and (best is None or result.seconds < best.seconds):
            peak = result.probe * bench.task.threads
            fraction = bench.task.workload.flops / result.seconds / peak if peak > 0 else None
            best = Winner(schedules[number], result.seconds, fraction, result.verified, result.max_error)
    return best
