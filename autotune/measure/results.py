"""What is measured, how, and what comes of it: plain data that any measurer, local or remote, takes and gives."""

from __future__ import annotations

import errno
import math
import statistics
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from autotune.errors import AutotuneError
from autotune.targets.artifact import KernelObject, Parameter
from autotune.targets.instruments import Instruments


@dataclass(frozen=True, slots=True)
class Bar:
    """What kernels of one definition must meet.

    ``tolerances`` are, for each output, the largest absolute error over the largest absolute value of its reference.
    ``flops`` is what a kernel must at least do; a time that would need more than the probe's peak for it is an error
    (0: no such check).
    """

    flops: int
    tolerances: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class MeasureTask:
    """What all candidates of one search have in common.

    ``directory`` holds the inputs and the references as ``write_arrays`` leaves them. ``tolerances`` and ``flops`` are
    the ``Bar`` of the operator's own definition, ``alternatives`` those of its other algorithms by name.
    """

    parameters: tuple[Parameter, ...]
    directory: Path
    tolerances: tuple[float, ...]
    flops: int
    instruments: Instruments
    threads: int = 1
    alternatives: Mapping[str, Bar] = field(default_factory=dict)
    floor: float = 1.0


@dataclass(frozen=True, slots=True)
class MeasureOptions:
    """How long to measure; all times in seconds.

    A sample runs the kernel as often as ``min_sample_seconds`` needs. Samples are taken from ``min_samples`` to
    ``max_samples``, until their confidence interval lies above the best time so far or is no wider than ``spread`` of
    their median, or ``max_seconds`` are over; only one is taken of a kernel slower than ``race_factor`` times the best.
    A candidate may take ``timeout_seconds`` in all, and ``memory_bytes`` beyond what the task's arrays need. ``cache``
    is ``warm``, or ``cold``: then a sample is one run, before which the kernel's memory is flushed from all caches.
    """

    min_sample_seconds: float = 1e-3
    min_samples: int = 3
    max_samples: int = 10
    spread: float = 0.02
    max_seconds: float = 1.0
    race_factor: float = 1.5
    timeout_seconds: float = 10.0
    memory_bytes: int = 2 << 30
    cache: str = "warm"


@dataclass(frozen=True, slots=True)
class MeasureResult:
    """One trial. ``status`` is ``ok``, or what went wrong, which ``message`` says in a sentence: ``wrong-result``,
    ``above-peak``, ``load-error``, ``crash``, ``timeout`` or ``memory``.

    ``samples`` are seconds per run, ``seconds`` their median within the 95% interval ``ci_low`` to ``ci_high``,
    ``probe`` the peak that one core reached beside them in FLOP/s, ``baseline`` the seconds that the baseline took
    beside them, which no kernel can be faster than, ``max_error`` relative to the reference's largest
    value. ``verified`` says that the output was compared and is right. ``parts`` splits ``measure_seconds``, the time
    that the trial took as a whole.
    """

    status: str
    message: str = ""
    samples: tuple[float, ...] = ()
    seconds: float = math.inf
    ci_low: float = math.inf
    ci_high: float = math.inf
    probe: float = math.nan
    baseline: float = math.nan
    verified: bool = False
    max_error: float = math.nan
    measure_seconds: float = 0.0
    parts: Mapping[str, float] = field(default_factory=dict)


class Measurer(Protocol):
    """Anything that measures: this machine, an emulated device, a rack of boards."""

    @property
    def deadline(self) -> float | None:
        """When to poll although no connection became readable, on time.monotonic's clock."""

    def connections(self) -> list[Connection]:
        """What to wait on between polls."""

    def start(self) -> None:
        """Get ready now, so that the first candidate need not wait. What was closed starts anew."""

    def submit(self, ident: Hashable, kernel: KernelObject, best_ratio: float = math.inf) -> None:
        """Queue a candidate; ``best_ratio`` is the time to beat, as a multiple of the baseline's."""

    def poll(self) -> list[tuple[Hashable, MeasureResult]]:
        """The results since the last call. Never waits."""

    def compare(self, kernels: Sequence[KernelObject], rounds: int) -> list[MeasureResult]:
        """Measure kernels head to head in interleaved rounds; waits for the results."""

    def close(self) -> None:
        """Stop measuring and end all processes."""


def result_from_reply(reply: Mapping[str, Any], seconds: float) -> MeasureResult:
    """A worker's report of one trial (see worker.py), and how long the trial took, as a result."""
    samples = tuple(reply.get("samples", ()))
    low, high = median_interval(samples)
    return MeasureResult(
        reply["status"], reply.get("message", ""), samples, statistics.median(samples) if samples else math.inf,
        low, high, reply.get("probe", math.nan), reply.get("baseline", math.nan),
        reply.get("verified", False), reply.get("max_error", math.nan),
        seconds, reply.get("parts", {}),
    )  # fmt: skip


def median_interval(samples: Sequence[float]) -> tuple[float, float]:
    """The samples that enclose the median with a confidence of 95%; the extremes where there are fewer than six."""
    if not samples:
        return math.inf, math.inf
    ordered, count = sorted(samples), len(samples)
    skip, tail = 0, 1  # tail: 2**count times the chance that the median lies below the sample `skip`
    while 40 * (tail + math.comb(count, skip + 1)) <= 2**count:
        skip += 1
        tail += math.comb(count, skip)
    return ordered[skip], ordered[count - 1 - skip]


def write_arrays(directory: Path, parameters: Sequence[Parameter], arrays: Sequence[np.ndarray]) -> None:
    """Write the inputs and, last, the reference outputs where a worker reads them."""
    for index, (parameter, array) in enumerate(zip(parameters, arrays, strict=True)):
        assert array.shape == parameter.shape and array.dtype == parameter.dtype, parameter
        path = directory / f"{index}.npy"
        try:
            np.save(path, array)
        except OSError as error:
            # NumPy tells how much was written, not why it was not all.
            full = error.errno in (None, errno.ENOSPC, errno.EDQUOT)
            reason = "disk full; TMPDIR may name a folder with more space" if full else error.strerror
            raise AutotuneError(f"{path} ({array.nbytes} bytes) cannot be written: {reason}") from error
