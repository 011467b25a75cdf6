"""The logs of TVM's tuners, as data for transfer: workloads and timings, but no schedule that could be built here.

AutoTVM (format 0.2) and Ansor write a line of JSON for each trial, MetaSchedule two files, of workloads and of records.
What is imported is not verified and has a target and toolchain of its own, so it is never served as a schedule.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from statistics import median
from typing import Any

from autotune.errors import AutotuneError, UsageError, unknown
from autotune.tuning_logs.database import Database
from autotune.tuning_logs.foreign_operators import translate
from autotune.tuning_logs.interchange import BATCH, Imported
from autotune.tuning_logs.lines import UNREADABLE
from autotune.tuning_logs.records import DeviceInfo, Record, Run, TargetInfo, Task, Workload, utc_now

DEVICE = DeviceInfo("unknown", "the unknown device of a log of TVM")
_FAILURES = {
    1: "build-error", 2: "build-error", 3: "build-error", 4: "crash", 5: "wrong-result", 6: "build-error", 7: "timeout"
}  # fmt: skip
_NEVER = 1e9  # seconds: what a tuner writes for a trial without a time


@dataclass(slots=True)
class ForeignImport(Imported):
    """What ``Imported`` says, and which workloads are no operator of the library: reasons, and how many records each.

    Their records are kept under a name of the log's own.
    """

    unmapped: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Trial:
    """One line, read: ``workload`` may be a reason why there is none, then ``name`` and ``arguments`` make one."""

    workload: Workload | str
    name: str
    arguments: Sequence[Any]
    target: str
    schedule: Any
    costs: Sequence[float]
    error: int
    timestamp: float | None
    toolchain: str


def _autotvm(data: Mapping[str, Any]) -> _Trial:
    """``{"input": [target, task, arguments, {}], "config": {}, "result": [costs, error, all, time], ...}``"""
    if data["version"] != 0.2:
        raise UsageError(f"its version is {data['version']!r}; only 0.2 is known here")
    target, name, arguments, *_ = data["input"]
    costs, error, _, timestamp = data["result"]
    return _Trial(
        translate(name, arguments), name, arguments, target, data["config"], costs, error, timestamp,
        f"AutoTVM of TVM {data.get('tvm_version', 'unknown')}",
    )  # fmt: skip


def _ansor(data: Mapping[str, Any]) -> _Trial:
    """``{"i": [[workload, target, ...], state], "r": [costs, error, all, time], "v": "v0.6"}``"""
    (key, target, *_), state, *_ = data["i"]
    costs, error, _, timestamp = data["r"]
    name, *arguments = json.loads(key)
    reason = "Ansor names a function or a hash, not an operator"
    return _Trial(reason, name, arguments, target, state, costs, error, timestamp, f"Ansor, log {data['v']}")


def _metaschedule(workloads: Sequence[Any]) -> Callable[[Any], _Trial]:
    """``[number of the workload, [trace, seconds, target, arguments]]``"""

    def read(data: Any) -> _Trial:
        number, (trace, costs, target, arguments) = data
        name, _ = workloads[number]
        failed = not costs or min(costs) >= _NEVER
        reason = "MetaSchedule names a hash of a program, not an operator"
        kind = json.dumps(target, sort_keys=True)
        return _Trial(reason, str(name), arguments or [], kind, trace, costs or [], int(failed), None, "MetaSchedule")

    return read


FORMATS: Mapping[str, Callable[[Any], _Trial]] = {"autotvm": _autotvm, "ansor": _ansor}


def import_log(database: Database, lines: Iterable[str | bytes], kind: str, strict: bool = True) -> ForeignImport:
    """Stores the trials of a log of AutoTVM (``autotvm``) or Ansor (``ansor``).

    The same line again is the same trial. Raises UsageError for a line that makes no sense, with its number; not
    ``strict``, it is left out and reported.
    """
    if kind not in FORMATS:
        raise unknown("format", kind, FORMATS)
    return _import(database, lines, kind, FORMATS[kind], strict)


def import_metaschedule(
    database: Database, workloads: Iterable[str | bytes], records: Iterable[str | bytes], strict: bool = True
) -> ForeignImport:
    """The same for the two files of MetaSchedule's JSON database."""
    known = []
    for number, line in enumerate(workloads, 1):
        try:
            name, program = json.loads(line)
        except UNREADABLE as error:
            raise UsageError(f"line {number} of the workloads makes no sense: {error}") from None
        known.append((name, program))
    return _import(database, records, "metaschedule", _metaschedule(known), strict)


