"""The database of measurements: one row per trial, failures too, committed as it finishes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, TypeVar

import sqlite_utils

from autotune.errors import AutotuneError
from autotune.tuning_logs import rows
from autotune.tuning_logs.accept import VERIFIED, Accept
from autotune.tuning_logs.nearness import Place, device_distance, place, shape_distances
from autotune.tuning_logs.opening import DatabaseError, explained
from autotune.tuning_logs.records import EVIDENCE, DeviceInfo, Forecast, Record, Run, TargetInfo, Task, Workload
from autotune.tuning_logs.schema import SUMS
from autotune.tuning_logs.store import Store

WITHIN = 3.0  # the distance up to which something is near: three axes twice as long, say
_FIRST_RADIUS = 0.5
_SLACK = 1e-6  # what sums of logarithms are rounded by, and more
_BAND = " AND ".join(["SELECT id, shape FROM workloads WHERE family = ?", *(f"{one} BETWEEN ? AND ?" for one in SUMS)])

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A record of something near, and how far away that is."""

    distance: float
    record: Record
    task: Task


class Database(Store):
    """An open database file, used by the thread that opened it; any number of processes may have it open.

    Every method raises DatabaseError when the file cannot be used.
    """

    def __init__(self, path: Path, db: sqlite_utils.Database) -> None:
        super().__init__(path, db)
        # By row number: these rows never change.
        self._tasks: dict[int, Task] = {}
        self._targets: dict[int, TargetInfo] = {}
        self._devices: dict[int, DeviceInfo] = {}

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

    def add_round(self, run_id: str, batch: int, figures: Mapping[str, float | None]) -> None:
        """Stores how well the cost model foretold a batch of a run; figures by name, None for what is not known.

        Raises UsageError for a run that was not started.
        """
        with self.writing() as writer:
            writer.add_round(Forecast(run_id, batch, figures))

    def rounds(self, run_id: str) -> list[dict[str, Any]]:
        """A run's batches in their order, each with its number and figures."""
        found = self.query(
            "SELECT batch, figures FROM rounds JOIN runs ON runs.id = run_id WHERE key = ? ORDER BY batch", [run_id]
        )
        what = f"a round of run {run_id!r}"
        return [
            self.sensible(lambda row: {"batch": row["batch"], **json.loads(row["figures"])}, r, what) for r in found
        ]

    # -- a task's records --------------------------------------------------------------------------------------

    def records(self, task: Task, phase: str | None = None, until: str | None = None) -> list[Record]:
        """A task's records in the order in which they were stored; with ``until``, those up to that trial.

        ``until`` may be another task's trial, or empty for none at all. Raises DatabaseError where it is not stored.
        """
        found = self._find_task(task)
        where, values = _where({"task_id": found, "phase": phase})
        if until is not None:
            where, values = f"{where} AND records.id <= ?", [*values, self._trial_number(until)]
        return [self._record(row) for row in self.query(f"{rows.RECORDS} {where} ORDER BY records.id", values)]

    def last_trial(self) -> str:
        """The name of the trial that was stored last, of whatever task; empty where there is none."""
        found = self.query("SELECT trial FROM records ORDER BY id DESC LIMIT 1")
        return str(found[0]["trial"]) if found else ""

    def _trial_number(self, trial: str) -> int:
        """The row number of a trial, 0 for the empty name."""
        found = self.query("SELECT id FROM records WHERE trial = ?", [trial])
        if trial and not found:
            raise DatabaseError(f"{self.path} has no trial {trial!r}: it was pruned, or never came into this file")
        return int(found[0]["id"]) if found else 0

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
        return self.sensible(rows.run_of, found[0], f"run {run_id!r}") if found else None

    def report(self, question: Callable[..., T], **arguments: Any) -> T:
        """What a function of ``summary`` says of the database."""
        return question(self, **arguments)

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
        return None if found is None else (self._record(found[0]), self._task(found[1]))

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
        task, leaders = self._task(best[1]), islice(self._leaders(best[0], accept), max(count, 0))
        return [(self._load(number), task) for number in leaders]

    def leaders(self, task: Task, count: int) -> list[int]:
        """The row numbers of what ``top`` has for this very task, for each kind of evidence."""
        number, found = self._find_task(task), list[int]()
        for evidence in EVIDENCE:
            best = self._winner(number, evidence, VERIFIED)
            if best is not None:
                found += islice(self._leaders(best, VERIFIED), max(count, 0))
        return found

    def _best(
        self, workload_key: str, target_key: str | None, device_key: str | None, threads: int | None, accept: Accept
    ) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The rows of ``best``'s record and task."""
        where, values = _where(
            {"workloads.key": workload_key, "targets.key": target_key, "devices.key": device_key, "threads": threads}
        )
        winners = []
        for task in self.query(f"{rows.TASKS} {where}", values):
            preference = accept.rank(task["toolchain"])
            if preference is None:
                continue
            for rank, evidence in enumerate(EVIDENCE):
                row = self._winner(task["id"], evidence, accept)
                if row is not None:
                    winners.append((preference, rank, row["seconds"], -row["id"], row, task))
                    break
        return min(winners, key=lambda winner: winner[:4])[4:] if winners else None

    def _winner(self, task_id: int, evidence: str, accept: Accept) -> dict[str, Any] | None:
        finals, trials = _phases(accept)
        found = self.query(
            f"""
            WITH final AS (
                SELECT id, coalesce(ci_low, seconds) AS bound FROM records WHERE {finals} ORDER BY seconds LIMIT 1)
            {rows.RECORDS} WHERE records.id = coalesce(
                (SELECT records.id FROM final, records WHERE {trials} AND records.id > final.id
                 -- What is compared first follows from the second; it ends the walk along the index.
                 AND seconds < bound AND coalesce(ci_high, seconds) < bound ORDER BY seconds LIMIT 1),
                (SELECT id FROM final),
                (SELECT id FROM records WHERE {trials} ORDER BY seconds LIMIT 1))
            """,
            {"task": task_id, "evidence": evidence, "since": accept.since},
        )
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

        ``nearness`` defines families and the distance. The index on the sizes gives all that can be within a radius;
        the farthest of the best of them says which radius is needed to be sure.
        """
        here = place(workload.operator, workload.params, workload.text)
        radius = min(_FIRST_RADIUS, within)
        while True:
            near = self._band(here, radius)
            distances = shape_distances(here.shape, [shape for _, shape in near])
            ranked = ((float(distances[n]), near[n][0]) for n in distances.argsort(kind="stable"))
            inside = takewhile(lambda one: one[0] <= within, ranked)
            found = list(islice((one for one in inside if self._is_tuned(one[1], workload.key, target_key)), count))
            # The last one seen is no nearer than the true last one, so all that is nearer is within its distance.
            needed = found[-1][0] if len(found) == count > 0 else min(2 * radius, within)
            if radius >= min(needed, within):
                return [(distance, self._workload(number)) for distance, number in found]
            radius = needed

    def _band(self, here: Place, radius: float) -> list[tuple[int, str]]:
        """Numbers and shapes of the workloads whose sums differ so little that they can be within the radius."""
        reach = radius + _SLACK
        bounds = [end for middle in (here.size, *here.contrasts) for end in (middle - reach, middle + reach)]
        with explained(self.path):
            return self._db.execute(_BAND, [here.family, *bounds]).fetchall()

    def _is_tuned(self, workload_id: int, but_not: str, target_key: str | None) -> bool:
        """Whether a workload other than that of a key has a task (for a target)."""
        where, values = _where({"workloads.id": workload_id, "targets.key": target_key})
        return bool(
            self.query(f"SELECT 1 {rows.TASK_TABLES} {where} AND workloads.key != ? LIMIT 1", [*values, but_not])
        )

    def nearest_devices(self, device: DeviceInfo, count: int = 8) -> list[tuple[float, DeviceInfo]]:
        """Up to ``count`` other devices that share facts with this one, by ``nearness.device_distance``."""
        found = []
        for row in self.query("SELECT id FROM devices WHERE key != ?", [device.key]):
            other = self._device(row["id"])
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
        return self.sensible(rows.workload_of, found, f"workload {workload_id}")

    def task(self, task_id: int) -> Task:
        """A task by its row number."""
        known = self._tasks.get(task_id)
        return known or self._task(self.query(f"{rows.TASKS} WHERE tasks.id = ?", [task_id])[0])

    def _record(self, row: Mapping[str, Any]) -> Record:
        return self.sensible(rows.record_of, row, f"trial {row['trial']!r}")

    def _task(self, row: Mapping[str, Any]) -> Task:
        number = row["id"]
        if number not in self._tasks:
            target, device = self._target(row["target_id"]), self._device(row["device_id"])
            self._tasks[number] = self.sensible(lambda row: rows.task_of(row, target, device), row, f"task {number}")
        return self._tasks[number]

    def _target(self, number: int) -> TargetInfo:
        if number not in self._targets:
            found = self.query("SELECT name, text FROM targets WHERE id = ?", [number])[0]
            self._targets[number] = self.sensible(rows.target_of, found, f"target {number}")
        return self._targets[number]

    def _device(self, number: int) -> DeviceInfo:
        if number not in self._devices:
            found = self.query("SELECT name, text, facts FROM devices WHERE id = ?", [number])[0]
            self._devices[number] = self.sensible(rows.device_of, found, f"device {number}")
        return self._devices[number]

    def sensible(self, read: Callable[[Mapping[str, Any]], T], row: Mapping[str, Any], what: str) -> T:
        """What ``read`` makes of a row. Raises DatabaseError where that is damaged."""
        try:
            return read(row)
        except (ValueError, TypeError, LookupError, AttributeError, AutotuneError) as error:
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
