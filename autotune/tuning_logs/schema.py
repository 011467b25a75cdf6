"""The tables, and how an older file becomes a newer one.

``PRAGMA user_version`` counts the migrations that a file has been through, ``PRAGMA application_id`` tells our files
from those of other programs. Long texts (workloads, sketches) are stored once and referred to by number. Every row
ends with a checksum of the rest.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any

import sqlite_utils

from autotune.tuning_logs.nearness import CONTRASTS, Place, place
from autotune.tuning_logs.records import Host

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


def _add_places_and_checksums(db: sqlite_utils.Database) -> None:
    """Version 2: where workloads stand among others, which host ran, and a checksum in every row."""
    db.table("hosts").create(
        {"id": int, "key": str, "fingerprint": str, "cpu": str, "cpu_flags": str, "system": str, "checksum": int},
        pk="id",
        not_null={"key", "fingerprint", "cpu", "cpu_flags", "system", "checksum"},
    )
    db.table("hosts").create_index(["key"], unique=True)
    unknown = Host("")
    db.execute(
        "INSERT INTO hosts (key, fingerprint, cpu, cpu_flags, system, checksum) VALUES (?, '', '', '', '', 0)",
        [unknown.key],
    )

    for name, kind, default in (("family", str, ""), ("shape", str, ""), ("size", float, 0.0)):
        db.table("workloads").add_column(name, kind, not_null_default=default)
    for name in ("compiler_flags", "driver", "clock"):
        db.table("runs").add_column(name, str, not_null_default="")
    db.execute("ALTER TABLE runs ADD COLUMN host_id INTEGER REFERENCES hosts(id)")
    db.execute("UPDATE runs SET host_id = (SELECT id FROM hosts)")
    _define_place(db)
    db.execute(
        "UPDATE workloads SET family = family(operator, params, text), shape = shape(operator, params, text), "
        "size = size(operator, params, text)"
    )
    db.table("workloads").create_index(["family", "size", "shape"])  # all that the nearest are chosen by

    db.conn.create_function("checksum", -1, checksum, deterministic=True)
    for table, columns in _COLUMNS_2.items():
        if table != "hosts":
            db.table(table).add_column("checksum", int, not_null_default=0)
        db.execute(f"UPDATE {table} SET checksum = checksum('{table}', {', '.join(columns)})")


def _add_audit_and_contrasts(db: sqlite_utils.Database) -> None:
    """Version 3."""
    _add_audit(db)
    _add_contrasts(db)
    _add_rounds(db)


def _add_audit(db: sqlite_utils.Database) -> None:
    """Who appended what over the network."""
    audit = {"at": str, "who": str, "address": str, "run": str, "records": int, "new": int, "link": str}
    db.table("audit").create({"id": int, **audit, "checksum": int}, pk="id", not_null={*audit, "checksum"})
    for change in ("UPDATE", "DELETE"):
        db.execute(
            f"CREATE TRIGGER audit_refuses_{change.lower()} BEFORE {change} ON audit "
            "BEGIN SELECT RAISE(ABORT, 'the audit can only be added to'); END"
        )


def _add_contrasts(db: sqlite_utils.Database) -> None:
    """What tells workloads of one size apart. A row whose checksum was wrong keeps a wrong one."""
    _define_place(db)
    db.conn.create_function("checksum", -1, checksum, deterministic=True)
    columns = ", ".join(WORKLOADS_2)
    sound = db.execute(f"SELECT id FROM workloads WHERE checksum = checksum('workloads', {columns})").fetchall()
    db.execute("ALTER TABLE workloads DROP COLUMN checksum")  # which is the last one
    for number, name in enumerate(_CONTRASTS):
        db.table("workloads").add_column(name, float, not_null_default=0.0)
        db.execute(f"UPDATE workloads SET {name} = contrast(operator, params, text, {number})")
    db.table("workloads").add_column("checksum", int, not_null_default=-1)
    seal = f"UPDATE workloads SET checksum = checksum('workloads', {', '.join(COLUMNS['workloads'])}) WHERE id = ?"
    db.conn.executemany(seal, sound)
    db.execute("DROP INDEX idx_workloads_family_size_shape")
    db.table("workloads").create_index(["family", *SUMS, "shape"])  # all that the nearest are chosen by
    # The latest race of a task, however many trials came after it.
    db.execute("CREATE INDEX records_final ON records (task_id, evidence) WHERE status = 'ok' AND phase = 'final'")


def _add_rounds(db: sqlite_utils.Database) -> None:
    """How well the cost model of a run foretold each batch."""
    rounds = {"run_id": int, "batch": int, "figures": str, "checksum": int}
    db.table("rounds").create({"id": int, **rounds}, pk="id", not_null=set(rounds), foreign_keys=[("run_id", "runs")])
    db.table("rounds").create_index(["run_id", "batch"], unique=True)


def _define_place(db: sqlite_utils.Database) -> None:
    """SQL functions of a workload's operator, parameters and text."""

    def where(operator: str, params: str, text: str) -> Place:
        return place(operator, json.loads(params), text)

    readers: dict[str, Callable[..., str | float]] = {
        "family": lambda *workload: where(*workload).family,
        "shape": lambda *workload: where(*workload).shape,
        "size": lambda *workload: where(*workload).size,
    }
    for name, read in readers.items():
        db.conn.create_function(name, 3, read, deterministic=True)
    db.conn.create_function(
        "contrast", 4, lambda *workload: where(*workload[:3]).contrasts[workload[3]], deterministic=True
    )


_CONTRASTS = tuple(f"contrast_{number}" for number in range(CONTRASTS))
SUMS = ("size", *_CONTRASTS)  # what two workloads cannot differ in by more than their distance
WORKLOADS_2 = ("key", "operator", "params", "text", "family", "shape", "size")  # of version 2
COLUMNS = {
    "workloads": (*WORKLOADS_2, *_CONTRASTS),
    "targets": ("key", "name", "text"),
    "devices": ("key", "name", "text", "facts"),
    "hosts": ("key", "fingerprint", "cpu", "cpu_flags", "system"),
    "sketches": ("key", "text"),
    "runs": (
        "key", "command", "options", "seed", "package_version", "llvm_version", "started", "provenance",
        "compiler_flags", "driver", "clock", "host_id",
    ),
    "tasks": ("workload_id", "target_id", "device_id", "threads", "toolchain", "space_version"),
    "records": (
        "trial", "task_id", "run_id", "sketch_id", "knobs", "phase", "batch", "seed", "status", "message", "samples",
        "verified", "build_seconds", "measure_seconds", "evidence", "created", "seconds", "ci_low", "ci_high", "probe",
        "baseline_seconds", "max_error",
    ),
    "audit": ("at", "who", "address", "run", "records", "new", "link"),
    "rounds": ("run_id", "batch", "figures"),
}  # fmt: skip
"""Each table's columns as they stand in the file, between ``id`` and ``checksum``; what a table refers to comes first.
"""
_COLUMNS_2 = {table: columns for table, columns in COLUMNS.items() if table not in ("audit", "rounds")} | {
    "workloads": WORKLOADS_2
}


def checksum(table: str, *values: Any) -> int:
    """The CRC-32 of a row: SQLite notices a damaged page, not a flipped bit within a value."""
    # No column holds bytes, but a flipped bit can make them of a text.
    return zlib.crc32(json.dumps([table, *values], default=repr).encode())


MIGRATIONS: tuple[Callable[[sqlite_utils.Database], None], ...] = (
    _create, _add_places_and_checksums, _add_audit_and_contrasts,
)  # fmt: skip
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
