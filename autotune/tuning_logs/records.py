"""What is measured, as data: a task (what a resume is keyed by), a run (who measured) and a record (one trial).

Workloads, targets and devices arrive as canonical text; their keys are its SHA-256, equal on every platform.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from operator import index
from typing import Any

from autotune.errors import UsageError

PHASES = ("trial", "final")
_DURATIONS = ("build_seconds", "measure_seconds")  # which may be zero
_TIMES = ("seconds", "ci_low", "ci_high", "probe", "baseline_seconds", *_DURATIONS)
_UTC_LENGTH = len("2026-01-31T12:00:00.000000+00:00")
EVIDENCE = ("measured", "emulated", "modelled")  # the most trustworthy first; figures of two kinds are never compared


def text_key(text: str) -> str:
    """The SHA-256 of a canonical text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def utc_now() -> str:
    """The time in UTC, in ISO 8601."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


def in_utc(time: str) -> str:
    """An ISO 8601 time as ``utc_now`` writes it, so that times compare as texts; one without a zone is UTC's.

    Raises UsageError for what is no such time.
    """
    if len(time) == _UTC_LENGTH and time.endswith("+00:00"):
        return time
    try:
        parsed = datetime.fromisoformat(f"{time[:-1]}+00:00" if time.endswith("Z") else time)
        placed = parsed.astimezone(timezone.utc) if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{time!r} is no time in ISO 8601, such as 2026-01-31T12:00:00+00:00") from error
    return placed.isoformat(timespec="microseconds")


@dataclass(frozen=True, slots=True)
class Workload:
    """An operator with its shapes and dtypes. ``operator`` and ``params`` only describe: the text is the identity."""

    text: str
    operator: str = field(default="", compare=False)
    params: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def key(self) -> str:
        return text_key(self.text)


@dataclass(frozen=True, slots=True)
class TargetInfo:
    """What code is generated for; the text holds all that the generated code depends on."""

    name: str = field(compare=False)
    text: str

    @property
    def key(self) -> str:
        return text_key(self.text)


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """What a trial runs on. The text must not change between runs (no clocks); the database keeps the first facts."""

    name: str = field(compare=False)
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def key(self) -> str:
        return text_key(self.text)


@dataclass(frozen=True, slots=True)
class Task:
    """A workload on a target, device and thread count, with a toolchain and a version of the search space.

    Trials of equal tasks count together. ``space_version`` is kept as text.
    """

    workload: Workload
    target: TargetInfo
    device: DeviceInfo
    threads: int
    toolchain: str
    space_version: int | str

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise UsageError(f"a task runs on at least 1 thread, not {self.threads}")
        object.__setattr__(self, "space_version", str(self.space_version))

    @property
    def key(self) -> str:
        """The SHA-256 of all that trials must share to count together."""
        return text_key(
            "\n".join(
                (
                    self.workload.key, self.target.key, self.device.key, str(self.threads), self.toolchain,
                    str(self.space_version),
                )
            )
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Host:
    """The machine that ran a tuner: a ``fingerprint`` that names nobody, its CPU, that CPU's features, its system.

    It is not the device where trials ran elsewhere: on a board, in an emulator.
    """

    fingerprint: str
    cpu: str = ""
    cpu_flags: str = ""
    system: str = ""

    @property
    def key(self) -> str:
        """The SHA-256 of all four."""
        return text_key("\n".join((self.fingerprint, self.cpu, self.cpu_flags, self.system)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One invocation of the tuner: what was asked (``options``) and by which software on which machine.

    ``compiler_flags`` are what the code generator was told, ``driver`` is what stands between the code and the device
    (an operating system's kernel, an OpenCL driver), ``clock`` is what took the times.
    """

    run_id: str
    seed: int
    package_version: str
    llvm_version: str
    command: str = ""
    compiler_flags: str = ""
    driver: str = ""
    clock: str = ""
    host: Host = Host("")
    options: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    started: str = field(default_factory=utc_now)


