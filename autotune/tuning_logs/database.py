"""The database of measurements: one row per trial, failures too, committed as it finishes."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import sqlite_utils

from autotune.errors import AutotuneError
from autotune.tuning_logs import rows
from autotune.tuning_logs.accept import VERIFIED, Accept
from autotune.tuning_logs.nearness import device_distance, place, shape_distances
from autotune.tuning_logs.opening import DatabaseError, connect, explained, transaction
from autotune.tuning_logs.records import EVIDENCE, DeviceInfo, Record, Run, Task, Workload
from autotune.tuning_logs.writer import Writer

WITHIN = 3.0  # the distance up to which something is near: three axes twice as long, say
_FIRST_RADIUS = 0.5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A record of something near, and how far away that is."""

    distance: float
    record: Record
    task: Task


class Database:
    """An open database file, used by the thread that opened it; any number of processes may have it open.

    Every method raises DatabaseError when the file cannot be used.
    """

    def __init__(self, path: Path, db: sqlite_utils.Database) -> None:
        self.path = path
        self._db = db
        self._tasks: dict[int, Task] = {}  # by row number; a task's row never changes

    @classmethod
    def open(cls, path: str | PathLike[str], readonly: bool = False, busy_seconds: float = 30.0) -> Database:
        """Opens a database, creating it and its folder unless ``readonly``; waits for others up to ``busy_seconds``.

        A file of an older version is brought up to date, and copied to ``<name>.version<N>`` before that.
        """
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

    # -- writing -----------------------------------------------------------------------------------------------

    def start_run(self, run: Run, task: Task) -> None:
        """Stores a run before its first record; once more, say for its next task, changes nothing about the run."""
        with self.writing() as writer:
            writer.add_task(task)
            writer.add_run(run)

    def add(self, record: Record, task: Task) -> None:
        """Stores a record for good before it returns. A trial that is stored already stays as it is.

        Raises UsageError for a run that was not started.
        """
        self.add_all([(record, task)])

    def add_all(self, records: Iterable[tuple[Record, Task]]) -> int:
        """Stores many records at once, all or none; how many of them were new.

        Raises UsageError for a run that was not started.
        """
        with self.writing() as writer:
            return writer.add_records(records)

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """A transaction for many inserts of any kind: all of them, or none where the block raises."""
        with explained(self.path), transaction(self._db):
            yield Writer(self._db)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Within the block every question is answered as of one moment, whatever others write meanwhile."""
        with explained(self.path):
            self._db.execute("BEGIN")
            try:
                self._db.execute("SELECT 1 FROM records LIMIT 1")  # the moment is that of the first read
                yield
            finally:
                self._db.rollback()

    def compact(self) -> None:
        """Gives the space of removed rows back to the disk."""
        with explained(self.path):
            self._db.execute("VACUUM")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @property
    def connection(self) -> sqlite3.Connection:
        """What is open underneath."""
        connection: sqlite3.Connection = self._db.conn
        return connection

    def file_bytes(self) -> int:
        """The size of the file, and of the log of changes beside it."""
        files = (self.path, Path(f"{self.path}-wal"))
        with explained(self.path):
            return sum(file.stat().st_size for file in files if file.exists())

    # -- a task's records --------------------------------------------------------------------------------------

    def records(self, task: Task, phase: str | None = None) -> list[Record]:
        """A task's records in the order in which they were stored."""
        found = self._find_task(task)
        where, values = _where({"task_id": found, "phase": phase})
        return [self._record(row) for row in self.query(f"{rows.RECORDS} {where} ORDER BY records.id", values)]

    def count(self, task: Task | None = None, phase: str | None = None, status: str | None = None) -> int:
        """How many records there are of a task (of all tasks), of a phase and with a status."""
        found = None if task is None else self._find_task(task)
        where, values = _where({"task_id": found, "phase": phase, "status": status})
        return int(self.query(f"SELECT count(*) AS n FROM records {where}", values)[0]["n"])

    def numbers(self, task: Task) -> list[int]:
        """The row numbers of a task's records."""
        return [row["id"] for row in self.rows("SELECT id FROM records WHERE task_id = ?", [self._find_task(task)])]

    def tasks(self, workload_key: str | None = None) -> list[Task]:
        """All tasks, or a workload's, in the order in which they were stored."""
        where, values = _where({"workloads.key": workload_key})
        return [self._task(row) for row in self.query(f"{rows.TASKS} {where} ORDER BY tasks.id", values)]

    def find(self, trial: str) -> tuple[Record, Task] | None:
        """A record by its trial's name, or None where there is none."""
        found = self.query(f"{rows.RECORDS} WHERE records.trial = ?", [trial])
        return (self._record(found[0]), self.task(found[0]["task_id"])) if found else None

    def run(self, run_id: str) -> Run | None:
        """A run, or None where there is none of that name."""
        found = self.query(f"{rows.RUNS} WHERE runs.key = ?", [run_id])
        return self._sensible(rows.run_of, found[0], f"run {run_id!r}") if found else None

    # -- the best ----------------------------------------------------------------------------------------------

    def best(
        self,
        workload_key: str,
        target_key: str | None = None,
        device_key: str | None = None,
        threads: int | None = None,
        accept: Accept = VERIFIED,
    ) -> tuple[Record, Task] | None:
        """The record to build from, and the task that it was measured for; None where nothing fits.

        Within a task the fastest finalist of the latest run that had any wins over all trials before it: finalists
        were timed against each other, while the fastest of many trials is partly luck and a clock that drifts. So a
        run that resumes a task must race the stored best among its finalists. A trial stored after those finalists
        (its run was cut short) wins only where the confidence intervals are apart. Without finalists the fastest
        trial wins. Between tasks (toolchains, and whatever the arguments leave open) the fastest winner is taken,
        measured before emulated before modelled, and what ``accept`` prefers before what it puts last.
        """
        found = self._best(workload_key, target_key, device_key, threads, accept)
        return None if found is None else (self._record(found), self.task(found["task_id"]))

    def best_of(self, task: Task, accept: Accept = VERIFIED) -> Record | None:
        """The same for one very task, toolchain and version of the space included."""
        number = self._find_task(task)
        for evidence in EVIDENCE:
            row = self._winner(number, evidence, accept)
            if row is not None:
                return self._record(row)
        return None

    def top(
        self,
        count: int,
        workload_key: str,
        target_key: str | None = None,
        device_key: str | None = None,
        threads: int | None = None,
        accept: Accept = VERIFIED,
    ) -> list[tuple[Record, Task]]:
        """Up to ``count`` candidates of the task that ``best`` answers from, each once, and ``best``'s first.

        After it come the finalists of its task's latest race, then the other trials, each by time.
        """
        best = self._best(workload_key, target_key, device_key, threads, accept)
        if best is None:
            return []
        task = self.task(best["task_id"])
        return [(self._load(number), task) for number in islice(self._leaders(best, accept), max(count, 0))]

    def leaders(self, task: Task, count: int) -> list[int]:
        """The row numbers of what ``top`` has for this very task, for each kind of evidence."""
        number, found = self._find_task(task), list[int]()
        for evidence in EVIDENCE:
            best = self._winner(number, evidence, VERIFIED)
            if best is not None:
                found += islice(self._leaders(best, VERIFIED), count)
        return found

    def _best(
        self, workload_key: str, target_key: str | None, device_key: str | None, threads: int | None, accept: Accept
    ) -> dict[str, Any] | None:
        where, values = _where(
            {"workloads.key": workload_key, "targets.key": target_key, "devices.key": device_key, "threads": threads}
        )
        winners = []
        for task in self.query(f"SELECT tasks.id, toolchain {rows.TASK_TABLES} {where}", values):
            preference = accept.rank(task["toolchain"])
            if preference is None:
                continue
            for rank, evidence in enumerate(EVIDENCE):
                row = self._winner(task["id"], evidence, accept)
                if row is not None:
                    winners.append((preference, rank, row["seconds"], -row["id"], row))
                    break
        return min(winners, key=lambda winner: winner[:4])[-1] if winners else None

    def _winner(self, task_id: int, evidence: str, accept: Accept) -> dict[str, Any] | None:
        values = {"task": task_id, "evidence": evidence, "since": accept.since}
        finals, trials = _phases(accept)
        final = self._fastest(finals, values)
        if final is None:
            return self._fastest(trials, values)
        # `seconds < :bound` follows from the rest; it ends the walk along the index.
        values |= {"after": final["id"], "bound": final["ci_low"] or final["seconds"]}
        later = f"{trials} AND seconds < :bound AND records.id > :after AND coalesce(ci_high, seconds) < :bound"
        return self._fastest(later, values) or final

    def _fastest(self, condition: str, values: Mapping[str, Any]) -> dict[str, Any] | None:
        fastest = f"SELECT id FROM records WHERE {condition} ORDER BY seconds LIMIT 1"
        found = self.query(f"{rows.RECORDS} WHERE records.id = ({fastest})", values)
        return found[0] if found else None

    def _leaders(self, best: Mapping[str, Any], accept: Accept) -> Iterator[int]:
        """The row numbers of a task's candidates, each once: its best, the finalists of its latest race, its trials."""
        yield best["id"]
        seen = {(best["sketch_id"], best["knobs"])}
        values = {"task": best["task_id"], "evidence": best["evidence"], "since": accept.since}
        for condition in _phases(accept):
            for row in self.rows(
                f"SELECT id, sketch_id, knobs FROM records WHERE {condition} ORDER BY seconds", values
            ):
                if (row["sketch_id"], row["knobs"]) not in seen:
                    seen.add((row["sketch_id"], row["knobs"]))
                    yield row["id"]

    # -- what is near ------------------------------------------------------------------------------------------

    def nearest(
        self, workload: Workload, count: int = 8, within: float = WITHIN, target_key: str | None = None
    ) -> list[tuple[float, Workload]]:
        """Up to ``count`` other workloads of the same family that were tuned (for a target), the nearest first.

        ``nearness`` defines families and the distance. The index on the sizes gives all that can be within a radius,
        which grows until enough of them are.
        """
        here = place(workload.operator, workload.params, workload.text)
        radius, rank, found = min(_FIRST_RADIUS, within), [], []
        while True:
            found = self.query(
                f"""
                SELECT workloads.id, shape FROM workloads WHERE family = :family AND size BETWEEN :least AND :most
                AND key != :key AND EXISTS (
                    SELECT 1 FROM tasks {"JOIN targets ON targets.id = target_id" if target_key else ""}
                    WHERE workload_id = workloads.id {"AND targets.key = :target" if target_key else ""})
                """,
                {
                    "family": here.family, "key": workload.key, "target": target_key,
                    "least": here.size - radius - 1e-6, "most": here.size + radius + 1e-6,
                },
            )  # fmt: skip
            distances = shape_distances(here.shape, [row["shape"] for row in found])
            rank = [int(position) for position in distances.argsort(kind="stable") if distances[position] <= radius]
            if len(rank) >= count or radius >= within:
                break
            radius = min(2 * radius, within)
        return [(float(distances[position]), self._workload(found[position]["id"])) for position in rank[:count]]

    def nearest_devices(self, device: DeviceInfo, count: int = 8) -> list[tuple[float, DeviceInfo]]:
        """Up to ``count`` other devices that share facts with this one, by ``nearness.device_distance``."""
        found = []
        for row in self.query("SELECT id, name, text, facts FROM devices WHERE key != ?", [device.key]):
            other = self._sensible(rows.device_of, row, f"device {row['id']}")
            distance = device_distance(device.facts, other.facts)
            if distance < float("inf"):
                found.append((distance, row["id"], other))
        return [(distance, other) for distance, _, other in sorted(found, key=lambda item: item[:2])[:count]]

    def near(
        self,
        workload: Workload,
        target_key: str | None = None,
        device: DeviceInfo | None = None,
        threads: int | None = None,
        accept: Accept = VERIFIED,
        count: int = 4,
        within: float = WITHIN,
    ) -> list[Neighbour]:
        """The best records of what is near: of other workloads, and, with a ``device``, of other devices.

        The distances of workload and device add up; up to ``count`` that are no farther than ``within`` in all, the
        nearest first. The workload's own best on the device itself is not among them.
        """
        devices: list[tuple[float, str | None]] = [(0.0, device.key if device else None)]
        if device is not None:
            devices += [(distance, other.key) for distance, other in self.nearest_devices(device)]
        found = []
        for far, neighbour in [(0.0, workload), *self.nearest(workload, 2 * count, within, target_key)]:
            for farther, device_key in devices:
                if far + farther > within or (neighbour.key == workload.key and device_key == devices[0][1]):
                    continue
                best = self.best(neighbour.key, target_key, device_key, threads, accept)
                if best is not None:
                    found.append(Neighbour(far + farther, *best))
        return sorted(found, key=lambda one: one.distance)[:count]

    # -- reading rows ------------------------------------------------------------------------------------------

    def query(self, sql: str, values: Any = ()) -> list[dict[str, Any]]:
        """The rows that SQL gives, by column: for questions that nobody foresaw; docs/database.md has the tables."""
        return list(self.rows(sql, values))

    def rows(self, sql: str, values: Any = ()) -> Iterator[dict[str, Any]]:
        """The same, one by one, for more than memory holds."""
        with explained(self.path):
            yield from self._db.query(sql, values)

    def _find_task(self, task: Task) -> int:
        """The task's number; for one that was never stored, a number that no record has."""
        where, values = _where(
            {
                "workloads.key": task.workload.key, "targets.key": task.target.key, "devices.key": task.device.key,
                "threads": task.threads, "toolchain": task.toolchain, "space_version": task.space_version,
            }
        )  # fmt: skip
        found = self.query(f"SELECT tasks.id {rows.TASK_TABLES} {where}", values)
        return int(found[0]["id"]) if found else -1

    def _load(self, record_id: int) -> Record:
        return self._record(self.query(f"{rows.RECORDS} WHERE records.id = ?", [record_id])[0])

    def _workload(self, workload_id: int) -> Workload:
        found = self.query("SELECT * FROM workloads WHERE id = ?", [workload_id])[0]
        return self._sensible(rows.workload_of, found, f"workload {workload_id}")

    def task(self, task_id: int) -> Task:
        """A task by its row number."""
        if task_id not in self._tasks:
            self._tasks[task_id] = self._task(self.query(f"{rows.TASKS} WHERE tasks.id = ?", [task_id])[0])
        return self._tasks[task_id]

    def _record(self, row: Mapping[str, Any]) -> Record:
        return self._sensible(rows.record_of, row, f"trial {row['trial']!r}")

    def _task(self, row: Mapping[str, Any]) -> Task:
        return self._sensible(rows.task_of, row, f"task {row['id']}")

    def _sensible(self, read: Callable[[Mapping[str, Any]], T], row: Mapping[str, Any], what: str) -> T:
        try:
            return read(row)
        except (ValueError, TypeError, AttributeError, AutotuneError) as error:
            raise DatabaseError(f"{self.path} is damaged: {what} makes no sense ({error})") from error


def _phases(accept: Accept) -> tuple[str, str]:
    """Conditions for the finalists of a task's latest race, and for its trials."""
    usable = f"task_id = :task AND evidence = :evidence AND {accept.condition}"
    finals = f"{usable} AND phase = 'final'"
    latest = f"SELECT run_id FROM records WHERE {finals} ORDER BY id DESC LIMIT 1"
    return f"{finals} AND run_id = ({latest})", f"{usable} AND phase = 'trial'"


def _where(conditions: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """A WHERE clause of equalities, and its values; None stands for no condition."""
    given = {column: value for column, value in conditions.items() if value is not None}
    clause = " AND ".join(f"{column} = ?" for column in given)
    return (f"WHERE {clause}" if clause else ""), [*given.values()]
