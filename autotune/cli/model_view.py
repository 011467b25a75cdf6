"""What the cost models see in a kernel: where its cycles go, its place under the roofline, the features that matter."""

from __future__ import annotations

import numpy as np

from autotune.cli.report import plural, table
from autotune.cost_model.analytic import MEMORY, Cost
from autotune.cost_model.features import FEATURES, evaluate
from autotune.cost_model.models.xgboost import LearnedModel
from autotune.cost_model.recorded import measured
from autotune.schedules.schedule import Schedule
from autotune.targets.facts import Target
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.workload import Workload, count_operations
from autotune.tuning_logs import Task, TuningDatabase

MOST = 8  # features shown


def learned_from(
    database: TuningDatabase | None, task: Task | None, workload: Workload, target: Target
) -> LearnedModel:
    """The learned model as a search that resumes the task would have it; untrained where there is too little."""
    model = LearnedModel()
    if database is not None and task is not None:
        trials = measured(workload, target, task.threads, database.records(task, phase="trial"))
        if len(trials):
            model.update(trials.features, trials.log_seconds)
    return model


def model_view(schedule: Schedule, target: Target, threads: int, learned: LearnedModel) -> str:
    """The models' view of a kernel, over several lines."""
    features, cost = evaluate(schedule.state, target, threads, 1)
    rows = {
        "estimate": _estimate(schedule, target, threads, cost),
        "parts": _parts(cost),
        "roofline": _roofline(schedule, target),
    }
    rows["learned"] = (
        f"from {plural(learned.trained_on, 'trial')} of this task; what its features add to the estimate:"
        if learned.trained_on
        else "nothing: the database has no trials of this task, or too few"
    )
    shown = table(rows)
    return f"{shown}\n{_contributions(features, learned)}" if learned.trained_on else shown


def _peak(schedule: Schedule, target: Target) -> float:
    """Operations per cycle that one core's ports allow."""
    return 2.0 * target.lanes(dtypes.computed_size(schedule.output.dtype)) * target.fma_ports


def _estimate(schedule: Schedule, target: Target, threads: int, cost: Cost) -> str:
    cycles = float(cost.cycles[0])
    share = count_operations(schedule.output) / cycles / _peak(schedule, target) / threads
    return f"{cycles:,.0f} cycles on {plural(threads, 'thread')}, {share:.0%} of the multiply-add peak"


def _parts(cost: Cost) -> str:
    names = ("register tiles", "their stores", "L2 to L1", "L3 to L2", "memory", "copies")
    parts = [float(part[0]) for part in (cost.compute, cost.overhead, *cost.levels, cost.copies)]
    named = sorted(zip(parts, names, strict=True), reverse=True)
    return ", ".join(f"{name} {part / sum(parts):.0%}" for part, name in named if part >= 0.005 * sum(parts))


def _roofline(schedule: Schedule, target: Target) -> str:
    workload = Workload(schedule.output)
    intensity, ridge = workload.flops / workload.bytes, _peak(schedule, target) / MEMORY
    side = "multiply-adds are the limit" if intensity > ridge else "memory is the limit"
    return f"{intensity:.1f} operations per byte of inputs and output, {ridge:.0f} at the ridge: {side}"


def _contributions(features: np.ndarray, learned: LearnedModel) -> str:
    added = learned.contributions(features)[0]
    rows = {}
    for number in np.argsort(-np.abs(added), kind="stable")[:MOST]:
        value = f"{np.exp2(float(features[0, number])) - 1:,.4g} {FEATURES[number].unit}"
        rows[f"  {FEATURES[number].name}"] = f"{np.exp2(added[number]) - 1:+6.1%}  {value} {FEATURES[number].meaning}"
    return table(rows)
