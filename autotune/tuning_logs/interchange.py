"""A database as lines of JSON, and back: to send, to keep under version control, to merge.

Each line is an object with one member that says what it is::

    {"autotune tuning log": 1}
    {"workload": {"operator": "matmul", "params": {"m": 64, ...}, "text": "matmul(...)"}}
    {"target": {"name": "x86_avx512", "text": "..."}}
    {"device": {"name": "...", "text": "...", "facts": {...}}}
    {"task": {"workload": KEY, "target": KEY, "device": KEY, "threads": 1, "toolchain": "...", "space_version": "1"}}
    {"run": {"run_id": "...", "seed": 0, "host": {...}, ...}}
    {"sketch": "{\\"steps\\":[...],\\"version\\":1}"}
    {"record": {"trial": "...", "task": KEY, "run": "...", "sketch": KEY, "knobs": {...}, "samples": [...], ...}}
    {"round": {"run": "...", "batch": 0, "figures": {...}}}

A key is the SHA-256 of the text (of the sketch's text, of all that makes a task). What a line refers to stands in an
earlier one, and only once. Files can be concatenated. The number in the first line is the version of this format.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from autotune.errors import AutotuneError, UsageError
from autotune.tuning_logs.database import Database
from autotune.tuning_logs.interface import TuningDatabase
from autotune.tuning_logs.lines import (
    FORMAT,
    UNREADABLE,
    VERSION,
    Decoder,
    Encoder,
    Entry,
    UnreadableError,
    as_line,
    parse,
    reason,
    record_entry,
    round_entry,
    run_entry,
)  # fmt: skip
from autotune.tuning_logs.opening import DatabaseError
from autotune.tuning_logs.records import Forecast, Record, Run, Task
from autotune.tuning_logs.summary import stored_after

BATCH = 5_000  # records that are stored at a time
_KEPT_PROBLEMS = 20
_PAGE = 1_000  # records that a server is asked for at a time

_EXPORTED = """
    SELECT records.*, runs.key AS run, sketches.key AS sketch
    FROM records JOIN runs ON runs.id = run_id JOIN sketches ON sketches.id = sketch_id ORDER BY records.id
