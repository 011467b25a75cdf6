"""The lines of a tuning log: what each says, and what it stands for. ``interchange`` documents the format."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from autotune.errors import AutotuneError, UsageError
from autotune.tuning_logs import rows
from autotune.tuning_logs.records import DeviceInfo, Forecast, Host, Record, Run, TargetInfo, Task, Workload, text_key

FORMAT = "autotune tuning log"
VERSION = 1

Entry = tuple[str, Any]
"""What a line's one member is called, and its value."""

UNREADABLE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RecursionError,
    OverflowError,
)  # what a line can make Python raise


class UnreadableError(AutotuneError):
    """The whole log is of no use, whether or not single lines may be left out."""


class Encoder:
    """Says of each record what no line has said yet, and then the record."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def is_new(self, kind: str, key: str) -> bool:
        """Whether a line must say it; the answer counts as said."""
        said = (kind, key) in self._told
        self._told.add((kind, key))
        return not said

    def workload(self, workload: Workload) -> Iterator[Entry]:
        if self.is_new("workload", workload.key):
            yield (
                "workload",
                {"operator": workload.operator, "params": dict(workload.params), "text": workload.text},
            )

    def device(self, device: DeviceInfo) -> Iterator[Entry]:
        if self.is_new("device", device.key):
            yield "device", {"name": device.name, "text": device.text, "facts": dict(device.facts)}

    def task(self, task: Task) -> Iterator[Entry]:
        if not self.is_new("task", task.key):
            return
        yield from self.workload(task.workload)
        if self.is_new("target", task.target.key):
            yield "target", {"name": task.target.name, "text": task.target.text}
        yield from self.device(task.device)
        yield (
            "task",
            {
                "workload": task.workload.key, "target": task.target.key, "device": task.device.key,
                "threads": task.threads, "toolchain": task.toolchain, "space_version": task.space_version,
            },
        )  # fmt: skip

    def run(self, run: Run) -> Iterator[Entry]:
        if self.is_new("run", run.run_id):
            yield run_entry(run)

    def sketch(self, text: str) -> Iterator[Entry]:
        if self.is_new("sketch", text_key(text)):
            yield "sketch", text

    def round(self, forecast: Forecast, run: Run) -> Iterator[Entry]:
        yield from self.run(run)
        yield round_entry(forecast)

    def record(self, record: Record, task: Task, run: Run) -> Iterator[Entry]:
        if self.is_new("record", record.trial):
            yield from self.task(task)
            yield from self.run(run)
            yield from self.sketch(record.sketch)
            plain = {name: getattr(record, name) for name in rows.PLAIN}
            yield (
                "record",
                record_entry(
                    plain, dict(record.knobs), list(record.samples), task.key, run.run_id, text_key(record.sketch)
                ),
            )


def run_entry(run: Run) -> Entry:
    return "run", {**asdict(run), "options": dict(run.options), "provenance": dict(run.provenance)}


def round_entry(forecast: Forecast) -> Entry:
    return "round", {"run": forecast.run_id, "batch": forecast.batch, "figures": dict(forecast.figures)}


def record_entry(
    plain: Mapping[str, Any], knobs: Mapping[str, int], samples: list[float], task: str, run: str, sketch: str
) -> dict[str, Any]:
    """What a record's line says; ``plain`` has at least ``rows.PLAIN``, the last three are keys."""
    data = {name: plain[name] for name in rows.PLAIN if plain[name] is not None}
    if data.get("max_error") == math.inf:
        data["max_error"] = "inf"  # JSON has no infinity
    return {
        **data, "verified": bool(plain["verified"]), "knobs": knobs, "samples": samples,
        "task": task, "run": run, "sketch": sketch,
    }  # fmt: skip


def as_line(entry: Entry) -> str:
    """The line, with its end."""
    kind, data = entry
    return json.dumps({kind: data}, separators=(",", ":"), allow_nan=False) + "\n"


def parse(line: str | bytes) -> Entry:
    """What a line says; ValueError and UsageError for what is no line."""
    data = json.loads(line, parse_constant=_refuse_constant)
    if not isinstance(data, dict) or len(data) != 1:
        raise UsageError("it is no JSON object with one member")
    return next(iter(data.items()))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number in JSON")


