"""Features of trials that were recorded before: what a model trains on, and is judged by, without measuring anew."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from autotune.cost_model.features import SCHEMA, evaluate
from autotune.errors import AutotuneError
from autotune.schedules.schedule import Schedule
from autotune.targets.facts import Target
from autotune.tensor_expr.algorithms import algorithm_of, definitions
from autotune.tensor_expr.tensor import Tensor
from autotune.tensor_expr.workload import Workload
from autotune.tuning_logs import Record


@dataclass(frozen=True, slots=True)
class Measured:
    """``features`` [n x len(SCHEMA)], ``log_seconds`` [n] (log2) of trials that worked."""

    features: np.ndarray
    log_seconds: np.ndarray

    def __len__(self) -> int:
        return len(self.log_seconds)


def measured(workload: Workload, target: Target, threads: int, records: Sequence[Record]) -> Measured:
    """The records' trials in their order, but those that failed and those whose steps cannot be replayed here.

    Sketches are replayed once each, over columns of all their records' knobs.
    """
    outputs = definitions(workload, None)
    by_sketch: dict[str, list[int]] = {}
    for number, record in enumerate(records):
        if record.status == "ok" and record.seconds:
            by_sketch.setdefault(record.sketch, []).append(number)
    features = np.full((len(records), len(SCHEMA)), np.nan, np.float32)
    for sketch, numbers in by_sketch.items():
        output = outputs.get(algorithm_of(sketch))
        if output is None:
            continue
        found = _features(output, target, threads, sketch, [records[number] for number in numbers])
        if found is not None:
            features[numbers] = found
    known = np.flatnonzero(~np.isnan(features).any(axis=1)).tolist()
    return Measured(features[known], np.log2(np.array([records[number].seconds for number in known], np.float64)))


def _features(
    output: Tensor, target: Target, threads: int, sketch: str, records: Sequence[Record]
) -> np.ndarray | None:
    try:
        schedule = Schedule.from_json(output, json.loads(sketch))
        columns = {knob.name: np.array([int(r.knobs[knob.name]) for r in records]) for knob in schedule.knobs}
        return evaluate(schedule.replay(columns), target, threads, len(records))[0]
    except (AutotuneError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
