"""Whether a file is whole, and what of a damaged one can be saved."""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from autotune.errors import AutotuneError
from autotune.tuning_logs import rows
from autotune.tuning_logs.audit import broken_links
from autotune.tuning_logs.database import Database
from autotune.tuning_logs.opening import DatabaseError, explained, of_any_version
from autotune.tuning_logs.pages import File
from autotune.tuning_logs.records import Workload, text_key
from autotune.tuning_logs.schema import COLUMNS, SCHEMA_VERSION, SUMS, WORKLOADS_2, checksum

_SENTENCES = 10  # of each kind, before the rest is only counted
_REFERENCES = {
    "runs": {"host_id": "hosts"},
    "tasks": {"workload_id": "workloads", "target_id": "targets", "device_id": "devices"},
    "rounds": {"run_id": "runs"},
    "records": {"task_id": "tasks", "run_id": "runs", "sketch_id": "sketches"},
}
_TEXTS = ("workloads", "targets", "devices", "sketches")  # whose key is that of their text
_REAL = {
    *SUMS, "build_seconds", "measure_seconds", "seconds", "ci_low", "ci_high", "probe", "baseline_seconds", "max_error"
}  # fmt: skip


@dataclass(slots=True)
class Checked:
    """How many rows of each table are sound, and a sentence for everything that is wrong.

    ``older`` is what to do about a file of an older version, whose rows are not looked at; empty for others.
    """

    sound: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    older: str = ""


def check(path: Path) -> Checked:
    """Reads the whole file: SQLite's own checks, every row's checksum and key, every reference, every record's sense.

    Raises DatabaseError only where there is no file to look at.
    """
    report = Checked()
    if not path.is_file():
        raise DatabaseError(f"{path} is no file")
    with explained(path):
        if File(path).log_is_damaged:
            report.problems.append(f"{path}-wal is damaged: what it holds behind that is not seen")
    try:
        with of_any_version(path) as (version, raw):
            if 0 < version < SCHEMA_VERSION:
                report.older = (
                    f"{path} is of version {version}: autotune db upgrade brings it up to date and keeps a copy, "
                    "and then every row can be looked at"
                )
                _check_pages(Database(path, raw), report)
                return report
        with Database.open(path, readonly=True) as database, database.snapshot():
            _check_pages(database, report)
            for table in COLUMNS:
                _check_rows(database, table, report)
    except DatabaseError as error:
        report.problems.append(str(error))
    return report


def _check_pages(database: Database, report: Checked) -> None:
    found = [row["integrity_check"] for row in database.query(f"PRAGMA integrity_check({_SENTENCES})")]
    report.problems += [f"SQLite: {' '.join(str(text).split())}" for text in found if text != "ok"]
    for row in islice(database.rows("PRAGMA foreign_key_check"), _SENTENCES):
        report.problems.append(f"row {row['rowid']} of {row['table']} refers to a row of {row['parent']} that is gone")


def _check_rows(database: Database, table: str, report: Checked) -> None:
    source = rows.RECORDS if table == "records" else f"SELECT * FROM {table}"
    try:
        for row in database.rows(f"{source} ORDER BY {table}.id"):
            problem = _problem(table, row)
            if problem is None:
                report.sound[table] += 1
            elif len(report.problems) < _SENTENCES * len(COLUMNS):
                report.problems.append(f"row {row['id']} of {table} {problem}")
        if table == "audit":
            for number in islice(broken_links(database.rows("SELECT * FROM audit ORDER BY id")), _SENTENCES):
                report.problems.append(f"row {number} of audit does not follow from the one before it")
    except DatabaseError as error:
        report.problems.append(f"{table}: {error}")
    except LookupError as error:
        report.problems.append(f"{table} has no column {error}")