class Decoder:
    """Remembers what lines define, and gives their records; ``rounds`` collects what they say of batches."""

    def __init__(self) -> None:
        self.rounds: list[tuple[Forecast, Run]] = []
        self._begun = False
        self._known: dict[tuple[str, str], Any] = {}

    def take(self, entry: Entry) -> tuple[Record, Task, Run] | None:
        """The record, with its task and run, where the line is one.

        Raises UnreadableError for a log that cannot be read at all, and UsageError or one of ``UNREADABLE`` for a line
        that makes no sense; ``reason`` says why.
        """
        kind, data = entry
        if kind == FORMAT:
            self._begin(data)
            return None
        if not self._begun:
            raise UnreadableError(f"it does not begin with {json.dumps({FORMAT: VERSION})}")
        if kind == "record":
            return self._record(dict(data))
        if kind == "round":
            self.rounds.append(self._round(dict(data)))
            return None
        key, thing = self._made(kind, data)
        self._known[kind, key] = thing
        return None

    def refer(self, kind: str, key: str) -> Any:
        """What an earlier line defined."""
        if (kind, key) not in self._known:
            raise UsageError(f"it refers to {kind} {key!r}, which no line before it defines")
        return self._known[kind, key]

    def _begin(self, version: Any) -> None:
        if version != VERSION:
            raise UnreadableError(f"its format is version {version!r}, and this autotune knows version {VERSION}")
        self._begun = True

    def _made(self, kind: str, data: Any) -> tuple[str, Any]:
        if kind == "sketch":
            if not isinstance(data, str):
                raise UsageError("a sketch is a text")
            return text_key(data), data
        if kind == "run":
            run = made(Run, {**data, "host": made(Host, data["host"])})
            return run.run_id, run
        if kind == "task":
            parts = {part: self.refer(part, data[part]) for part in ("workload", "target", "device")}
            task = made(Task, data | parts)
            return task.key, task
        if kind not in _PARTS:
            raise UsageError(f"{kind!r} is nothing that a tuning log holds")
        part = made(_PARTS[kind], data)
        return part.key, part

    def _round(self, data: dict[str, Any]) -> tuple[Forecast, Run]:
        run: Run = self.refer("run", data.pop("run"))
        return made(Forecast, data | {"run_id": run.run_id}), run

    def _record(self, data: dict[str, Any]) -> tuple[Record, Task, Run]:
        task: Task = self.refer("task", data.pop("task"))
        run: Run = self.refer("run", data.pop("run"))
        sketch: str = self.refer("sketch", data.pop("sketch"))
        if "max_error" in data:
            data["max_error"] = float(data["max_error"])
        return made(Record, data | {"run_id": run.run_id, "sketch": sketch}), task, run


_PARTS: Mapping[str, Any] = {"workload": Workload, "target": TargetInfo, "device": DeviceInfo}

# What JSON must hold for a field, by the field's type; the constructors check the rest.
_KINDS: Mapping[str, tuple[type, ...]] = {
    "str": (str,), "int": (int,), "bool": (bool,), "Mapping": (dict,), "Sequence": (list,), "float": (int, float),
}  # fmt: skip

T = TypeVar("T")


def made(cls: type[T], data: Mapping[str, Any]) -> T:
    """An object of a class from the members of a JSON object."""
    for name, kind in cls.__annotations__.items():
        allowed = _KINDS.get(kind.removesuffix(" | None").partition("[")[0])
        if name not in data or allowed is None:
            continue
        value = data[name]
        if value is None and kind.endswith(" | None"):
            continue
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            raise UsageError(f"its {name} is {value!r:.50}, which is no {allowed[-1].__name__}")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise UsageError(f"its {name} is {value}, which is more than 64 bits hold")
        if isinstance(value, str):
            value.encode()  # raises for half of a character, which JSON can write
    return cls(**data)


def reason(error: Exception) -> str:
    """Why a line makes no sense."""
    if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)):
        return f"it is no JSON ({error})"
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]!r}"
    if isinstance(error, TypeError):  # members that are missing, or unknown
        return f"its members make no sense ({str(error).partition('__init__() ')[2] or error})"
    text = " ".join(str(error).split())
    return text if len(text) < 300 else f"{text[:297]}..."
