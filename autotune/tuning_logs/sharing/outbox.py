"""This machine's own records of a shared database, and which of them the server is not known to have yet.

The file is an ordinary tuning database with one more table. A record and its place in the queue are committed together;
the place is given up once the server has answered that the record is kept. What is sent twice is stored once, under
its trial's name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from autotune.tuning_logs.database import Database
from autotune.tuning_logs.lines import FORMAT, VERSION, Encoder, as_line
from autotune.tuning_logs.opening import explained
from autotune.tuning_logs.records import Forecast, Record, Task

_TABLE = "CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY, trial TEXT NOT NULL UNIQUE, refused TEXT)"
_TABLE_OF_ROUNDS = (
    "CREATE TABLE IF NOT EXISTS outbox_rounds (run TEXT NOT NULL, batch INTEGER NOT NULL, PRIMARY KEY (run, batch))"
)
_NEXT_ROUNDS = """
    SELECT outbox_rounds.run, outbox_rounds.batch, figures FROM outbox_rounds JOIN runs ON runs.key = outbox_rounds.run
        JOIN rounds ON rounds.run_id = runs.id AND rounds.batch = outbox_rounds.batch
    ORDER BY outbox_rounds.rowid LIMIT ?
"""
_NEXT = "SELECT outbox.trial FROM outbox JOIN records USING (trial) WHERE refused IS NULL ORDER BY outbox.id LIMIT ?"
MOST_RECORDS = 500  # sent at a time
_BYTES = 2**19  # from here on a batch is full: proxies may take no more than 1 MiB


@dataclass(frozen=True, slots=True)
class Batch:
    """The trials, and the lines that tell of them."""

    trials: Sequence[str]
    lines: bytes


@dataclass(frozen=True, slots=True)
class Rounds:
    """Runs and numbers of batches, and the lines that tell how these were foretold."""

    batches: Sequence[tuple[str, int]]
    lines: bytes


class Outbox:
    """The queue in an open database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        with explained(database.path):
            database.connection.execute(_TABLE)
            database.connection.execute(_TABLE_OF_ROUNDS)

    def add_all(self, records: Iterable[tuple[Record, Task]]) -> int:
        """Stores records for good and queues them, all or none; how many were new. Raises UsageError."""
        batch = list(records)
        with self._database.writing() as writer:
            new = writer.add_records(batch)
            self._queue([record.trial for record, _ in batch])
        return new

    def add_round(self, forecast: Forecast) -> None:
        """Stores a forecast for good and queues it. Raises UsageError."""
        with self._database.writing() as writer:
            writer.add_round(forecast)
            self._database.connection.execute(
                "INSERT OR IGNORE INTO outbox_rounds VALUES (?, ?)", [forecast.run_id, forecast.batch]
            )

    def queue_everything(self) -> None:
        """Queues all records and rounds of the file, those too that were sent or refused."""
        with self._database.writing():
            self._database.connection.execute("DELETE FROM outbox")
            self._database.connection.execute("INSERT INTO outbox (trial) SELECT trial FROM records ORDER BY id")
            self._database.connection.execute(
                "INSERT OR IGNORE INTO outbox_rounds SELECT key, batch FROM rounds JOIN runs ON runs.id = run_id"
            )

    def retry_refused(self) -> None:
        """Queues again what the server refused."""
        with self._database.writing():
            self._database.connection.execute("UPDATE outbox SET refused = NULL")

    def next_batch(self, most: int = MOST_RECORDS) -> Batch | None:
        """The oldest that wait, up to ``most`` of them; None where nothing waits."""
        encoder, lines, trials, size = Encoder(), [as_line((FORMAT, VERSION))], list[str](), 0
        for row in self._database.query(_NEXT, [most]):
            found = self._database.find(row["trial"])
            run = self._database.run(found[0].run_id) if found else None
            assert found is not None and run is not None
            said = [as_line(entry) for entry in encoder.record(*found, run)]
            size += sum(map(len, said))
            if trials and size > _BYTES:
                break
            trials.append(row["trial"])
            lines += said
        return Batch(trials, "".join(lines).encode()) if trials else None

    def next_rounds(self) -> Rounds | None:
        """The oldest rounds that wait; None where none does."""
        encoder, lines, found = Encoder(), [as_line((FORMAT, VERSION))], list[tuple[str, int]]()
        for row in self._database.query(_NEXT_ROUNDS, [MOST_RECORDS]):
            run = self._database.run(row["run"])
            assert run is not None
            forecast = Forecast(row["run"], row["batch"], json.loads(row["figures"]))
            lines += map(as_line, encoder.round(forecast, run))
            found.append((forecast.run_id, forecast.batch))
        return Rounds(found, "".join(lines).encode()) if found else None

    def drop_rounds(self, rounds: Iterable[tuple[str, int]]) -> None:
        """The server has them, or does not take them."""
        with self._database.writing():
            self._database.connection.executemany("DELETE FROM outbox_rounds WHERE run = ? AND batch = ?", rounds)

    def drop(self, trials: Iterable[str]) -> None:
        """The server has them."""
        with self._database.writing():
            self._database.connection.executemany("DELETE FROM outbox WHERE trial = ?", [[trial] for trial in trials])

    def refuse(self, trial: str, sentence: str) -> None:
        """The server does not take it; it is not sent again unless ``retry_refused`` says so."""
        with self._database.writing():
            self._database.connection.execute("UPDATE outbox SET refused = ? WHERE trial = ?", [sentence, trial])

    @property
    def waiting(self) -> int:
        """How many records are to be sent."""
        found = self._database.query(
            "SELECT count(*) AS n FROM outbox JOIN records USING (trial) WHERE refused IS NULL"
        )
        return int(found[0]["n"])

    def refused(self) -> dict[str, str]:
        """The trials that the server does not take, and its sentences."""
        rows = self._database.query("SELECT trial, refused FROM outbox WHERE refused IS NOT NULL ORDER BY id")
        return {row["trial"]: row["refused"] for row in rows}

    def _queue(self, trials: Iterable[str]) -> None:
        self._database.connection.executemany(
            "INSERT OR IGNORE INTO outbox (trial) VALUES (?)", [[trial] for trial in trials]
        )