def _problem(table: str, row: Mapping[str, Any]) -> str | None:
    if row["checksum"] != checksum(table, *(row[column] for column in COLUMNS[table])):
        return "is not what was written: its checksum differs"
    if table in _TEXTS and row["key"] != text_key(row["text"]):
        return "has a key that is not its text's"
    if table == "records":
        try:
            rows.record_of(row)
        except (AutotuneError, ValueError, TypeError, AttributeError) as error:
            return f"makes no sense: {error}"
    return None


@dataclass(frozen=True, slots=True)
class Salvaged:
    """How many rows of each table were saved, and how many sound records refer to something that was not."""

    rows: Mapping[str, int]
    orphans: int


def salvage(path: Path, into: Path) -> Salvaged:
    """Writes every sound row of a damaged file, and of the log beside it, to a new file.

    The file is read page by page, so damage to one page costs the rows on it and nothing else. A row is known, and
    known to be sound, by its checksum; so nothing can be saved from a file of schema version 1, which had none. Space
    that is not in use may still hold rows that were moved: of two with one number the first is taken.

    Raises DatabaseError where ``into`` exists or cannot be written, and where nothing can be saved.
    """
    if into.exists():
        raise DatabaseError(f"{into} exists already; what is saved goes to a new file")
    with explained(path):
        file = File(path)
    unfinished = into.with_name(f"{into.name}.unfinished")
    for leftover in (unfinished, Path(f"{unfinished}-wal"), Path(f"{unfinished}-shm")):
        leftover.unlink(missing_ok=True)
    with Database.open(unfinished) as database:
        saved = _insert(database, _sound_rows(file))
    if not any(count for table, count in saved.rows.items() if table != "hosts"):  # one is in every new file
        unfinished.unlink()
        raise DatabaseError(
            f"nothing of {path} can be saved: no row of it is known to be sound (version 1 had no checksums)"
        )
    with explained(into):
        os.replace(unfinished, into)
    return saved


def _sound_rows(file: File) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """The rows of our tables, each with its number and its checksum."""
    shapes: dict[int, list[tuple[str, tuple[str, ...]]]] = {}
    for table, columns in (*COLUMNS.items(), ("workloads", WORKLOADS_2)):
        shapes.setdefault(len(columns) + 2, []).append((table, columns))
    for number, values in file.rows():
        for table, columns in shapes.get(len(values), ()):
            own = [
                float(value) if column in _REAL and isinstance(value, int) else value
                for column, value in zip(columns, values[1:-1], strict=True)
            ]
            if checksum(table, *own) == values[-1]:
                yield table, (number, *rows.sealed(table, _of_today(table, own)))


def _of_today(table: str, values: Sequence[Any]) -> Sequence[Any]:
    """A sound row in the columns that the table has now."""
    if len(values) == len(COLUMNS[table]):
        return values
    found = dict(zip(WORKLOADS_2, values, strict=True))
    return rows.workload_values(Workload(found["text"], found["operator"], json.loads(found["params"])))


def _insert(database: Database, found: Iterator[tuple[str, tuple[Any, ...]]]) -> Salvaged:
    connection = database.connection
    with explained(database.path):
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("BEGIN IMMEDIATE")
        for table, values in found:
            columns = ("id", *COLUMNS[table], "checksum")
            marks = ", ".join("?" * len(columns))
            connection.execute(f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({marks})", values)
        orphans = _drop_orphans(connection)
        connection.execute("COMMIT")
    counts = {table: database.query(f"SELECT count(*) AS n FROM {table}")[0]["n"] for table in COLUMNS}
    return Salvaged(counts, orphans)


def _drop_orphans(connection: sqlite3.Connection) -> int:
    """Removes rows that refer to what could not be saved; how many of them are records."""
    removed = 0
    for table, references in _REFERENCES.items():
        gone = " OR ".join(f"{column} NOT IN (SELECT id FROM {other})" for column, other in references.items())
        removed = connection.execute(f"DELETE FROM {table} WHERE {gone}").rowcount
    return removed
