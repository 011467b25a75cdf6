"""A pool of building processes, so that building overlaps measuring and may fail without taking the driver down."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

from autotune.measure.process import Failure, WorkerProcess
from autotune.targets.artifact import KernelObject

_RECYCLE_BUILDS = 1000  # LLVM's context keeps every type and constant that it ever saw


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How many builders, on which cores (empty: any), and what one build may take in seconds and bytes."""

    workers: int = 1
    cores: tuple[int, ...] = ()
    timeout_seconds: float = 30.0
    memory_bytes: int = 4 << 30
    function: str = "autotune.targets.llvm.build:build_from_json"


@dataclass(frozen=True, slots=True)
class BuildResult:
    """One build. ``kernel`` is there where ``status`` is ``ok``; else ``status`` is ``build-error``, ``timeout`` or
    ``memory`` and ``message`` a sentence. ``seconds`` is the build's time, waiting for a free builder not counted."""

    ident: Hashable
    status: str
    message: str
    kernel: KernelObject | None
    seconds: float


@dataclass(slots=True)
class _Job:
    ident: Hashable
    request: dict[str, Any]
    again: bool = False  # its builder was killed, and this is the second attempt


class _Builder:
    def __init__(self, options: BuildOptions) -> None:
        self.process = WorkerProcess(
            "autotune.measure.builder", ("--function", options.function),
            cpus=options.cores, memory_bytes=options.memory_bytes,
        )  # fmt: skip
        self.job = _Job(None, {})
        self.began = 0.0
        self.builds = 0  # since the process started


class BuilderPool:
    """Builds requests (JSON objects that ``options.function`` understands) in processes of their own.

    Builders start with the first requests, or with ``start``. For one thread. Raises AutotuneError where a builder
    cannot even start.
    """

    def __init__(self, options: BuildOptions | None = None) -> None:
        self._options = options or BuildOptions()
        self._builders = [_Builder(self._options) for _ in range(self._options.workers)]
        self._queue: deque[_Job] = deque()

    @property
    def deadline(self) -> float | None:
        """When to poll although no connection became readable, on time.monotonic's clock."""
        moments = (builder.process.deadline for builder in self._builders)
        return min((moment for moment in moments if moment is not None), default=None)

    @property
    def pending(self) -> int:
        """Requests that are queued or being built."""
        return len(self._queue) + sum(builder.process.busy for builder in self._builders)

    def connections(self) -> list[Connection]:
        """What to wait on between polls."""
        return [connection for builder in self._builders for connection in builder.process.connections()]

    def start(self) -> None:
        """Start the builders now, so that they are ready when the first request comes."""
        for builder in self._builders:
            builder.process.start()

    def submit(self, ident: Hashable, request: dict[str, Any]) -> None:
        """Queue a build."""
        self._queue.append(_Job(ident, request))
        self._dispatch()

    def poll(self) -> list[BuildResult]:
        """The builds finished since the last call. Never waits."""
        results = []
        for builder in self._builders:
            outcome = builder.process.poll()
            if outcome is None:
                continue
            seconds = time.monotonic() - builder.began
            job = builder.job
            if isinstance(outcome, Failure) and outcome.killed and not job.again:
                # The system does that when memory runs short, whoever takes it, and so do people.
                self._queue.appendleft(replace(job, again=True))
            elif isinstance(outcome, Failure):
                status = "build-error" if outcome.kind == "crash" else outcome.kind
                results.append(BuildResult(job.ident, status, outcome.message, None, seconds))
            elif "kernel" in outcome.header:
                kernel = KernelObject.from_header(outcome.header["kernel"], outcome.blobs[0])
                results.append(BuildResult(job.ident, "ok", "", kernel, seconds))
            else:
                status, message = outcome.header["status"], outcome.header["message"]
                results.append(BuildResult(job.ident, status, message, None, seconds))
            if builder.builds >= _RECYCLE_BUILDS:
                builder.process.close()
                builder.builds = 0
        self._dispatch()
        return results

    def close(self) -> None:
        """End the builders; what is queued is given up."""
        self._queue.clear()
        for builder in self._builders:
            builder.process.close()

    def __enter__(self) -> BuilderPool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _dispatch(self) -> None:
        for builder in self._builders:
            if self._queue and not builder.process.busy:
                builder.job = self._queue.popleft()
                builder.began, builder.builds = time.monotonic(), builder.builds + 1
                builder.process.submit({"request": builder.job.request}, timeout=self._options.timeout_seconds)
