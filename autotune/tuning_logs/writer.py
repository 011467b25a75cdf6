"""Writing: what a record refers to is stored once, and found again by its key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlite_utils

from autotune.errors import UsageError
from autotune.tuning_logs import rows
from autotune.tuning_logs.audit import FIRST_LINK, Appended
from autotune.tuning_logs.records import DeviceInfo, Forecast, Record, Run, TargetInfo, Task, Workload, text_key
from autotune.tuning_logs.schema import COLUMNS


class Writer:
    """Inserts within the caller's transaction; it remembers row numbers and so must not outlive that."""

    def __init__(self, db: sqlite_utils.Database) -> None:
        self._db = db
        self._numbers: dict[Any, int] = {}

    def add_run(self, run: Run) -> int:
        """The run's row; one that is stored already stays as it is."""
        host = self._number("hosts", run.host, lambda: rows.host_values(run.host))
        return self._number("runs", run.run_id, lambda: rows.run_values(run, host))

    def add_task(self, task: Task) -> int:
        """The task's row, and those of its workload, target and device."""
        if task not in self._numbers:
            values = (
                self.add_workload(task.workload), self.add_target(task.target), self.add_device(task.device),
                task.threads, task.toolchain, task.space_version,
            )  # fmt: skip
            self._numbers[task] = self._stored("tasks", COLUMNS["tasks"], values, values)
        return self._numbers[task]

    def add_workload(self, workload: Workload) -> int:
        return self._number("workloads", workload, lambda: rows.workload_values(workload))

    def add_target(self, target: TargetInfo) -> int:
        return self._number("targets", target, lambda: rows.target_values(target))

    def add_device(self, device: DeviceInfo) -> int:
        return self._number("devices", device, lambda: rows.device_values(device))

    def add_sketch(self, text: str) -> int:
        return self._number("sketches", text, lambda: (text_key(text), text))

    def add_records(self, records: Iterable[tuple[Record, Task]]) -> int:
        """How many of the records are new; a trial that is stored already stays as it is.

        Raises UsageError for a run that was not started.
        """
        values = [
            rows.sealed(
                "records",
                rows.record_values(record, self.add_task(task), self._run(record), self.add_sketch(record.sketch)),
            )
            for record, task in records
        ]
        # Not INSERT OR IGNORE, which would swallow violated constraints of every other kind too.
        sql = f"{rows.INSERTS['records']} ON CONFLICT (trial) DO NOTHING"
        return int(self._db.conn.executemany(sql, values).rowcount)

    def add_audit(self, entry: Appended) -> None:
        """Adds a row to the audit, linked to the one before it."""
        last = self._db.execute("SELECT link FROM audit ORDER BY id DESC LIMIT 1").fetchone()
        values = entry.values(FIRST_LINK if last is None else last[0])
        self._db.execute(rows.INSERTS["audit"], rows.sealed("audit", values))

    def add_round(self, forecast: Forecast) -> None:
        """What is known of how a run's batch was foretold, once."""
        found = self._db.execute("SELECT id FROM runs WHERE key = ?", [forecast.run_id]).fetchone()
        if found is None:
            raise UsageError(f"a round belongs to run {forecast.run_id!r}, which was not started")
        values = rows.sealed("rounds", (found[0], forecast.batch, rows.as_json(forecast.figures)))
        self._db.execute(f"{rows.INSERTS['rounds']} ON CONFLICT (run_id, batch) DO NOTHING", values)

    def keep_only(self, task: Task, numbers: Iterable[int]) -> None:
        """Removes the task's records whose row numbers are not among these."""
        self._db.execute("CREATE TEMPORARY TABLE IF NOT EXISTS kept (id INTEGER PRIMARY KEY)")
        self._db.execute("DELETE FROM kept")
        self._db.conn.executemany("INSERT INTO kept VALUES (?)", [[number] for number in numbers])
        self._db.execute("DELETE FROM records WHERE task_id = ? AND id NOT IN kept", [self.add_task(task)])

    def drop_unused_sketches(self) -> None:
        """Removes the sketches that no record has any more."""
        self._db.execute("DELETE FROM sketches WHERE id NOT IN (SELECT sketch_id FROM records)")
        self._numbers.clear()

    def _run(self, record: Record) -> int:
        number = self._numbers.get(("runs", record.run_id))
        if number is None:
            found = self._db.execute("SELECT id FROM runs WHERE key = ?", [record.run_id]).fetchone()
            if found is None:
                raise UsageError(f"trial {record.trial} belongs to run {record.run_id!r}, which was not started")
            number = self._numbers["runs", record.run_id] = int(found[0])
        return number

    def _number(self, table: str, what: Any, values: Any) -> int:
        name = (table, what)
        if name not in self._numbers:
            row = values()
            self._numbers[name] = self._stored(table, ("key",), row[:1], row)
        return self._numbers[name]

    def _stored(self, table: str, unique: Sequence[str], key: Sequence[Any], values: Sequence[Any]) -> int:
        """The number of the row whose unique columns hold ``key``, inserted where there is none."""
        where = " AND ".join(f"{column} = ?" for column in unique)
        found = self._db.execute(f"SELECT id FROM {table} WHERE {where}", key).fetchone()
        if found is not None:
            return int(found[0])
        number = self._db.execute(rows.INSERTS[table], rows.sealed(table, values)).lastrowid
        assert number is not None
        return number
