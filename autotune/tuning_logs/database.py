"""The database of measurements: one row per trial, failures too, committed as it finishes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any

import sqlite_utils

from autotune.errors import UsageError
from autotune.tuning_logs.opening import DatabaseError, connect, explained, transaction
from autotune.tuning_logs.records import EVIDENCE, DeviceInfo, Record, Run, TargetInfo, Task, Workload, text_key

# The fields of a record that are columns of the same name.
_PLAIN = (
    "trial", "seed", "batch", "phase", "status", "message", "seconds", "ci_low", "ci_high", "probe",
    "baseline_seconds", "verified", "max_error", "build_seconds", "measure_seconds", "evidence", "created",
)  # fmt: skip

_RECORDS = """
    SELECT records.*, sketches.text AS sketch, runs.key AS run
    FROM records JOIN sketches ON sketches.id = sketch_id JOIN runs ON runs.id = records.run_id
"""

_TASKS = """
    SELECT tasks.id, threads, toolchain, space_version,
           workloads.key AS workload_key, workloads.text AS workload_text, operator, params,
           targets.key AS target_key, targets.name AS target_name, targets.text AS target_text,
           devices.key AS device_key, devices.name AS device_name, devices.text AS device_text, facts
    FROM workloads JOIN tasks ON workload_id = workloads.id
    JOIN targets ON targets.id = target_id JOIN devices ON devices.id = device_id
