"""The tables, and how an older file becomes a newer one.

``PRAGMA user_version`` counts the migrations that a file has been through, ``PRAGMA application_id`` tells our files
from those of other programs. Long texts (workloads, sketches) are stored once and referred to by number.
"""

from __future__ import annotations

from collections.abc import Callable

import sqlite_utils

APPLICATION_ID = 0x41545544  # "ATUD", also what file(1) can tell our files by


def _create(db: sqlite_utils.Database) -> None:
    """Version 1."""
    for name, columns in {
        "workloads": {"key": str, "operator": str, "params": str, "text": str},
        "targets": {"key": str, "name": str, "text": str},
        "devices": {"key": str, "name": str, "text": str, "facts": str},
        "sketches": {"key": str, "text": str},
    }.items():
        db.table(name).create({"id": int, **columns}, pk="id", not_null=set(columns))
        db.table(name).create_index(["key"], unique=True)

    tasks = {
        "workload_id": int, "target_id": int, "device_id": int, "threads": int, "toolchain": str, "space_version": str,
    }  # fmt: skip
    db.table("tasks").create(
        {"id": int, **tasks},
        pk="id",
        not_null=set(tasks),
        foreign_keys=[("workload_id", "workloads"), ("target_id", "targets"), ("device_id", "devices")],
    )
    db.table("tasks").create_index(list(tasks), unique=True)

    runs = {
        "key": str, "command": str, "options": str, "seed": int, "package_version": str, "llvm_version": str,
        "started": str, "provenance": str,
    }  # fmt: skip
    db.table("runs").create({"id": int, **runs}, pk="id", not_null=set(runs))
    db.table("runs").create_index(["key"], unique=True)

    records = {
        "trial": str, "task_id": int, "run_id": int, "sketch_id": int, "knobs": str, "phase": str, "batch": int,
        "seed": int, "status": str, "message": str, "samples": str, "verified": int, "build_seconds": float,
        "measure_seconds": float, "evidence": str, "created": str,
    }  # fmt: skip
    optional = {
        "seconds": float, "ci_low": float, "ci_high": float, "probe": float, "baseline_seconds": float,
        "max_error": float,
    }  # fmt: skip
    db.table("records").create(
        {"id": int, **records, **optional},
        pk="id",
        not_null=set(records),
        foreign_keys=[("task_id", "tasks"), ("run_id", "runs"), ("sketch_id", "sketches")],
    )
    db.table("records").create_index(["trial"], unique=True)
    db.table("records").create_index(["task_id"])  # a task's records in order: every index ends with the id
    db.execute("CREATE INDEX records_best ON records (task_id, evidence, phase, seconds, verified) WHERE status = 'ok'")


MIGRATIONS: tuple[Callable[[sqlite_utils.Database], None], ...] = (_create,)
"""What brings a file from version i to i + 1; append only, since files of every version exist."""

SCHEMA_VERSION = len(MIGRATIONS)


def version(db: sqlite_utils.Database) -> int:
    """How many migrations the file has been through; 0 for an empty one."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def is_foreign(db: sqlite_utils.Database) -> bool:
    """Whether the file belongs to another program; one that holds nothing at all does not."""
    # In this order: another process may be creating the tables between two of these reads.
    is_empty = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0 and version(db) == 0
    return not is_empty and db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID


def migrate(db: sqlite_utils.Database) -> None:
    """Brings the file to SCHEMA_VERSION, within the caller's transaction."""
    for step in MIGRATIONS[version(db) :]:
        step(db)
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
