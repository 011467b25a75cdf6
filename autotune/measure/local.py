"""Measuring on this machine, in a worker process that candidates may kill."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import asdict
from multiprocessing.connection import Connection

from autotune.errors import AutotuneError
from autotune.measure.process import Failure, Reply, WorkerProcess, wait_any
from autotune.measure.results import MeasureOptions, MeasureResult, MeasureTask, result_from_reply
from autotune.targets.artifact import KernelObject


class LocalMeasurer:
    """Measures one task's candidates on this machine, on the given cores, one at a time.

    ``submit`` and ``poll`` never wait for a kernel, so that building can go on meanwhile; ``measure`` and ``compare``
    do. What goes wrong with a candidate is a result; AutotuneError is raised only where nothing can be measured.
    """

    def __init__(self, task: MeasureTask, options: MeasureOptions | None = None, *, cores: Sequence[int] = ()) -> None:
        self._task, self._options = task, options or MeasureOptions()
        # The worker maps every array from its file and copies it; a constant is copied once more as it is packed.
        arrays = sum(math.prod(p.shape) * p.element.itemsize for p in task.parameters)
        memory = self._options.memory_bytes + 4 * arrays
        self._worker = WorkerProcess("autotune.measure.worker", cpus=cores, memory_bytes=memory)
        self._queue: deque[tuple[Hashable, KernelObject, float]] = deque()
        self._began = 0.0
        self._served = 0  # requests since the worker started

    @property
    def deadline(self) -> float | None:
        """When to poll although no connection became readable, on time.monotonic's clock."""
        return self._worker.deadline

    @property
    def pending(self) -> int:
        """Candidates that are queued or being measured."""
        return len(self._queue)

    def connections(self) -> list[Connection]:
        """What to wait on between polls."""
        return self._worker.connections()

    def start(self) -> None:
        """Start the worker now, so that it is ready when the first candidate comes."""
        self._prepare()
        self._served = 0

    def submit(self, ident: Hashable, kernel: KernelObject, best_ratio: float = math.inf) -> None:
        """Queue a candidate; ``best_ratio`` is the time to beat in baselines, which lets hopeless ones stop early."""
        self._queue.append((ident, kernel, best_ratio))
        if len(self._queue) == 1:
            self._send_next()

    def poll(self) -> list[tuple[Hashable, MeasureResult]]:
        """The results since the last call. Never waits."""
        results = []
        while self._queue and (outcome := self._worker.poll()) is not None:
            if isinstance(outcome, Failure) and outcome.kind == "crash" and self._served > 1:
                # An earlier candidate may have broken the worker's memory: a fresh one shows whose fault it was.
                self._send_next()
                continue
            ident, _, _ = self._queue.popleft()
            results.append((ident, self._results(outcome)[0]))
            if self._queue:
                self._send_next()
        return results

    def measure(self, kernel: KernelObject, best_ratio: float = math.inf) -> MeasureResult:
        """Measure one candidate and wait for its result. Nothing else may be queued."""
        assert not self._queue, "measure waits for one candidate; poll the queued ones first"
        self.submit(None, kernel, best_ratio)
        while not (results := self.poll()):
            wait_any([self])
        return results[0][1]

    def compare(self, kernels: Sequence[KernelObject], rounds: int = 20) -> list[MeasureResult]:
        """Measure kernels head to head: interleaved rounds, one sample of each a round, so that a drifting clock
        hits all alike. A kernel that kills the worker or cannot be loaded fails the whole comparison."""
        assert not self._queue, "compare waits; poll the queued candidates first"
        self._prepare()
        self._began = time.monotonic()
        headers = [kernel.header() for kernel in kernels]
        outcome = self._worker.request(
            {"kind": "compare", "kernels": headers, "rounds": rounds}, *(kernel.code for kernel in kernels),
            timeout=self._options.timeout_seconds * (len(kernels) + 1),
        )  # fmt: skip
        results = self._results(outcome)
        return results if len(results) == len(kernels) else results * len(kernels)

    def close(self) -> None:
        """End the worker; what is queued is given up."""
        self._queue.clear()
        self._worker.close()

    def __enter__(self) -> LocalMeasurer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _send_next(self) -> None:
        _, kernel, best = self._queue[0]
        self._prepare()
        self._began = time.monotonic()
        # JSON has no infinity: no best time yet is none.
        header = {"kind": "measure", "kernel": kernel.header(), "best_ratio": best if math.isfinite(best) else None}
        self._worker.submit(header, kernel.code, timeout=self._options.timeout_seconds)

    def _prepare(self) -> None:
        """Tell a freshly started worker what it measures."""
        self._served += 1
        if not self._worker.start():
            return
        self._served = 1
        task = self._task
        probe, memory = task.instruments.probe, task.instruments.memory
        header = {
            "kind": "prepare", "parameters": [parameter.to_json() for parameter in task.parameters],
            "directory": str(task.directory.absolute()), "tolerances": task.tolerances, "flops": task.flops,
            "threads": task.threads, "floor": task.floor, "options": asdict(self._options),
            "alternatives": {name: asdict(bar) for name, bar in task.alternatives.items()},
            "probe": {"flops_per_iteration": probe.flops_per_iteration, "data_bytes": probe.data_bytes},
        }  # fmt: skip
        blobs = [task.instruments.timer, task.instruments.flush, probe.code]
        if memory is not None:
            header["memory"] = {"read": memory.read, "written": memory.written, "scale": memory.scale}
            blobs.append(memory.code)
        self._worker.send(header, *blobs)

    def _results(self, outcome: Reply | Failure) -> list[MeasureResult]:
        """The results of a request: one, or one for each kernel of a comparison."""
        seconds = time.monotonic() - self._began
        if isinstance(outcome, Failure):
            return [MeasureResult(outcome.kind, outcome.message, measure_seconds=seconds)]
        reports = outcome.header.get("reports", [outcome.header])
        for report in reports:
            if report["status"] == "unprepared":
                raise AutotuneError(f"the measuring worker cannot measure: {report['message']}")
            if report.get("tainted"):  # what wrote elsewhere may have broken what the next one is measured with
                self._worker.close()
        return [result_from_reply(report, seconds) for report in reports]
