"""The tuning database at work, beside TVM MetaSchedule's: ``python benchmarks/database.py [--tvm-python PYTHON]``.

A file is filled with made-up records of 100 trials a workload, six sketches each of the size that the library's own
have, and asked by a process of its own. MetaSchedule's JSON database holds the same records with traces of its own. It
replays every trace when it is opened, which takes minutes for 100,000 records: above ``--tvm-records`` its figures are
those of the largest count that was measured, in proportion, and marked with a ~.

``--writers`` processes then add single records to one file for ``--seconds``.
"""

from __future__ import annotations

import json
import multiprocessing
import random
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import groupby
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
# What is printed, and the bar for it with a million records.
FIGURES = {
    "insert_per_second": ("batches inserted, records/s", "> 20,000"),
    "insert_per_cpu_second": ("the same by the processor's time", ""),
    "bare_per_second": ("bare SQLite, rows of as many bytes, rows/s", ""),
    "open_ms": ("opening, ms", "< 50"),
    "exact_us": ("exact best, us (median)", "< 100"),
    "exact_p99_us": ("exact best, us (99%)", ""),
    "nearest_ms": ("nearest 8 workloads, ms (median)", "< 5"),
    "nearest_p99_ms": ("nearest 8 workloads, ms (99%)", ""),
    "file_mb": ("file, MB", "< 2,000"),
    "peak_mb": ("memory of the process that asks, MB", ""),
}
TVM_FIGURES = {
    "open_ms": "MetaSchedule: opening, ms",
    "exact_us": "MetaSchedule: best of a workload, us (median)",
    "file_mb": "MetaSchedule: files, MB",
    "peak_mb": "MetaSchedule: memory of the process that asks, MB",
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


def fill(path: Path, count: int) -> dict[str, float]:
    """Makes the database; records per second of the insertion alone, in batches."""
    spent, used, batch = 0.0, 0.0, list[tuple[Record, Task]]()

    def store() -> None:
        nonlocal spent, used
        start, begun = time.perf_counter(), time.process_time()
        database.add_all(batch)
        spent, used = spent + time.perf_counter() - start, used + time.process_time() - begun
        batch.clear()

    with Database.open(path) as database:
        source = records(count)
        first = next(source)
        database.start_run(Run(run_id="run", seed=0, package_version="0.1.0", llvm_version="20"), first[1])
        batch.append(first)
        for one in source:
            batch.append(one)
            if len(batch) == BATCH:
                store()
        store()
    return {"insert_per_second": count / spent, "insert_per_cpu_second": count / used}


def fill_bare(path: Path, rows: int = 20_000, row_bytes: int = 600) -> float:
    """Rows per second of plain SQLite: what of the insertion is the machine's doing, and the hour's."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; CREATE TABLE t (k UNIQUE, v)")
        batch = [[f"{number:>040}", "x" * (row_bytes - 40)] for number in range(rows)]
        start = time.perf_counter()
        for first in range(0, rows, BATCH):
            raw.execute("BEGIN")
            raw.executemany("INSERT INTO t VALUES (?, ?)", batch[first : first + BATCH])
            raw.execute("COMMIT")
        return rows / (time.perf_counter() - start)


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


def measure(count: int, folder: Path) -> dict[str, float]:
    """All figures for so many records."""
    path = folder / "tuning.db"
    figures = fill(path, count) | {"bare_per_second": fill_bare(folder / "bare.db")}
    with multiprocessing.get_context("spawn").Pool(1) as alone:
        figures |= alone.apply(ask, (path, count))
    return figures | {"file_mb": path.stat().st_size / 1e6}


def measure_tvm(count: int, folder: Path, python: str) -> dict[str, float]:
    """The figures of MetaSchedule's database for the same records."""
    with (folder / "records.jsonl").open("w") as lines:
        for _, group in groupby(records(count), key=lambda one: one[1]):
            found = list(group)
            samples = [record.samples for record, _ in found if record.status == "ok"]
            lines.write(json.dumps({"params": found[0][1].workload.params, "samples": samples}) + "\n")
    script = [python, str(Path(__file__).with_name("metaschedule_database.py"))]
    subprocess.run([*script, "make", str(folder)], check=True)
    asked = subprocess.run([*script, "ask", str(folder)], check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(asked.stdout))


def in_proportion(figures: Mapping[str, float], factor: float) -> dict[str, float]:
    """MetaSchedule's figures for so many times the records; a question costs no more."""
    empty = figures["empty_mb"]
    return {
        **figures,
        "open_ms": figures["open_ms"] * factor, "file_mb": figures["file_mb"] * factor,
        "peak_mb": empty + (figures["peak_mb"] - empty) * factor,
    }  # fmt: skip


def compare_tvm(counts: Sequence[int], limit: int, python: str) -> dict[int, dict[str, float]]:
    """MetaSchedule's figures: up to the limit measured, above it in proportion to the most that was measured."""
    found: dict[int, dict[str, float]] = {}
    for count in sorted({min(count, limit) for count in counts}):
        with tempfile.TemporaryDirectory() as folder:
            found[count] = measure_tvm(count, Path(folder), python)
    largest = max(found)
    return {count: found.get(count) or in_proportion(found[largest], count / largest) for count in counts}


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
@click.option("--records", "counts", type=click.IntRange(TRIALS), multiple=True, default=(10_000, 100_000, 1_000_000))
@click.option("--writers", type=click.IntRange(0), default=8, help="Processes that write one file at once; 0 for none.")
@click.option("--seconds", type=click.FloatRange(0), default=60.0, show_default=True, help="How long they write.")
@click.option("--tvm-python", default="/work/tvm/bin/python", help="An interpreter that has TVM 0.27.")
@click.option("--tvm-records", type=click.IntRange(TRIALS), default=10_000, help="The most that TVM is measured with.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def main(counts: Sequence[int], writers: int, seconds: float, tvm_python: str, tvm_records: int, as_json: bool) -> None:
    """Print the figures for each number of records; 1000000 takes some minutes, and 1 GB of disk."""
    results: dict[int, dict[str, float]] = {}
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            results[count] = measure(count, Path(folder))
    tvm = compare_tvm(counts, tvm_records, tvm_python) if shutil.which(tvm_python) else None
    with tempfile.TemporaryDirectory() as folder:
        together = write_at_once(Path(folder) / "tuning.db", writers, seconds) if writers else None
    if as_json:
        measured = {"figures": results, "metaschedule": tvm, "metaschedule_measured_up_to": tvm_records}
        print(json.dumps({"trials_per_workload": TRIALS, "batch": BATCH, **measured, "writers": together}))
        return
    table = Table("", *(f"{count:,} records" for count in counts), "bar at 1,000,000")
    for name, (title, bar) in FIGURES.items():
        table.add_row(title, *(f"{results[count][name]:,.1f}" for count in counts), bar)
    for name, title in TVM_FIGURES.items() if tvm else ():
        marks = ("~" if count > tvm_records else "" for count in counts)
        table.add_row(title, *(f"{mark}{tvm[count][name]:,.1f}" for mark, count in zip(marks, counts, strict=True)))
    Console().print(table)
    if not tvm:
        print(f"TVM was not measured: there is no interpreter {tvm_python}; --tvm-python names one")
    if together:
        print(", ".join(f"{name}: {value:,.0f}" for name, value in together.items()))


if __name__ == "__main__":
    main()