@dataclass(frozen=True, slots=True)
class Forecast:
    """How well a run's cost model foretold one of its batches: figures by name, None for what is not known.

    Raises UsageError for what is no figure.
    """

    run_id: str
    batch: int
    figures: Mapping[str, float | None]

    def __post_init__(self) -> None:
        for name, value in self.figures.items():
            if value is not None and not (isinstance(value, (int, float)) and -math.inf < value < math.inf):
                raise UsageError(
                    f"batch {self.batch} of run {self.run_id!r}: {name} must be a number, not {value!r:.50}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One trial, or one finalist's measurement head-to-head with the others of its run.

    ``sketch`` is the schedule's steps as JSON text, ``status`` is ``ok`` or the kind of error. Times are in seconds
    (``seconds`` is the median of ``samples``, ``ci_low`` to ``ci_high`` its confidence interval), ``probe`` is what
    the interleaved peak probe reached in GFLOP/s, ``baseline_seconds`` what the interleaved baseline kernel took.
    ``max_error`` is infinite where the output holds a NaN.

    Raises UsageError for a time that no clock can show, and for fields that contradict each other.
    """

    trial: str
    run_id: str
    sketch: str
    knobs: Mapping[str, int]
    seed: int
    batch: int = 0
    phase: str = "trial"
    status: str = "ok"
    message: str = ""
    samples: Sequence[float] = ()
    seconds: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    probe: float | None = None
    baseline_seconds: float | None = None
    verified: bool = False
    max_error: float | None = None
    build_seconds: float = 0.0
    measure_seconds: float = 0.0
    evidence: str = "measured"
    created: str = field(default_factory=utc_now)

    def __post_init__(self) -> None:
        # Plain Python numbers: neither JSON nor SQLite takes NumPy's. What is plain stays, since lookups are frequent.
        put = object.__setattr__
        put(self, "knobs", {name: index(value) for name, value in self.knobs.items()})
        put(self, "samples", tuple(map(float, self.samples)))
        put(self, "verified", bool(self.verified))
        put(self, "created", in_utc(self.created))
        if not self.message.isascii():  # what a crashed worker printed need not be text
            put(self, "message", self.message.encode(errors="replace").decode())
        for name in ("seed", "batch"):
            if type(getattr(self, name)) is not int:
                put(self, name, int(getattr(self, name)))
        for name in _TIMES:
            value = getattr(self, name)
            if value is not None and not (type(value) is float and 0.0 < value < math.inf):
                put(self, name, 0.0 if value == 0 and name in _DURATIONS else self._positive(name, value))
        if not all(0.0 < sample < math.inf for sample in self.samples):
            self._positive("samples", next(sample for sample in self.samples if not 0.0 < sample < math.inf))
        if self.max_error is not None:
            put(self, "max_error", math.inf if math.isnan(self.max_error) else float(self.max_error))
        self._check()

    def _positive(self, name: str, value: float) -> float:
        if not (math.isfinite(value) and value > 0):
            raise UsageError(f"trial {self.trial}: {name} must be positive and finite, not {value}")
        return float(value)

    def _check(self) -> None:
        if self.phase not in PHASES:
            raise UsageError(f"trial {self.trial}: phase must be one of {', '.join(PHASES)}, not {self.phase!r}")
        if self.evidence not in EVIDENCE:
            raise UsageError(
                f"trial {self.trial}: evidence must be one of {', '.join(EVIDENCE)}, not {self.evidence!r}"
            )
        if self.status == "ok" and self.seconds is None:
            raise UsageError(f"trial {self.trial}: status is ok, but there is no time")
        if (self.ci_low is None) != (self.ci_high is None):
            raise UsageError(f"trial {self.trial}: a confidence interval needs both of its ends")
        if self.ci_low is not None and self.ci_high is not None and self.ci_low > self.ci_high:
            raise UsageError(f"trial {self.trial}: the confidence interval {self.ci_low} to {self.ci_high} is empty")
