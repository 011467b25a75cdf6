"""Runs docs/tutorial.md: writes what its blocks print and how fast its schedules are, beside NumPy on one thread.

``python docs/tutorial.py`` does both, in some two minutes; ``--no-speeds`` only writes what is printed. All contenders
take turns, so that a drifting clock treats them alike; a figure is the median over the rounds.
"""

from __future__ import annotations

import os

if __name__ == "__main__":  # read when NumPy is loaded, just below
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import contextlib
import io
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import printed

import autotune as at
from autotune.targets.host import host_device, native_target

PAGE = Path(__file__).with_name("tutorial.md")
_STEP = re.compile(r"^## (?P<title>\d+\. .*)$", re.MULTILINE)
_SPEEDS = re.compile(r"(?<=<!-- speeds -->\n).*(?=<!-- end of speeds -->)", re.DOTALL)
_SAMPLE_SECONDS, _SLOW_SECONDS, _SLOW_ROUNDS = 0.05, 0.5, 3


def schedules(page: str) -> dict[str, at.Schedule]:
    """The schedule that each numbered section arrives at, by the section's title."""
    start, *sections = _STEP.split(page)
    names: dict[str, object] = {}
    found: dict[str, at.Schedule] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        _execute(start, names)
        for title, text in zip(sections[::2], sections[1::2], strict=True):
            _execute(text, names)
            schedule = names["schedule"]
            assert isinstance(schedule, at.Schedule)
            found[title] = schedule
    return found


def _execute(text: str, names: dict[str, object]) -> None:
    for code in printed.code_of(text):
        exec(code, names)


def threads_of(schedule: at.Schedule) -> int:
    """All usable cores for a parallel schedule, else 1."""
    parallel = any(step.name == "parallel" for step in schedule.steps)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if parallel else 1


def contenders(steps: dict[str, at.Schedule]) -> dict[str, Callable[[], object]]:
    """NumPy and a kernel for every step, each checked against NumPy."""
    shapes = [tensor.shape for tensor in next(iter(steps.values())).output.inputs]
    generator = np.random.default_rng(0)
    inputs = [generator.random(shape, np.float32) - 0.5 for shape in shapes]
    expected, out = inputs[0] @ inputs[1], np.empty(next(iter(steps.values())).output.shape, np.float32)
    found: dict[str, Callable[[], object]] = {"NumPy": lambda: np.matmul(*inputs, out=out)}
    for title, schedule in steps.items():
        kernel = at.build(schedule, threads=threads_of(schedule))
        np.testing.assert_allclose(kernel(*inputs), expected, rtol=1e-3, atol=1e-3)
        found[title] = lambda kernel=kernel: kernel(*inputs, out=out)  # type: ignore[misc]
    return found


def measure(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each, in interleaved rounds; what takes longer than half a second runs in three of them."""
    first = {name: _seconds(run, 1) for name, run in runs.items()}
    samples: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds):
        for name in runs if turn % 2 == 0 else reversed(runs):
            if first[name] < _SLOW_SECONDS or turn < _SLOW_ROUNDS:
                samples[name].append(_seconds(runs[name], max(1, round(_SAMPLE_SECONDS / first[name]))))
    return {name: statistics.median(taken) for name, taken in samples.items()}


def _seconds(run: Callable[[], object], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - began) / count


def speeds(page: str, rounds: int) -> str:
    """The table of speeds in Markdown."""
    steps = schedules(page)
    output = next(iter(steps.values())).output
    seconds = measure(contenders(steps), rounds)
    rows, columns = output.shape
    flops = 2 * rows * columns * output.reduce_axes[0].extent
    lines = ["| step | threads | GFLOP/s | of NumPy |", "| --- | --- | --- | --- |"]
    for name in (*steps, "NumPy"):
        threads = threads_of(steps[name]) if name in steps else 1
        share = seconds["NumPy"] / seconds[name]
        lines.append(f"| {name} | {threads} | {flops / seconds[name] / 1e9:.1f} | {share:.1%} |")
    machine = (
        f"{host_device().name}, {native_target().name}, NumPy {np.__version__}, Python {platform.python_version()}"
    )
    return "\n".join([*lines, "", f"Medians of {rounds} interleaved rounds on {machine}.", ""])


@click.command()
@click.option("--rounds", default=15, show_default=True)
@click.option("--speeds/--no-speeds", "timed", default=True, help="Measure, or leave the table as it is.")
def main(rounds: int, timed: bool) -> None:
    """Write the page anew and print its table."""
    page = PAGE.read_text()
    with tempfile.TemporaryDirectory() as scratch:
        page = printed.with_printed(page, printed.run(page, Path(scratch)))
    if timed:
        table = speeds(page, rounds)
        page = _SPEEDS.sub(lambda _: table, page)
        print(table)
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
