"""What client and server say to each other: lines of a tuning log, and one more that asks or answers.

What that line says of a task, a record and so on is a reference to a line before it: ``{"task": KEY}``.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any, get_type_hints

from autotune.errors import UsageError
from autotune.tuning_logs.accept import Accept
from autotune.tuning_logs.database import Database, Neighbour
from autotune.tuning_logs.lines import FORMAT, VERSION, Decoder, Encoder, Entry, as_line, made, parse
from autotune.tuning_logs.records import DeviceInfo, Record, Run, Task, Workload
from autotune.tuning_logs.summary import statistics, stored_after, summarize, summarize_runs, workload_key

PROTOCOL = "1"
HEADER = "Autotune-Protocol"  # in every request and every answer, with the version
HELLO = "/v1"
RECORDS = "/v1/records"
ASK = "/v1/ask"
MOST_BYTES = 32 * 2**20  # of a request
MOST_ROWS = 10_000  # that a question may name

QUESTIONS = ("best", "count", "find", "last_trial", "near", "records", "rounds", "run", "tasks", "top")
"""The methods of ``TuningDatabase`` that answer something."""

REPORTS = {one.__name__: one for one in (statistics, stored_after, summarize, summarize_runs, workload_key)}
"""The functions that ``TuningDatabase.report`` takes."""

Runs = Callable[[str], Run | None]


def is_loopback(host: str) -> bool:
    """Whether a host, given by name or address, is this machine for certain."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


class Writer:
    """Collects the lines of one message. ``runs`` gives the runs of the records that it tells of."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self._encoder = Encoder()
        self._lines = [as_line((FORMAT, VERSION))]

    def message(self, kind: str, value: Any, task: Task | None = None) -> bytes:
        """The message whose last line is ``kind``; ``task`` is that of records that come without theirs."""
        last = as_line((kind, self._refer(value, task)))
        return "".join([*self._lines, last]).encode()

    def _refer(self, value: Any, task: Task | None) -> Any:
        match value:
            case Task():
                return self._said("task", value.key, self._encoder.task(value))
            case Workload():
                return self._said("workload", value.key, self._encoder.workload(value))
            case DeviceInfo():
                return self._said("device", value.key, self._encoder.device(value))
            case Run():
                return self._said("run", value.run_id, self._encoder.run(value))
            case Record():
                run = self._runs(value.run_id)
                assert task is not None and run is not None
                return self._said("record", value.trial, self._encoder.record(value, task, run))
            case Accept():
                return {"accept": asdict(value)}
            case Neighbour():
                parts = value.distance, self._refer(value.record, value.task), self._refer(value.task, None)
                return {"neighbour": parts}
            case (Record() as record, Task() as its):
                return {"pair": [self._refer(record, its), self._refer(its, None)]}
            case list():
                return [self._refer(item, task) for item in value]
            case dict():
                return {"members": {name: self._refer(item, task) for name, item in value.items()}}
        return value

    def _said(self, kind: str, key: str, entries: Iterable[Entry]) -> dict[str, str]:
        self._lines += map(as_line, entries)
        return {kind: key}


def read_message(content: bytes, kind: str) -> Any:
    """What the last line of a message means, with all that it refers to.

    Raises UsageError, UnreadableError or one of ``lines.UNREADABLE`` for what makes no sense.
    """
    *before, last = content.splitlines()
    decoder, records = Decoder(), dict[str, Record]()
    for line in before:
        found = decoder.take(parse(line))
        if found is not None:
            records[found[0].trial] = found[0]
    name, value = parse(last)
    if name != kind:
        raise UsageError(f"its last line is no {kind}")
    return _resolve(value, decoder, records)


def _resolve(value: Any, decoder: Decoder, records: Mapping[str, Record]) -> Any:
    if isinstance(value, list):
        return [_resolve(item, decoder, records) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "members":
        return {name: _resolve(item, decoder, records) for name, item in inner.items()}
    if kind == "accept":
        return made(Accept, inner)
    if kind == "pair":
        record, task = _resolve(inner, decoder, records)
        return record, task
    if kind == "neighbour":
        return Neighbour(*_resolve(inner, decoder, records))
    return records[inner] if kind == "record" else decoder.refer(kind, inner)


def answer(database: Database, question: str, content: bytes) -> bytes:
    """The answer to a question's message.

    Raises as ``read_message``, and DatabaseError where the database cannot be read.
    """
    asked: Callable[..., Any] | None = REPORTS.get(question)
    if asked is None and question in QUESTIONS:
        asked = getattr(Database, question)
    if asked is None:
        raise UsageError(f"unknown question {question!r}; known: {', '.join([*QUESTIONS, *REPORTS])}")
    arguments = read_message(content, "question")
    _check(question, asked, arguments)
    found = asked(database, **arguments)
    return Writer(database.run).message("answer", found, arguments.get("task"))


def _check(question: str, asked: Callable[..., Any], arguments: Any) -> None:
    hints = get_type_hints(asked)
    for name, value in dict(arguments).items():
        if name not in hints or name == "return" or not isinstance(value, hints[name]):
            raise UsageError(f"{question} cannot be asked with {name}={value!r:.50}")
        if isinstance(value, int) and not 0 <= value <= MOST_ROWS:
            raise UsageError(f"{name} is {value}, and must be at most {MOST_ROWS} and not below 0")


def error_text(sentence: str) -> str:
    """The body of an answer that is a refusal."""
    return json.dumps({"error": sentence})
