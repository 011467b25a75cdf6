"""The tuning database at work: ``python benchmarks/database.py [--records N]... [--json]``.

A file is filled with made-up records of 100 trials a workload, six sketches each of the size that the library's own
have. Then the same records in the layout of TVM MetaSchedule's JSON database (a line for each record with its whole
trace, all read before the first question), read by Python's json: TVM itself is not needed, and is not measured.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from autotune.tuning_logs import Database, DeviceInfo, Record, Run, TargetInfo, Task, Workload

TRIALS, SKETCHES, SAMPLES, SKETCH_BYTES = 100, 6, 10, 2_400
BATCH = 1_000
QUERIES = 1_000
TARGET = TargetInfo("x86_avx512", "x86_64-unknown-linux-gnu cpu=generic vector=64 features=avx512f,fma")
DEVICE = DeviceInfo("cpu", "cpu model x; cores=2", {"cores": 2, "features": [f"feature{n}" for n in range(80)]})
FIGURES = {
    "insert_per_second": "batches inserted, records/s",
    "open_ms": "opening, ms",
    "exact_us": "exact best, us (median)",
    "exact_p99_us": "exact best, us (99%)",
    "nearest_ms": "nearest 8 workloads, ms (median)",
    "nearest_p99_ms": "nearest 8 workloads, ms (99%)",
    "file_mb": "file, MB",
    "peak_mb": "memory of the process that asks, MB",
    "json_load_ms": "JSON layout: opening, ms",
    "json_exact_us": "JSON layout: exact best, us (median)",
    "json_file_mb": "JSON layout: files, MB",
    "json_peak_mb": "JSON layout: memory of the process that asks, MB",
}


def workloads(count: int) -> list[Workload]:
    """Distinct convolutions, three quarters of them in one family."""
    draw, found = random.Random(0), dict[str, Workload]()
    while len(found) < count:
        size = draw.choice((7, 8, 14, 16, 28, 32, 56, 64, 112))
        params = {
            "batch": draw.choice((1, 1, 1, 8)), "in_channels": 8 * draw.randint(1, 128),
            "out_channels": 8 * draw.randint(1, 128), "height": size, "width": size,
            "kernel": draw.choice(("1,1", "3,3", "5,5")), "stride": draw.choice(("1,1", "2,2")), "padding": "1,1,1,1",
            "dtype": draw.choice(("float32", "float32", "float32", "float16")),
        }  # fmt: skip
        text = f"conv2d({', '.join(f'{name}={value}' for name, value in sorted(params.items()))})"
        found[text] = Workload(text, "conv2d", params)
    return list(found.values())


def sketches(workload: Workload) -> list[str]:
    """Schedules of a realistic size, different for every workload as the choices of their knobs are."""
    draw = random.Random(workload.text)
    made = []
    for number in range(SKETCHES):
        steps: list[Any] = []
        while len(json.dumps(steps)) < SKETCH_BYTES:
            choices = sorted(draw.sample(range(1, 512), 12))
            steps.append(["split", {"axis": f"i{len(steps)}", "factors": [{"choices": choices, "knob": f"k{number}"}]}])
        made.append(json.dumps({"steps": steps, "version": 1}, separators=(",", ":")))
    return made


def records(count: int) -> Iterator[tuple[Record, Task]]:
    """The records, a workload's after each other: 94 trials, of which some fail, and six finalists."""
    draw = random.Random(1)
    for workload in workloads(-(-count // TRIALS)):
        task = Task(workload, TARGET, DEVICE, 1, "autotune 0.1.0, LLVM 20", 1)
        known = sketches(workload)
        base = draw.uniform(1e-5, 1e-2)
        for number in range(TRIALS):
            final, works = number >= TRIALS - 6, number % 11 != 5
            seconds = base * draw.uniform(1, 10) if works or final else None
            yield Record(
                trial=f"{workload.key[:32]}-{'final' if final else 'trial'}-0-{number}", run_id="run",
                sketch=known[number % SKETCHES], knobs={f"axis.{k}": draw.randint(1, 64) for k in range(6)}, seed=0,
                phase="final" if final else "trial", status="ok" if seconds else "crash",
                message="" if seconds else "the worker died: signal 11",
                samples=[seconds * draw.uniform(0.98, 1.02) for _ in range(SAMPLES)] if seconds else [],
                seconds=seconds, ci_low=seconds and seconds * 0.99, ci_high=seconds and seconds * 1.01, probe=230.0,
                verified=seconds is not None, max_error=1e-6 if seconds else None, build_seconds=0.02,
                measure_seconds=0.1, created="2026-01-01T00:00:00.000000+00:00",
            ), task  # fmt: skip


def fill(path: Path, count: int) -> float:
    """Makes the database; records per second of the insertion alone, in batches."""
    spent, batch = 0.0, list[tuple[Record, Task]]()
    with Database.open(path) as database:
        source = records(count)
        first = next(source)
        database.start_run(Run(run_id="run", seed=0, package_version="0.1.0", llvm_version="20"), first[1])
        batch.append(first)
        for one in source:
            batch.append(one)
            if len(batch) == BATCH:
                spent += timed(database.add_all, batch)
                batch = []
        spent += timed(database.add_all, batch)
    return count / spent


def timed(work: Callable[..., Any], *arguments: Any) -> float:
    start = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - start


def ask(path: Path, count: int) -> dict[str, float]:
    """What questions cost in a process of their own."""
    asked = workloads(-(-count // TRIALS))
    random.Random(2).shuffle(asked)
    opening = statistics.median(timed(lambda: Database.open(path, readonly=True).close()) for _ in range(20))
    with Database.open(path, readonly=True) as database:

        def best(workload: Workload) -> object:
            return database.best(workload.key, TARGET.key, DEVICE.key, 1)

        def nearest(workload: Workload) -> object:
            return database.nearest(workload, target_key=TARGET.key)

        exact = [timed(best, workload) for workload in cycled(asked, QUERIES + 100)][100:]
        near = [timed(nearest, moved(workload)) for workload in cycled(asked, QUERIES // 5)]
    return {
        "open_ms": opening * 1e3,
        "exact_us": statistics.median(exact) * 1e6, "exact_p99_us": quantile(exact) * 1e6,
        "nearest_ms": statistics.median(near) * 1e3, "nearest_p99_ms": quantile(near) * 1e3,
        "peak_mb": peak_mb(),
    }  # fmt: skip


def cycled(items: Sequence[Any], count: int) -> list[Any]:
    return [items[number % len(items)] for number in range(count)]


def moved(workload: Workload) -> Workload:
    """A workload that nobody tuned: its channels are odd."""
    params = {**workload.params, "in_channels": int(workload.params["in_channels"]) + 3}
    return Workload(f"moved {workload.text}", "conv2d", params)


def quantile(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def peak_mb() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1e6 if sys.platform == "darwin" else 1e3)


def fill_json(folder: Path, count: int) -> None:
    """MetaSchedule's two files: workloads, and a line for each working record with its trace, times and target."""
    numbers: dict[str, int] = {}
    with open(folder / "workload.json", "w") as names, open(folder / "tuning_record.json", "w") as log:
        for record, task in records(count):
            text = task.workload.text
            if text not in numbers:
                numbers[text] = len(numbers)
                names.write(json.dumps([task.workload.key, text]) + "\n")
            if record.status == "ok":
                trace = [json.loads(record.sketch)["steps"], list(record.knobs.items())]
                log.write(json.dumps([numbers[text], [trace, list(record.samples), TARGET.text, []]]) + "\n")


def ask_json(folder: Path, count: int) -> dict[str, float]:
    """Reads the two files, keeps each workload's records by time, and asks for the best."""
    start = time.perf_counter()
    names: dict[str, int] = {}
    for line in (folder / "workload.json").open():
        key, _ = json.loads(line)
        names[key] = len(names)
    found: dict[int, list[Any]] = {number: [] for number in names.values()}
    for line in (folder / "tuning_record.json").open():
        number, record = json.loads(line)
        found[number].append((statistics.fmean(record[1]), len(found[number]), record))
    for entries in found.values():
        entries.sort()
    load = time.perf_counter() - start
    asked = cycled(workloads(-(-count // TRIALS)), QUERIES)
    exact = [timed(lambda key: found[names[key]][0], workload.key) for workload in asked]
    return {
        "json_load_ms": load * 1e3, "json_exact_us": statistics.median(exact) * 1e6, "json_peak_mb": peak_mb()
    }  # fmt: skip


def measure(count: int, folder: Path) -> dict[str, float]:
    """All figures for so many records."""
    path = folder / "tuning.db"
    figures = {"insert_per_second": fill(path, count)}
    with multiprocessing.get_context("spawn").Pool(1) as alone:
        figures |= alone.apply(ask, (path, count))
    figures["file_mb"] = path.stat().st_size / 1e6
    os.unlink(path)
    fill_json(folder, count)
    with multiprocessing.get_context("spawn").Pool(1) as alone:
        figures |= alone.apply(ask_json, (folder, count))
    figures["json_file_mb"] = sum(file.stat().st_size for file in folder.glob("*.json")) / 1e6
    return figures


def write(path: Path, name: str, seconds: float) -> tuple[int, float]:
    """Adds single records for so long: how many, and the longest that one took."""
    one, task = next(records(TRIALS))
    count, longest, end = 0, 0.0, time.perf_counter() + seconds
    with Database.open(path) as database:
        database.start_run(Run(run_id=name, seed=0, package_version="0.1.0", llvm_version="20"), task)
        while time.perf_counter() < end:
            longest = max(longest, timed(database.add, replace(one, trial=f"{name}-{count}", run_id=name), task))
            count += 1
    return count, longest


def write_at_once(path: Path, writers: int, seconds: float) -> dict[str, float]:
    """Several processes add single records to one file; an error in any of them is raised here."""
    with multiprocessing.get_context("spawn").Pool(writers) as pool:
        done = pool.starmap(write, [(path, f"writer{number}", seconds) for number in range(writers)], chunksize=1)
    with Database.open(path, readonly=True) as database:
        stored = database.count()
    added = sum(count for count, _ in done)
    return {
        "writers": writers, "seconds": seconds, "added": added, "lost": added - stored,
        "per_second": added / seconds, "longest_wait_ms": max(longest for _, longest in done) * 1e3,
    }  # fmt: skip


@click.command()
@click.option("--writers", type=click.IntRange(0), default=0, help="Processes that write one file at once; 0 for none.")
@click.option("--seconds", type=click.FloatRange(0), default=60.0, show_default=True, help="How long they write.")
@click.option("--records", "counts", type=click.IntRange(TRIALS), multiple=True, default=(10_000, 100_000))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def main(counts: Sequence[int], writers: int, seconds: float, as_json: bool) -> None:
    """Print the figures for each number of records; 1000000 takes some minutes, and 3 GB of disk and memory."""
    results: dict[int, dict[str, float]] = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            results[count] = measure(count, Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        together = write_at_once(Path(folder) / "tuning.db", writers, seconds) if writers else None
    if as_json:
        print(json.dumps({"trials_per_workload": TRIALS, "batch": BATCH, "figures": results, "writers": together}))
        return
    table = Table("", *(f"{count:,} records" for count in counts))
    for name, title in FIGURES.items():
        table.add_row(title, *(f"{results[count][name]:,.1f}" for count in counts))
    if counts:
        Console().print(table)
    if together:
        print(", ".join(f"{name}: {value:,.0f}" for name, value in together.items()))


if __name__ == "__main__":
    main()
