"""What the commands print: figures for people, and the JSON object for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from autotune.display.units import duration
from autotune.search.events import TuneResult
from autotune.search.lookup import Found
from autotune.tensor_expr.algorithms import DIRECT, algorithm_of, alternatives, executed_flops
from autotune.tensor_expr.workload import Workload
from autotune.tuning_logs import Record, Task

STAND_INS = {
    "analytic": "the analytic model's choice, which takes no trial",
    "default": "the definition as it is written, without any step",
}


def speed(seconds: float, flops: int, peak_fraction: float | None) -> str:
    """Time, GFLOP/s and the share of the device's peak."""
    share = "" if peak_fraction is None else f", {peak_fraction:.1%} of peak"
    return f"{duration(seconds)}, {flops / seconds / 1e9:.1f} GFLOP/s{share}"


def of_limit(limit: str, fraction: float | None) -> str:
    """The share of what the roofline allows; empty where that is unknown."""
    roofs = {"compute": "peak", "memory": "the memory's limit"}
    return "" if fraction is None else f"{fraction:.1%} of {roofs[limit]}"


def evidence(record: Record, task: Task, workload: Workload) -> dict[str, str]:
    """What is known of a stored measurement: its figures, whether they were checked, and when and how it was made."""
    error = "" if record.max_error is None else f", max error {record.max_error:.1e} of the largest value"
    fraction, algorithm = peak_fraction(record, task, workload), algorithm_of(record.sketch)
    return {
        "best": "not measured" if record.seconds is None else speed(record.seconds, workload.flops, fraction),
        **({} if algorithm == DIRECT else {"algorithm": algorithm_note(workload, algorithm)}),
        "verified": f"yes{error}" if record.verified else "no",
        "recorded": f"{record.created}, {record.evidence} with {task.toolchain}",
    }


def near_origin(found: Found) -> str:
    """Which neighbour's schedule a near one is, in one line."""
    assert found.record is not None and found.task is not None and found.record.seconds is not None
    return (
        f"near, not measured: made legal from that of {found.task.workload.text} at distance {found.distance:.2f}, "
        f"which takes {duration(found.record.seconds)}, {found.record.evidence} on {found.task.device.name}"
    )


def peak_fraction(record: Record, task: Task, workload: Workload) -> float | None:
    """The operations that a record's algorithm executes, as a share of what the probe beside it reached on as many
    threads."""
    if record.seconds is None or not record.probe:
        return None
    flops = executed_flops(workload, algorithm_of(record.sketch))
    return flops / record.seconds / (record.probe * 1e9 * task.threads)


def algorithm_note(workload: Workload, name: str) -> str:
    """What there is to say of an alternative definition."""
    return f"{name}, {alternatives(workload)[name].note}; the share of the peak counts these alone"


def table(rows: Mapping[str, str]) -> str:
    """Names and values, aligned and indented."""
    width = max(map(len, rows))
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows.items())


def one_object(data: Mapping[str, Any]) -> str:
    """JSON on one line; figures that are not finite are null."""
    return json.dumps(_finite(data), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def tune_json(result: TuneResult, database: str) -> dict[str, Any]:
    """The object that ``--json`` prints."""
    return {
        "workload": result.task.workload.text, "target": result.task.target.name, "device": result.task.device.name,
        "trials": result.trials, "failed": result.failed, "best_seconds": result.seconds, "gflops": result.gflops,
        "peak_fraction": result.peak_fraction, "limit": result.limit, "limit_fraction": result.limit_fraction,
        "verified": result.verified, "seconds": result.elapsed,
        "trials_per_second": result.trials_per_second, "database": database, "new_trials": result.new_trials,
        "algorithm": result.algorithm, "max_error": result.max_error,
        "proof": result.proof or None, "stopped": result.stopped or None, "source": result.source,
        "rounds": [{"batch": one.batch, **one.figures} for one in result.rounds],
        "time_spent": {name: round(seconds, 4) for name, seconds in result.time_spent.items()},
    }  # fmt: skip


def tune_summary(result: TuneResult, database: str, total: int) -> str:
    """What a search found, over several lines."""
    task = result.task
    rows = {"target": f"{task.target.name} on {task.device.name}, {plural(task.threads, 'thread')}"}
    if result.seconds is not None:
        rows["best"] = speed(result.seconds, task.workload.flops, result.peak_fraction)
        if result.limit == "memory" and result.limit_fraction is not None:
            rows["limit"] = f"{of_limit(result.limit, result.limit_fraction)}: all inputs read, outputs written once"
        rows["best"] += "" if result.confirmed else " in its trial: no final confirmed it"
        rows["verified"] = f"yes, max error {result.max_error:.1e} of the largest value" if result.verified else "no"
    if result.algorithm != DIRECT:
        rows["algorithm"] = algorithm_note(task.workload, result.algorithm)
    if result.source in STAND_INS:
        rows["schedule"] = STAND_INS[result.source]
    if result.proof:
        rows["proof"] = result.proof
    rows["trials"] = (
        f"{result.trials}: {result.trials - result.new_trials} resumed, {result.new_trials} new, {result.failed} failed"
    )
    if result.failures:
        rows["failures"] = reasons(result)
    rows["time"] = (
        f"{result.elapsed:.1f} s, {result.trials_per_second:.1f} trials/s; driver: {_shares(result.time_spent)}"
    )
    rows["database"] = database
    lines = [task.workload.text, table(rows)]
    lines += [] if result.interrupted or result.seconds is None else _remarks(result, total)
    return "\n".join(lines)


def _remarks(result: TuneResult, total: int) -> list[str]:
    """What a run that measured less than it was asked for should say."""
    if result.trials >= total and not result.new_trials:
        return [f"Nothing was left to do (all {total} trials are in the database): the winner was measured again."]
    if result.trials >= total or not result.stopped:
        return []
    return [f"Stopped early: {result.stopped}." if result.new_trials else f"No trial took place: {result.stopped}."]


def reasons(result: TuneResult) -> str:
    """Why trials failed, the most common reason first, with an example of each."""
    ranked = sorted(result.failures.items(), key=lambda item: -item[1][0])
    return "; ".join(f"{count} x {kind} ({_short(message)})" for kind, (count, message) in ranked)


def plural(count: int, noun: str) -> str:
    """``1 thread``, ``2 threads``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _short(message: str, width: int = 160) -> str:
    line = " ".join(message.split())
    return line if len(line) <= width else f"{line[: width - 3]}..."


def _shares(spent: Mapping[str, float]) -> str:
    total = sum(spent.values()) or 1.0
    ranked = sorted(spent.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {seconds / total:.0%}" for name, seconds in ranked if seconds >= 0.01 * total)
