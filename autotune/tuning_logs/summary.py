"""What a database holds, in figures: one row for each task, and the whole in numbers."""

from __future__ import annotations

from typing import Any

from autotune.tuning_logs import rows, schema
from autotune.tuning_logs.database import Database

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