def _import(
    database: Database, lines: Iterable[str | bytes], kind: str, read: Callable[[Any], _Trial], strict: bool
) -> ForeignImport:
    report, batch = ForeignImport(), list[tuple[Record, Task]]()
    run = Run(run_id=f"import-{kind}", seed=0, package_version="", llvm_version="", command=f"import of {kind}")

    def store() -> None:
        with database.writing() as writer:
            writer.add_run(run)
            new = writer.add_records(batch)
        report.new += new
        report.already += len(batch) - new
        batch.clear()

    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            trial = read(json.loads(line))
            batch.append((_record(trial, kind, run.run_id, line), _task(trial, kind)))
        except (AutotuneError, *UNREADABLE) as error:
            problem = f"line {number} is no trial of {kind}: {' '.join(str(error).split()) or type(error).__name__}"
            if strict:
                store()
                raise UsageError(f"{problem}; the {report.new + report.already} records before it are stored") from None
            report.leave_out(problem)
            continue
        if isinstance(trial.workload, str):
            report.unmapped[trial.workload] += 1
        if len(batch) >= BATCH:
            store()
    store()
    return report


def _task(trial: _Trial, kind: str) -> Task:
    workload = trial.workload
    if isinstance(workload, str):
        # Arguments as parameters: what differs in numbers only is near each other.
        params = {f"argument{place}": _plain(value) for place, value in enumerate(trial.arguments)}
        text = json.dumps([trial.name, *trial.arguments], separators=(",", ":"))
        workload = Workload(f"{kind} {text}", f"{kind}:{trial.name}", params)
    if not isinstance(trial.target, str):
        raise UsageError("its target is no text")
    words = trial.target.split()
    return Task(workload, TargetInfo(words[0] if words else "", f"TVM {trial.target}"), DEVICE, 1, trial.toolchain, "0")


def _plain(value: Any) -> Any:
    """``["TENSOR", [1, 3], "float32"]`` and the like as one text, lists of numbers as they are."""
    if isinstance(value, list) and any(isinstance(item, (str, list)) for item in value):
        return [item for item in value if isinstance(item, list)] or json.dumps(value)
    return value


def _record(trial: _Trial, kind: str, run_id: str, line: str | bytes) -> Record:
    failed = trial.error != 0
    samples = [] if failed else [float(cost) for cost in trial.costs]
    seconds = median(samples) if samples else None
    content = line.encode() if isinstance(line, str) else line
    return Record(
        trial=f"{kind}-{hashlib.sha256(content.strip()).hexdigest()}",
        run_id=run_id,
        sketch=json.dumps({kind: trial.schedule}, sort_keys=True, separators=(",", ":")),
        knobs={},
        seed=0,
        status=_FAILURES.get(trial.error, "unknown") if failed else "ok",
        message=f"error {trial.error} of {kind}" if failed else "",
        samples=samples,
        seconds=seconds,
        created=utc_now() if trial.timestamp is None else _time(trial.timestamp),
    )


def _time(timestamp: float) -> str:
    try:
        return datetime.fromtimestamp(timestamp, timezone.utc).isoformat()
    except (OverflowError, OSError) as error:
        raise UsageError(f"{timestamp} is no time") from error