"""

_ROUNDS = "SELECT runs.key AS run, batch, figures FROM rounds JOIN runs ON runs.id = run_id ORDER BY rounds.id"


@dataclass(slots=True)
class Imported:
    """How many records were ``new``, and how many the database had ``already``; what was left out, and why.

    ``problems`` holds the first sentences, each with the number of its line; ``left_out`` counts all.
    """

    new: int = 0
    already: int = 0
    left_out: int = 0
    problems: list[str] = field(default_factory=list)

    def leave_out(self, problem: str) -> None:
        self.left_out += 1
        if len(self.problems) < _KEPT_PROBLEMS:
            self.problems.append(problem)


def entries(database: TuningDatabase) -> Iterator[Entry]:
    """All that the database holds, in the order in which it was stored: of a file as of one moment.

    Raises DatabaseError where a server is away, or goes away meanwhile.
    """
    return _entries_of_file(database) if isinstance(database, Database) else _entries_of_server(database)


def _entries_of_server(database: TuningDatabase) -> Iterator[Entry]:
    encoder, runs, last = Encoder(), dict[str, Run](), ""
    yield FORMAT, VERSION
    while page := database.report(stored_after, trial=last, count=_PAGE):
        for record, task in page:
            run = runs.get(record.run_id) or database.run(record.run_id)
            assert run is not None
            runs[record.run_id] = run
            yield from encoder.record(record, task, run)
        last = page[-1][0].trial
    for run in runs.values():
        for figures in database.rounds(run.run_id):
            yield round_entry(Forecast(run.run_id, figures.pop("batch"), figures))


def _entries_of_file(database: Database) -> Iterator[Entry]:
    encoder = Encoder()
    with database.snapshot():
        yield FORMAT, VERSION
        for row in database.rows(_EXPORTED):
            task = database.task(row["task_id"])
            yield from encoder.task(task)
            if encoder.is_new("run", row["run"]):
                run = database.run(row["run"])
                assert run is not None
                yield run_entry(run)
            if encoder.is_new("sketch", row["sketch"]):
                yield "sketch", database.query("SELECT text FROM sketches WHERE id = ?", [row["sketch_id"]])[0]["text"]
            knobs, samples = database.sensible(_lists, row, f"trial {row['trial']!r}")
            yield "record", record_entry(row, knobs, samples, task.key, row["run"], row["sketch"])
        for row in database.rows(_ROUNDS):
            run = database.run(row["run"])
            assert run is not None
            yield from encoder.round(database.sensible(_forecast, row, f"a round of run {row['run']!r}"), run)


def _lists(row: Mapping[str, Any]) -> tuple[Any, Any]:
    return json.loads(row["knobs"]), json.loads(row["samples"])


def _forecast(row: Mapping[str, Any]) -> Forecast:
    return Forecast(row["run"], row["batch"], json.loads(row["figures"]))


def export_lines(database: TuningDatabase) -> Iterator[str]:
    """The lines, each with its end."""
    for entry in entries(database):
        try:
            yield as_line(entry)
        except ValueError as error:  # an infinite time, which nobody wrote
            raise DatabaseError(f"{database.name} is damaged: a {entry[0]} makes no sense ({error})") from error


def import_lines(database: Database, lines: Iterable[str | bytes], strict: bool = True) -> Imported:
    """Stores the records of exported lines that the database does not have yet.

    A line that makes no sense is refused with its number; the records before it are stored already, and importing the
    file again stores none twice. Not ``strict``, it is left out and reported, and so is what refers to it.

    Raises UsageError.
    """
    reader = _Reader(database, strict)
    for number, line in enumerate(lines, 1):
        if line.strip():
            reader.take(f"line {number}", line)
    return reader.finish()


def merge(database: Database, other: TuningDatabase) -> Imported:
    """Stores the records of another database that this one does not have yet."""
    reader = _Reader(database, strict=False)
    for kind, data in entries(other):
        reader.take(kind, (kind, data))
    return reader.finish()


class _Reader:
    """Collects what lines define, and stores records in batches."""

    def __init__(self, database: Database, strict: bool) -> None:
        self.database, self.strict = database, strict
        self.report = Imported()
        self._decoder = Decoder()
        self._runs: dict[str, Run] = {}  # of the batch
        self._batch: list[tuple[Record, Task]] = []

    def take(self, where: str, line: str | bytes | Entry) -> None:
        """One line, or what it stands for."""
        try:
            found = self._decoder.take(line if isinstance(line, tuple) else parse(line))
        except UnreadableError as error:
            raise UsageError(f"{where}: this is no tuning log that can be read here: {error}") from None
        except (AutotuneError, *UNREADABLE) as error:
            self._refuse(f"{where}: {reason(error)}")
            return
        if found is not None:
            record, task, run = found
            self._runs[run.run_id] = run
            self._batch.append((record, task))
        if len(self._batch) + len(self._decoder.rounds) >= BATCH:
            self._store()

    def finish(self) -> Imported:
        self._store()
        return self.report

    def _refuse(self, problem: str) -> None:
        if self.strict:
            self._store()
            raise UsageError(f"{problem}; the {self.report.new + self.report.already} records before it are stored")
        self.report.leave_out(problem)

    def _store(self) -> None:
        rounds = self._decoder.rounds
        if self._batch or rounds:
            with self.database.writing() as writer:
                for run in (*self._runs.values(), *(run for _, run in rounds)):
                    writer.add_run(run)
                new = writer.add_records(self._batch)
                for forecast, _ in rounds:
                    writer.add_round(forecast)
            self.report.new += new
            self.report.already += len(self._batch) - new
        self._runs, self._batch = {}, []
        rounds.clear()
