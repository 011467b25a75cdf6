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

A key is the SHA-256 of the text (of the sketch's text, of all that makes a task). What a line refers to stands in an
earlier one, and only once. Files can be concatenated. The number in the first line is the version of this format.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from autotune.errors import AutotuneError, UsageError
from autotune.tuning_logs import rows
from autotune.tuning_logs.database import Database
from autotune.tuning_logs.records import DeviceInfo, Host, Record, Run, TargetInfo, Task, Workload, text_key

FORMAT = "autotune tuning log"
VERSION = 1
BATCH = 5_000  # records that are stored at a time
_KEPT_PROBLEMS = 20

Entry = tuple[str, Any]

_EXPORTED = """
    SELECT records.*, runs.key AS run, sketches.key AS sketch
    FROM records JOIN runs ON runs.id = run_id JOIN sketches ON sketches.id = sketch_id ORDER BY records.id
"""


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


def entries(database: Database) -> Iterator[Entry]:
    """All that the database holds, as of one moment, in the order in which it was stored."""
    told: set[tuple[str, Any]] = set()
    with database.snapshot():
        yield FORMAT, VERSION
        for row in database.rows(_EXPORTED):
            if ("task", row["task_id"]) not in told:
                told.add(("task", row["task_id"]))
                yield from _task_entries(database.task(row["task_id"]), told)
            if ("run", row["run"]) not in told:
                told.add(("run", row["run"]))
                run = database.run(row["run"])
                assert run is not None
                yield "run", {**asdict(run), "options": dict(run.options), "provenance": dict(run.provenance)}
            if ("sketch", row["sketch_id"]) not in told:
                told.add(("sketch", row["sketch_id"]))
                yield "sketch", database.query("SELECT text FROM sketches WHERE id = ?", [row["sketch_id"]])[0]["text"]
            yield "record", _record_entry(row, database.task(row["task_id"]).key)


def _task_entries(task: Task, told: set[tuple[str, Any]]) -> Iterator[Entry]:
    workload, target, device = task.workload, task.target, task.device
    parts: list[tuple[str, str, dict[str, Any]]] = [
        ("workload", workload.key, {"operator": workload.operator, "params": workload.params, "text": workload.text}),
        ("target", target.key, {"name": target.name, "text": target.text}),
        ("device", device.key, {"name": device.name, "text": device.text, "facts": device.facts}),
    ]
    for kind, key, data in parts:
        if (kind, key) not in told:
            told.add((kind, key))
            yield kind, data
    keys = {kind: key for kind, key, _ in parts}
    yield "task", {
        **keys, "threads": task.threads, "toolchain": task.toolchain, "space_version": task.space_version
    }  # fmt: skip


def _record_entry(row: Mapping[str, Any], task_key: str) -> dict[str, Any]:
    data = {name: row[name] for name in rows.PLAIN if row[name] is not None}
    if data.get("max_error") == math.inf:
        data["max_error"] = "inf"  # JSON has no infinity
    knobs, samples = json.loads(row["knobs"]), json.loads(row["samples"])
    return {
        **data, "verified": bool(row["verified"]), "knobs": knobs, "samples": samples,
        "task": task_key, "run": row["run"], "sketch": row["sketch"],
    }  # fmt: skip


def export_lines(database: Database) -> Iterator[str]:
    """The lines, each with its end."""
    for kind, data in entries(database):
        yield json.dumps({kind: data}, separators=(",", ":"), allow_nan=False) + "\n"


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


def merge(database: Database, other: Database) -> Imported:
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
        self._begun = False
        self._known: dict[tuple[str, str], Any] = {}
        self._runs: dict[str, Run] = {}  # of the batch
        self._batch: list[tuple[Record, Task]] = []

    def take(self, where: str, line: str | bytes | Entry) -> None:
        """One line, or what it stands for."""
        try:
            kind, data = line if isinstance(line, tuple) else _parse(line)
            if kind == FORMAT:
                self._begun = _known_version(data)
                return
            if not self._begun:
                raise UnreadableError(f"it does not begin with {json.dumps({FORMAT: VERSION})}")
            self._define(kind, data)
        except UnreadableError as error:
            raise UsageError(f"{where}: this is no tuning log that can be read here: {error}") from None
        except (AutotuneError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            self._refuse(f"{where}: {_reason(error)}")
        if len(self._batch) >= BATCH:
            self._store()

    def finish(self) -> Imported:
        self._store()
        return self.report

    def _refuse(self, problem: str) -> None:
        if self.strict:
            self._store()
            raise UsageError(f"{problem}; the {self.report.new + self.report.already} records before it are stored")
        self.report.leave_out(problem)

    def _define(self, kind: str, data: Any) -> None:
        if kind == "record":
            self._batch.append(self._record(dict(data)))
        elif kind == "sketch":
            if not isinstance(data, str):
                raise UsageError("a sketch is a text")
            self._known["sketch", text_key(data)] = data
        elif kind == "run":
            run = _run(data)
            self._known["run", run.run_id] = run
        elif kind in _MAKERS:
            made = _MAKERS[kind](data)
            self._known[kind, made.key] = made
        elif kind == "task":
            parts = {part: self._refer(part, data[part]) for part in ("workload", "target", "device")}
            task = _made(Task, data | parts)
            self._known["task", task.key] = task
        else:
            raise UsageError(f"{kind!r} is nothing that a tuning log holds")

    def _record(self, data: dict[str, Any]) -> tuple[Record, Task]:
        task: Task = self._refer("task", data.pop("task"))
        run: Run = self._refer("run", data.pop("run"))
        sketch: str = self._refer("sketch", data.pop("sketch"))
        if "max_error" in data:
            data["max_error"] = float(data["max_error"])
        record = _made(Record, data | {"run_id": run.run_id, "sketch": sketch})
        self._runs[run.run_id] = run
        return record, task

    def _refer(self, kind: str, key: str) -> Any:
        if (kind, key) not in self._known:
            raise UsageError(f"it refers to {kind} {key!r}, which no line before it defines")
        return self._known[kind, key]

    def _store(self) -> None:
        if self._batch:
            with self.database.writing() as writer:
                for run in self._runs.values():
                    writer.add_run(run)
                new = writer.add_records(self._batch)
            self.report.new += new
            self.report.already += len(self._batch) - new
        self._runs, self._batch = {}, []


class UnreadableError(AutotuneError):
    """The whole file is of no use, whether or not single lines may be left out."""


def _known_version(version: Any) -> bool:
    if version != VERSION:
        raise UnreadableError(f"its format is version {version!r}, and this autotune knows version {VERSION}")
    return True


def _parse(line: str | bytes) -> Entry:
    data = json.loads(line, parse_constant=_refuse_constant)
    if not isinstance(data, dict) or len(data) != 1:
        raise UsageError("it is no JSON object with one member")
    return next(iter(data.items()))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")


def _run(data: Mapping[str, Any]) -> Run:
    return _made(Run, {**data, "host": _made(Host, data["host"])})


_MAKERS: Mapping[str, Any] = {
    "workload": lambda data: _made(Workload, data),
    "target": lambda data: _made(TargetInfo, data),
    "device": lambda data: _made(DeviceInfo, data),
}

# What JSON must hold for a field, by the field's type; the constructors check the rest.
_KINDS: Mapping[str, tuple[type, ...]] = {
    "str": (str,), "int": (int,), "bool": (bool,), "Mapping": (dict,), "Sequence": (list,), "float": (int, float),
}  # fmt: skip

T = TypeVar("T")


def _made(cls: type[T], data: Mapping[str, Any]) -> T:
    """An object of a class from the members of a JSON object."""
    for name, kind in cls.__annotations__.items():
        allowed = _KINDS.get(kind.removesuffix(" | None").partition("[")[0])
        value = data.get(name)
        if value is None or allowed is None:
            continue
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            raise UsageError(f"its {name} is {value!r:.50}, which is no {allowed[-1].__name__}")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise UsageError(f"its {name} is {value}, which is more than 64 bits hold")
        if isinstance(value, str):
            value.encode()  # raises for half of a character, which JSON can write
    return cls(**data)


def _reason(error: Exception) -> str:
    if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)):
        return f"it is no JSON ({error})"
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]!r}"
    if isinstance(error, TypeError):  # members that are missing, or unknown
        return f"its members make no sense ({str(error).partition('__init__() ')[2] or error})"
    text = " ".join(str(error).split())
    return text if len(text) < 300 else f"{text[:297]}..."
