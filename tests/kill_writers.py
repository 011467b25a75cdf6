"""Kills writers of one database at random instants and counts: ``python tests/kill_writers.py FILE KILLS SEED``.

Four writers at a time are forked from this process, which has no threads. A writer names each record in its pipe right
after ``add`` returned; in turn one is killed and another one started. What was named must be in the file.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from autotune.tuning_logs import Database, DeviceInfo, Record, Run, TargetInfo, Task, Workload

WRITERS = 4
TASK = Task(Workload("w"), TargetInfo("t", "t"), DeviceInfo("d", "d"), 1, "llvm", 1)


@dataclass
class Writer:
    name: str
    process: int
    pipe: int


def start(path: Path, name: str) -> Writer:
    reading, writing = os.pipe()
    process = os.fork()
    if process:
        os.close(writing)
        return Writer(name, process, reading)
    with Database.open(path) as database:
        database.start_run(Run(run_id=name, seed=0, package_version="", llvm_version=""), TASK)
        number = 0
        while True:
            records = [record(name, number), record(name, number + 1)] if number % 3 == 0 else [record(name, number)]
            database.add_all([(one, TASK) for one in records])
            for one in records:
                os.write(writing, f"{one.trial}\n".encode())
            number += len(records)


def record(name: str, number: int) -> Record:
    return Record(
        trial=f"{name}-{number}", run_id=name, sketch=f"sketch {number % 7}" * 50, knobs={"tile": number}, seed=0,
        seconds=1e-3, samples=[1e-3] * 5, verified=True, message="x" * (number % 900),
    )  # fmt: skip


def kill(writer: Writer) -> list[str]:
    """The trials that it had acknowledged."""
    os.kill(writer.process, signal.SIGKILL)
    os.waitpid(writer.process, 0)
    with os.fdopen(writer.pipe) as named:
        return [line[:-1] for line in named.read().splitlines(keepends=True) if line.endswith("\n")]


def main(path: Path, kills: int, seed: int) -> dict[str, int]:
    draw = random.Random(seed)
    acknowledged: list[str] = []
    writers = [start(path, f"w{number}") for number in range(WRITERS)]
    for number in range(kills):
        time.sleep(draw.uniform(0, 0.03))
        acknowledged += kill(writers.pop(draw.randrange(len(writers))))
        writers.append(start(path, f"w{WRITERS + number}"))
    for writer in writers:
        acknowledged += kill(writer)
    with Database.open(path) as database:
        stored = {one.trial for one in database.records(TASK)}
        (integrity,) = database.query("PRAGMA integrity_check")
    return {
        "kills": kills + len(writers), "acknowledged": len(acknowledged), "stored": len(stored),
        "lost": len(set(acknowledged) - stored), "sound": int(integrity["integrity_check"] == "ok"),
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
