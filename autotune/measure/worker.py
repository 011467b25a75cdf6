"""The measuring process: ``python -m autotune.measure.worker``, started by LocalMeasurer.

It imports little, so that it starts fast after a candidate killed it. Messages (see rpc/channel.py):

- ``prepare`` {parameters, directory, tolerances, flops, alternatives, threads, floor, options, probe, memory} + timer,
  flush and probe objects, and the memory probe's where there is one. No reply.
- ``measure`` {kernel, best_ratio} + code: replies with one report {status, message, samples, ...}.
- ``compare`` {kernels, rounds} + their codes: replies with {reports}.
"""

from __future__ import annotations

import argparse
import math
from typing import Any

from autotune.errors import AutotuneError
from autotune.measure.bench import Bench
from autotune.measure.child import enter
from autotune.rpc.channel import ChannelClosed
from autotune.targets.artifact import KernelObject
from autotune.targets.instruments import Instruments, MemoryProbe, Probe


def main() -> None:
    """Serve requests until the driver is gone."""
    channel, _ = enter(argparse.ArgumentParser())
    channel.send({"kind": "ready"})
    worker = _Worker()
    while True:
        try:
            header, blobs = channel.receive()
        except ChannelClosed:
            return
        if header["kind"] == "prepare":
            worker.prepare(header, blobs)
            continue
        channel.send(worker.answer(header, blobs))


class _Worker:
    def __init__(self) -> None:
        self._bench: Bench | None = None
        self._problem = "it was not prepared"

    def prepare(self, header: dict[str, Any], blobs: list[bytes]) -> None:
        """Make ready for a task; what fails is told with the next request."""
        timer, flush, probe, *memory = blobs
        try:
            self._bench = None
            stream = MemoryProbe(memory[0], **header["memory"]) if memory else None
            self._bench = Bench(header, Instruments(timer, flush, Probe(probe, **header["probe"]), stream))
        except (AutotuneError, OSError, ValueError, MemoryError) as error:
            self._problem = f"it could not prepare: {type(error).__name__} {error}"

    def answer(self, header: dict[str, Any], blobs: list[bytes]) -> dict[str, Any]:
        """The reply to a request."""
        if self._bench is None:
            return {"status": "unprepared", "message": self._problem}
        try:
            if header["kind"] == "measure":
                kernel = KernelObject.from_header(header["kernel"], blobs[0])
                return self._bench.measure(kernel, header["best_ratio"] or math.inf)
            kernels = [KernelObject.from_header(*item) for item in zip(header["kernels"], blobs, strict=True)]
            return {"reports": self._bench.compare(kernels, header["rounds"])}
        except AutotuneError as error:
            return {"status": "load-error", "message": str(error)}
        except MemoryError as error:
            return {"status": "memory", "message": f"it needs more memory than it may have: {error}"}


if __name__ == "__main__":
    main()
