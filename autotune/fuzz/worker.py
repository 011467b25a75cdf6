"""A checking process: ``python -m autotune.fuzz.worker``, which compiled code may crash.

A message is {definition, schedule, domains, target, check} and is answered by {kind, message}.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from autotune.fuzz.check import Outcome, check_compiled, check_interpreted
from autotune.measure.child import enter
from autotune.measure.process import Failure, WorkerProcess
from autotune.rpc.channel import ChannelClosed
from autotune.schedules.schedule import Schedule
from autotune.targets.facts import TARGETS
from autotune.tensor_expr import Workload
from autotune.tensor_expr.serialize import from_json, to_json

SECONDS = 60.0
MEMORY_BYTES = 4 << 30
CHECKS = {"interpreted": check_interpreted, "compiled": check_compiled}


class Worker:
    """A process that checks schedules; it starts again after a crash."""

    def __init__(self) -> None:
        self._process = WorkerProcess("autotune.fuzz.worker", memory_bytes=MEMORY_BYTES)

    def check(self, check: str, workload: Workload, schedule: Schedule, target: str) -> Outcome:
        """One of ``CHECKS``; a worker that dies is an outcome of the kind ``crash``, ``timeout`` or ``memory``."""
        request = {
            "definition": to_json(workload.output), "schedule": schedule.to_json(), "target": target, "check": check,
            "domains": {name: list(domain) for name, domain in workload.domains.items()},
        }  # fmt: skip
        answer = self._process.request(request, timeout=SECONDS)
        if isinstance(answer, Failure):
            return Outcome(answer.kind, answer.message)
        return Outcome(answer.header["kind"], answer.header["message"])

    def close(self) -> None:
        self._process.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def answer(request: Mapping[str, Any]) -> Outcome:
    """What a request asks for."""
    output = from_json(request["definition"])
    workload = Workload(output, domains={name: tuple(domain) for name, domain in request["domains"].items()})
    schedule = Schedule.from_json(output, request["schedule"])
    return CHECKS[request["check"]](workload, schedule, TARGETS[request["target"]])


def main() -> None:
    """Serve requests until the driver is gone."""
    channel, _ = enter(argparse.ArgumentParser())
    channel.send({"kind": "ready"})
    while True:
        try:
            request, _ = channel.receive()
        except ChannelClosed:
            return
        outcome = answer(request)
        channel.send({"kind": outcome.kind, "message": outcome.message})


if __name__ == "__main__":
    main()
