"""What a database holds, in figures: one row for each task, and the whole in numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from autotune.errors import AutotuneError, UsageError
from autotune.tuning_logs import rows, schema
from autotune.tuning_logs.database import Database
from autotune.tuning_logs.records import Record, Task

# Finalists are not among the trials: each had one before.
_TALLIES = """
    SELECT task_id, sum(phase = 'trial') AS trials, sum(phase = 'trial' AND status != 'ok') AS failed,
        max(created) AS latest
    FROM records GROUP BY task_id
"""


def summarize(database: Database, operator: str | None = None) -> list[dict[str, Any]]:
    """A row for each task (of an operator) in the order in which they were stored, its best as ``best`` answers."""
    tallies = {row["task_id"]: row for row in database.rows(_TALLIES)}
    found = []
    for row in database.query(f"{rows.TASKS} ORDER BY tasks.id"):
        if operator not in (None, row["operator"]):
            continue
        task, tally = database.task(row["id"]), tallies.get(row["id"], {"trials": 0, "failed": 0, "latest": None})
        best = database.best_of(task)
        found.append(
            {
                "workload": task.workload.text, "target": task.target.name, "device": task.device.name,
                "threads": task.threads, "trials": tally["trials"], "failed": tally["failed"],
                "best_seconds": None if best is None else best.seconds,
                "evidence": None if best is None else best.evidence, "latest": tally["latest"],
                "toolchain": task.toolchain, "key": task.workload.key,
            }
        )  # fmt: skip
    return found


def _options(row: Mapping[str, Any]) -> dict[str, Any]:
    return dict(json.loads(row["options"]))


def summarize_runs(database: Database, operator: str | None = None) -> list[dict[str, Any]]:
    """A row for each run and task (of an operator) that it has trials of, the latest first."""
    found = database.query(
        """
        SELECT runs.key AS run, workloads.text AS workload, operator, runs.started, runs.options, runs.seed,
            sum(phase = 'trial') AS trials, sum(phase = 'trial' AND status != 'ok') AS failed,
            min(CASE WHEN status = 'ok' THEN seconds END) AS best_seconds
        FROM records JOIN runs ON runs.id = run_id JOIN tasks ON tasks.id = task_id
            JOIN workloads ON workloads.id = workload_id
        GROUP BY run_id, task_id ORDER BY runs.id DESC
        """
    )
    kept = [row for row in found if operator in (None, row["operator"])]
    options = [database.sensible(_options, row, f"run {row['run']!r}") for row in kept]
    return [
        {
            "run": row["run"], "started": row["started"][:19], "best_seconds": row["best_seconds"],
            "trials": row["trials"], "failed": row["failed"], "strategy": asked.get("strategy", ""),
            "seed": row["seed"], "workload": row["workload"],
        }
        for row, asked in zip(kept, options, strict=True)
    ]  # fmt: skip


def stored_after(database: Database, trial: str, count: int) -> list[tuple[Record, Task]]:
    """Up to ``count`` records in the order in which they were stored, after that of a trial; all for an empty name.

    Raises AutotuneError where the trial is not stored.
    """
    if trial and database.find(trial) is None:
        raise AutotuneError(f"{database.path} has no trial {trial!r}: it was pruned meanwhile")
    after = "coalesce((SELECT id FROM records WHERE trial = ?), 0)"
    found = database.query(f"{rows.RECORDS} WHERE records.id > {after} ORDER BY records.id LIMIT ?", [trial, count])
    return [
        (database.sensible(rows.record_of, row, f"trial {row['trial']!r}"), database.task(row["task_id"]))
        for row in found
    ]


def statistics(database: Database) -> dict[str, Any]:
    """Rows of each table, records by status, evidence and toolchain, the file's size and the version of its schema."""
    counts = {table: database.query(f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in schema.COLUMNS}
    by = {
        name: {
            row["name"]: row["n"]
            for row in database.rows(
                f"SELECT {column} AS name, count(*) AS n FROM records {join} GROUP BY {column} ORDER BY n DESC"
            )
        }
        for name, column, join in (
            ("status", "status", ""),
            ("evidence", "evidence", ""),
            ("toolchain", "toolchain", "JOIN tasks ON tasks.id = task_id"),
        )
    }
    return {**counts, **by, "bytes": database.file_bytes(), "schema": schema.SCHEMA_VERSION}


def workload_key(database: Database, wanted: str) -> str:
    """The key of the workload of this text, or whose key begins so."""
    found = database.query(
        "SELECT key FROM workloads WHERE text = ? OR substr(key, 1, ?) = ? LIMIT 2", [wanted, len(wanted), wanted]
    )
    if not found:
        of_it = database.query("SELECT substr(key, 1, 10) AS key FROM workloads WHERE operator = ? LIMIT 8", [wanted])
        if of_it:
            keys = ", ".join(row["key"] for row in of_it)
            raise UsageError(f"{wanted} is an operator; give the beginning of a workload's key, such as {keys}")
        raise AutotuneError(f"{database.path} has no workload {wanted!r}; autotune db list shows what it has")
    if len(found) > 1:
        raise UsageError(f"{wanted!r} begins several workloads' keys; give more of it")
    return str(found[0]["key"])
