"""Rows of the tables and what they stand for; values are in the order of ``schema.COLUMNS``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from autotune.tuning_logs.nearness import place
from autotune.tuning_logs.records import DeviceInfo, Host, Record, Run, TargetInfo, Task, Workload
from autotune.tuning_logs.schema import COLUMNS, checksum

# The fields of a record that are columns of the same name.
PLAIN = (
    "trial", "seed", "batch", "phase", "status", "message", "seconds", "ci_low", "ci_high", "probe",
    "baseline_seconds", "verified", "max_error", "build_seconds", "measure_seconds", "evidence", "created",
)  # fmt: skip

RECORDS = """
    SELECT records.*, sketches.text AS sketch, runs.key AS run
    FROM records JOIN sketches ON sketches.id = sketch_id JOIN runs ON runs.id = records.run_id
"""

TASK_TABLES = """
    FROM workloads JOIN tasks ON workload_id = workloads.id
    JOIN targets ON targets.id = target_id JOIN devices ON devices.id = device_id
"""

TASKS = f"""
    SELECT tasks.id, threads, toolchain, space_version, workloads.text, operator, params, target_id, device_id
    {TASK_TABLES}
"""

RUNS = "SELECT runs.*, fingerprint, cpu, cpu_flags, system FROM runs JOIN hosts ON hosts.id = host_id"

INSERTS = {
    table: f"INSERT INTO {table} ({', '.join(columns)}, checksum) VALUES ({', '.join('?' * (len(columns) + 1))})"
    for table, columns in COLUMNS.items()
}


def sealed(table: str, values: Sequence[Any]) -> list[Any]:
    """The values that ``INSERTS`` takes: a row's, with their checksum."""
    return [*values, checksum(table, *values)]


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def as_json(value: Any) -> str:
    return _ENCODER.encode(dict(value) if isinstance(value, Mapping) else value)


def workload_values(workload: Workload) -> tuple[Any, ...]:
    where = place(workload.operator, workload.params, workload.text)
    return (
        workload.key, workload.operator, as_json(workload.params), workload.text, where.family, where.shape, where.size,
        *where.contrasts,
    )  # fmt: skip


def target_values(target: TargetInfo) -> tuple[Any, ...]:
    return target.key, target.name, target.text


def device_values(device: DeviceInfo) -> tuple[Any, ...]:
    return device.key, device.name, device.text, as_json(device.facts)


def host_values(host: Host) -> tuple[Any, ...]:
    return host.key, host.fingerprint, host.cpu, host.cpu_flags, host.system


def run_values(run: Run, host_id: int) -> tuple[Any, ...]:
    return (
        run.run_id, run.command, as_json(run.options), run.seed, run.package_version, run.llvm_version, run.started,
        as_json(run.provenance), run.compiler_flags, run.driver, run.clock, host_id,
    )  # fmt: skip


def record_values(record: Record, task_id: int, run_id: int, sketch_id: int) -> tuple[Any, ...]:
    return (
        record.trial, task_id, run_id, sketch_id, as_json(record.knobs), record.phase, record.batch, record.seed,
        record.status, record.message, f"[{','.join(map(repr, record.samples))}]", int(record.verified),
        record.build_seconds, record.measure_seconds, record.evidence, record.created, record.seconds, record.ci_low,
        record.ci_high, record.probe, record.baseline_seconds, record.max_error,
    )  # fmt: skip


def record_of(row: Mapping[str, Any]) -> Record:
    """The record of a row of ``RECORDS``; ValueError, TypeError and the like where it makes no sense."""
    return Record(
        **{name: row[name] for name in PLAIN},
        run_id=row["run"],
        sketch=row["sketch"],
        knobs=json.loads(row["knobs"]),
        samples=json.loads(row["samples"]),
    )


def task_of(row: Mapping[str, Any], target: TargetInfo, device: DeviceInfo) -> Task:
    """The task of a row of ``TASKS``."""
    return Task(workload_of(row), target, device, row["threads"], row["toolchain"], row["space_version"])


def target_of(row: Mapping[str, Any]) -> TargetInfo:
    """The target of a row of its table."""
    return TargetInfo(row["name"], row["text"])


def workload_of(row: Mapping[str, Any]) -> Workload:
    """The workload of a row of its table."""
    return Workload(row["text"], row["operator"], json.loads(row["params"]))


def device_of(row: Mapping[str, Any]) -> DeviceInfo:
    """The device of a row of its table."""
    return DeviceInfo(row["name"], row["text"], json.loads(row["facts"]))


def run_of(row: Mapping[str, Any]) -> Run:
    """The run of a row of ``RUNS``."""
    same = ("seed", "package_version", "llvm_version", "command", "compiler_flags", "driver", "clock", "started")
    return Run(
        run_id=row["key"],
        options=json.loads(row["options"]),
        provenance=json.loads(row["provenance"]),
        host=Host(row["fingerprint"], row["cpu"], row["cpu_flags"], row["system"]),
        **{name: row[name] for name in same},
    )