"""


class Database:
    """An open database file, used by the thread that opened it; any number of processes may have it open.

    Every method raises DatabaseError when the file cannot be used.
    """

    def __init__(self, path: Path, db: sqlite_utils.Database) -> None:
        self.path = path
        self._db = db

    @classmethod
    def open(cls, path: str | PathLike[str], readonly: bool = False, busy_seconds: float = 30.0) -> Database:
        """Opens a database, creating it and its folder unless ``readonly``; waits for others up to ``busy_seconds``."""
        return cls(Path(path), connect(Path(path), readonly, busy_seconds))

    def close(self) -> None:
        """Closing again does nothing."""
        with explained(self.path):
            self._db.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start_run(self, run: Run, task: Task) -> None:
        """Stores a run before its first record; once more, say for its next task, changes nothing about the run."""
        with explained(self.path), transaction(self._db):
            self._task_id(task)
            self._insert(
                "runs",
                {
                    "key": run.run_id, "command": run.command, "options": _json(run.options), "seed": run.seed,
                    "package_version": run.package_version, "llvm_version": run.llvm_version, "started": run.started,
                    "provenance": _json(run.provenance),
                },
            )  # fmt: skip

    def add(self, record: Record, task: Task) -> None:
        """Stores a record for good before it returns. A trial that is stored already stays as it is.

        Raises UsageError for a run that was not started.
        """
        row = {name: getattr(record, name) for name in _PLAIN}
        row |= {"knobs": _json(record.knobs), "samples": _json(record.samples)}
        with explained(self.path), transaction(self._db):
            run = self._db.execute("SELECT id FROM runs WHERE key = ?", [record.run_id]).fetchone()
            if run is None:
                raise UsageError(f"trial {record.trial} belongs to run {record.run_id!r}, which was not started")
            row |= {
                "run_id": run[0],
                "task_id": self._task_id(task),
                "sketch_id": self._text_id("sketches", record.sketch),
            }
            self._insert("records", row)

    def records(self, task: Task, phase: str | None = None) -> list[Record]:
        """A task's records in the order in which they were stored."""
        found = self._find_task(task)
        where, values = _where({"task_id": found, "phase": phase})
        return [self._record(row) for row in self._query(f"{_RECORDS} {where} ORDER BY records.id", values)]

    def count(self, task: Task | None = None, phase: str | None = None, status: str | None = None) -> int:
        """How many records there are of a task (of all tasks), of a phase and with a status."""
        found = None if task is None else self._find_task(task)
        where, values = _where({"task_id": found, "phase": phase, "status": status})
        return int(self._query(f"SELECT count(*) AS n FROM records {where}", values)[0]["n"])

    def best(
        self,
        workload_key: str,
        target_key: str | None = None,
        device_key: str | None = None,
        threads: int | None = None,
        verified_only: bool = True,
    ) -> tuple[Record, Task] | None:
        """The record to build from, and the task that it was measured for; None where nothing fits.

        Within a task the fastest finalist of the latest run that had any wins over all trials before it: finalists
        were timed against each other, while the fastest of many trials is partly luck and a clock that drifts. So a
        run that resumes a task must race the stored best among its finalists. A trial stored after those finalists
        (its run was cut short) wins only where the confidence intervals are apart. Without finalists the fastest
        trial wins. Between tasks (toolchains, and whatever the arguments leave open) the fastest winner is taken,
        measured before emulated before modelled.
        """
        where, values = _where(
            {"workloads.key": workload_key, "targets.key": target_key, "devices.key": device_key, "threads": threads}
        )
        winners = []
        for task in self._query(f"{_TASKS} {where}", values):
            for rank, evidence in enumerate(EVIDENCE):
                row = self._winner(task["id"], evidence, verified_only)
                if row is not None:
                    winners.append((rank, row["seconds"], -row["id"], row, task))
                    break
        if not winners:
            return None
        *_, row, task = min(winners, key=lambda winner: winner[:3])
        return self._record(row), self._task(task)

    def _winner(self, task_id: int, evidence: str, verified_only: bool) -> dict[str, Any] | None:
        usable = "task_id = :task AND evidence = :evidence AND status = 'ok'" + (
            " AND verified" if verified_only else ""
        )
        values: dict[str, Any] = {"task": task_id, "evidence": evidence}
        finals = f"{usable} AND phase = 'final'"
        latest = f"SELECT run_id FROM records WHERE {finals} ORDER BY id DESC LIMIT 1"
        final = self._fastest(f"{finals} AND run_id = ({latest})", values)
        trials = f"{usable} AND phase = 'trial'"
        if final is None:
            return self._fastest(trials, values)
        # `seconds < :bound` follows from the rest; it ends the walk along the index.
        values |= {"after": final["id"], "bound": final["ci_low"] or final["seconds"]}
        later = f"{trials} AND seconds < :bound AND records.id > :after AND coalesce(ci_high, seconds) < :bound"
        return self._fastest(later, values) or final

    def _fastest(self, condition: str, values: Mapping[str, Any]) -> dict[str, Any] | None:
        fastest = f"SELECT id FROM records WHERE {condition} ORDER BY seconds LIMIT 1"
        rows = self._query(f"{_RECORDS} WHERE records.id = ({fastest})", values)
        return rows[0] if rows else None

    def _query(self, sql: str, values: Any) -> list[dict[str, Any]]:
        with explained(self.path):
            return list(self._db.query(sql, values))

    def _insert(self, table: str, row: Mapping[str, Any]) -> None:
        # Not INSERT OR IGNORE, which would swallow violated constraints of every other kind too.
        columns, marks = ", ".join(row), ", ".join("?" for _ in row)
        self._db.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks}) ON CONFLICT DO NOTHING", [*row.values()])

    def _text_id(self, table: str, text: str, **columns: str) -> int:
        key = text_key(text)
        select = f"SELECT id FROM {table} WHERE key = ?"
        found = self._db.execute(select, [key]).fetchone()
        if found is None:
            self._insert(table, {"key": key, "text": text, **columns})
            found = self._db.execute(select, [key]).fetchone()
        return int(found[0])

    def _task_id(self, task: Task) -> int:
        row = {
            "workload_id": self._text_id(
                "workloads", task.workload.text, operator=task.workload.operator, params=_json(task.workload.params)
            ),
            "target_id": self._text_id("targets", task.target.text, name=task.target.name),
            "device_id": self._text_id(
                "devices", task.device.text, name=task.device.name, facts=_json(task.device.facts)
            ),
            "threads": task.threads,
            "toolchain": task.toolchain,
            "space_version": task.space_version,
        }
        self._insert("tasks", row)
        where, values = _where(row)
        return int(self._db.execute(f"SELECT id FROM tasks {where}", values).fetchone()[0])

    def _find_task(self, task: Task) -> int:
        """The task's number; for one that was never stored, a number that no record has."""
        where, values = _where(
            {
                "workloads.key": task.workload.key, "targets.key": task.target.key, "devices.key": task.device.key,
                "threads": task.threads, "toolchain": task.toolchain, "space_version": task.space_version,
            }
        )  # fmt: skip
        rows = self._query(f"{_TASKS} {where}", values)
        return int(rows[0]["id"]) if rows else -1

    def _record(self, row: Mapping[str, Any]) -> Record:
        try:
            return Record(
                **{name: row[name] for name in _PLAIN},
                run_id=row["run"],
                sketch=row["sketch"],
                knobs=json.loads(row["knobs"]),
                samples=json.loads(row["samples"]),
            )
        except (ValueError, TypeError, AttributeError) as error:
            raise DatabaseError(f"{self.path} is damaged: trial {row['trial']!r} makes no sense ({error})") from error

    def _task(self, row: Mapping[str, Any]) -> Task:
        try:
            return Task(
                Workload(row["workload_text"], row["operator"], json.loads(row["params"])),
                TargetInfo(row["target_name"], row["target_text"]),
                DeviceInfo(row["device_name"], row["device_text"], json.loads(row["facts"])),
                row["threads"],
                row["toolchain"],
                row["space_version"],
            )
        except (ValueError, TypeError) as error:
            raise DatabaseError(f"{self.path} is damaged: task {row['id']} makes no sense ({error})") from error


def _where(conditions: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """A WHERE clause of equalities, and its values; None stands for no condition."""
    given = {column: value for column, value in conditions.items() if value is not None}
    clause = " AND ".join(f"{column} = ?" for column in given)
    return (f"WHERE {clause}" if clause else ""), [*given.values()]


def _json(value: Any) -> str:
    return json.dumps(dict(value) if isinstance(value, Mapping) else value, sort_keys=True, separators=(",", ":"))
