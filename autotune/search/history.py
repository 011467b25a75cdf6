"""Between the search and the database: records of trials, and what earlier runs left behind."""

from __future__ import annotations

import math
import platform
import shlex
import sys
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

from autotune.measure.builders import BuildResult
from autotune.measure.results import MeasureResult
from autotune.search import provenance
from autotune.search.options import TuneOptions
from autotune.search.space import Population, SearchSpace
from autotune.search.strategies import strategy_name
from autotune.search.task import TuningTask
from autotune.targets.llvm.build import FLAGS, LLVM_VERSION
from autotune.tensor_expr.algorithms import algorithm_of
from autotune.tuning_logs import Record, Run, Task, TuningDatabase
from autotune.version import VERSION


@dataclass(frozen=True, slots=True)
class History:
    """All ``records`` of the task's trials; those that the space still has, as ``population`` with ``known`` records.

    ``refused`` counts the trials of algorithms that the space does not accept, which are not among the records.
    ``after`` names the last trial that the database held of any task: all that was known then stands before it.
    """

    records: list[Record]
    population: Population
    known: list[Record]
    next_batch: int
    after: str
    refused: int = 0


def load_history(database: TuningDatabase, task: Task, space: SearchSpace, after: str | None = None) -> History:
    """What earlier runs measured of the task; with ``after``, what was known when that was the last trial."""
    after = database.last_trial() if after is None else after
    stored = database.records(task, phase="trial", until=after)
    records = [record for record in stored if algorithm_of(record.sketch) in space.definitions]
    population, known = space.empty().population, []
    for record in records:
        found = space.find(record.sketch, record.knobs)
        if found is not None:
            population = population.join(found)
            known.append(record)
    following = max((r.batch for r in stored), default=-1) + 1
    return History(records, population, known, following, after, len(stored) - len(records))


def run_record(run_id: str, task: TuningTask, options: TuneOptions, history: History) -> Run:
    """This run, as the database keeps it: with all that a replay needs."""
    asked: dict[str, Any] = {
        "trials": options.trials,
        "budget": options.budget,
        "strategy": strategy_name(options.strategy),
        "batch": options.batch,
    }
    asked |= {"cost_model": options.cost_model, "transfer": options.transfer}
    asked |= {"patience": options.patience, "stop_at": options.stop_at}
    asked |= {"after": history.after, "caches": astuple(task.target.caches)}
    asked["algorithms"] = ",".join(options.algorithms or ("all",))
    return Run(
        run_id=run_id,
        seed=options.seed,
        package_version=VERSION,
        llvm_version=LLVM_VERSION,
        command=_text(shlex.join(sys.argv)),
        compiler_flags=FLAGS,
        driver=provenance.driver(),
        clock=provenance.clock(),
        host=provenance.host(),
        options=asked,
        provenance={"python": platform.python_version(), "system": platform.platform()},
    )


def _text(words: str) -> str:
    """What the command line holds, as text: bytes that are none, as names of files may have, are replaced."""
    return words.encode(errors="surrogateescape").decode(errors="replace")


def trial_record(
    run_id: str,
    batch: int,
    row: int,
    sketch: str,
    knobs: Mapping[str, int],
    seed: int,
    built: BuildResult,
    result: MeasureResult | None,
    phase: str = "trial",
) -> Record:
    """One trial: its build, and its measurement where the build succeeded."""
    status, message = (built.status, built.message) if result is None else (result.status, result.message)
    return Record(
        trial=f"{run_id}-{phase}-{batch}-{row}",
        run_id=run_id,
        sketch=sketch,
        knobs=knobs,
        seed=seed,
        batch=batch,
        phase=phase,
        status=status,
        message=message,
        build_seconds=max(built.seconds, 0.0),
        **(_measured(result) if result is not None else {}),
    )


def _measured(result: MeasureResult) -> dict[str, Any]:
    values: dict[str, Any] = {"verified": result.verified, "measure_seconds": result.measure_seconds}
    if result.samples:
        values |= {name: getattr(result, name) for name in ("samples", "seconds", "ci_low", "ci_high")}
    if math.isfinite(result.baseline):
        values["baseline_seconds"] = result.baseline
    if math.isfinite(result.probe):
        values["probe"] = result.probe / 1e9
    if not math.isnan(result.max_error):
        values["max_error"] = result.max_error
    return values
