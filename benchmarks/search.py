"""The search against others: ``python benchmarks/search.py PART ...``, each part a command of its own.

throughput   candidates a second through features and cost model; trials a second; where the wall clock goes
quality      GFLOP/s after 64 and 200 trials and with none at all, beside TVM MetaSchedule's (``--tvm-python``)
efficiency   trials that reach 95% of the best of 1,000: XGBoost with the analytic prior against random search
strategies   best so far against trials and seconds, for every strategy: a plot

Every search starts from an empty database. Curves are fractions of the peak that was probed beside each trial, because
clocks drift; kernels of the two projects are timed in turns on one core. Medians over the seeds.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
from evaluation import spaces, speed
from rich.console import Console
from rich.table import Table

import autotune as at
from autotune.search.events import Listener, Progress, TuneResult
from autotune.search.strategies import strategies
from autotune.tensor_expr.operators import get_operator
from autotune.tuning_logs import Record

Params = dict[str, Any]
QUALITY: dict[str, Params] = {
    "matmul 1024^3": {"operator": "matmul", "m": 1024, "n": 1024, "k": 1024},
    "conv2d 64x56x56 1x1": {
        "operator": "conv2d", "in_channels": 64, "out_channels": 64, "height": 56, "width": 56, "kernel": 1
    },
    "conv2d 128x28x28 3x3": {
        "operator": "conv2d", "in_channels": 128, "out_channels": 128, "height": 28, "width": 28, "kernel": 3
    },
    "depthwise 144x56x56 3x3": {
        "operator": "conv2d", "in_channels": 144, "out_channels": 144, "groups": 144, "height": 56, "width": 56,
        "kernel": 3,
    },
}  # fmt: skip


def conv(channels: int, size: int, out: int, kernel: int, **more: Any) -> Params:
    """A convolution that keeps the image's size, but for its stride."""
    shape = {"in_channels": channels, "out_channels": out, "height": size, "width": size, "kernel": kernel}
    return {"operator": "conv2d", **shape, **more}


# None of these shapes was looked at while features and model were made.
UNSEEN: dict[str, Params] = {
    "conv2d 48x35x35 5x5": conv(48, 35, 64, 5),
    "conv2d 160x17x17 3x3": conv(160, 17, 192, 3),
    "conv2d 192x14x14 1x1": conv(192, 14, 832, 1),
    "conv2d 96x27x27 3x3/2": conv(96, 27, 128, 3, stride=2),
    "conv2d 24x75x75 3x3": conv(24, 75, 40, 3),
    "conv2d 832x7x7 1x1": conv(832, 7, 384, 1),
    "conv2d 67x31x31 3x3": conv(67, 31, 53, 3),
    "matmul 384x1536x384": {"operator": "matmul", "m": 384, "n": 1536, "k": 384},
    "matmul 197x768x768": {"operator": "matmul", "m": 197, "n": 768, "k": 768},
    "matmul 77x640x320": {"operator": "matmul", "m": 77, "n": 640, "k": 320},
    "matmul 640x333x901": {"operator": "matmul", "m": 640, "n": 333, "k": 901},
    "matmul 16x4096x1024": {"operator": "matmul", "m": 16, "n": 4096, "k": 1024, "constant_b": True},
}


def make(params: Params) -> at.Workload:
    """The workload of some parameters."""
    rest = dict(params)
    return get_operator(rest.pop("operator"))(**rest)


class Curve(Listener):
    """Every trial as it comes: seconds since the start, and the kernel's speed (FLOP/s over the probed peak)."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.points: list[tuple[float, float]] = []

    def on_trial(self, record: Record, progress: Progress) -> None:
        speed = 0.0
        if record.status == "ok" and record.seconds and record.probe:
            speed = progress.task.workload.flops / record.seconds / (record.probe * 1e9)
        self.points.append((time.monotonic() - self.began, speed))

    @property
    def best(self) -> np.ndarray:
        """The best speed after each trial."""
        return np.maximum.accumulate([speed for _, speed in self.points])


def search(
    workload: at.Workload, trials: int, seed: int, database: Path, strategy: str = "evolutionary",
    model: str = "xgboost",
) -> tuple[TuneResult, Curve]:  # fmt: skip
    """One search, and how it went."""
    curve = Curve()
    result = at.tune(
        workload, trials=trials, seed=seed, database=database, strategy=strategy, cost_model=model, listeners=[curve]
    )
    return result, curve


# -- throughput ------------------------------------------------------------------------------------------------------


def throughput(seeds: int, trials: int) -> dict[str, Any]:
    """Candidates a second on one core (CPU time), and a whole search of the default convolution."""
    workload = at.conv2d()
    speeds = {name: speed(make) for name, make in spaces().items()}
    row: dict[str, Any] = {
        "candidates_per_second": speeds["conv2d, all definitions"]["evaluated"], "speeds": speeds, "runs": []
    }  # fmt: skip
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "t.db")
            result, _ = search(workload, trials, seed, path)
            with at.Database.open(path) as database:
                builds = [r.build_seconds for r in database.records(result.task.key) if r.status == "ok"]
        spent = dict(result.time_spent)
        thinking = sum(spent.get(name, 0.0) for name in ("space", "resume", "propose", "learn"))
        row["runs"].append({
            "seed": seed, "trials_per_second": result.trials_per_second, "elapsed": result.elapsed,
            "build_ms": 1e3 * statistics.median(builds), "search_share": thinking / result.elapsed, "spent": spent,
        })  # fmt: skip
    for name in ("trials_per_second", "build_ms", "search_share"):
        row[name] = statistics.median(run[name] for run in row["runs"])
    return row


# -- quality ---------------------------------------------------------------------------------------------------------


class MetaSchedule:
    """TVM's search in a process of its own, which then times its best kernels when asked."""

    def __init__(self, python: str, params: Params, trials: int, seed: int) -> None:
        script = Path(__file__).with_name("metaschedule.py")
        self.process = subprocess.Popen(
            [python, str(script), json.dumps(params), str(trials), str(seed)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self.trials: list[dict[str, Any]] = []
        while "best" not in (line := self._read()):
            self.trials.append(line)
        self.elapsed = line["elapsed"]

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                found: dict[str, Any] = json.loads(line)
                return found
        raise click.ClickException("TVM's process ended; run benchmarks/metaschedule.py by itself to see why")

    def seconds(self) -> dict[str, float]:
        """The best kernels of 64 trials and of all, timed now."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._read()

    def elapsed_at(self, trials: int) -> float:
        """Seconds until that many trials were measured."""
        return next((t["elapsed"] for t in self.trials if t["trial"] >= trials), self.elapsed)

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


@contextmanager
def on_one_core() -> Iterator[None]:
    """This process, and what it asks for its time, on the last core only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def bound_kernel(workload: at.Workload, kernel: Any) -> Callable[[], Any]:
    """The kernel with its constants packed, as a function of no arguments."""
    inputs = workload.random_inputs(1)
    bound = kernel.bind(**{t.name: inputs[t.name] for t in workload.placeholders if t.constant})
    arguments = [inputs[name] for name in bound.inputs]
    out = bound(*arguments)
    return lambda: bound(*arguments, out=out)


def timed(run: Callable[[], Any]) -> float:
    """Seconds of one run, the median of five groups of 20 ms."""
    run()
    began = time.perf_counter()
    run()
    number = max(1, int(0.02 / max(time.perf_counter() - began, 1e-7)))
    groups = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(number):
            run()
        groups.append((time.perf_counter() - began) / number)
    return statistics.median(groups)


def quality(name: str, params: Params, seed: int, tvm_python: str | None, rounds: int = 7) -> dict[str, Any]:
    """One workload with one seed: zero, 64 and 200 trials of ours beside 64 and 200 of TVM's."""
    workload = make(params)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.db")
        with at.Database.open(path) as empty:
            kernels = {"zero": at.build(workload, database=empty)}
        elapsed, began = {"zero": 0.0}, time.monotonic()
        for trials in (64, 200):
            result, _ = search(workload, trials, seed, path)
            kernels[str(trials)], elapsed[str(trials)] = result.build(), time.monotonic() - began
    ours = {label: bound_kernel(workload, kernel) for label, kernel in kernels.items()}
    peer = MetaSchedule(tvm_python, params, 200, seed) if tvm_python else None
    times: dict[str, list[float]] = {}
    with on_one_core():
        if peer is not None:
            os.sched_setaffinity(peer.process.pid, os.sched_getaffinity(0))
        for _ in range(rounds):
            for label, run in ours.items():
                times.setdefault(label, []).append(timed(run))
            for label, seconds in (peer.seconds() if peer else {}).items():
                times.setdefault("tvm " + {"64": "64", "all": "200"}[label], []).append(seconds)
    if peer is not None:
        elapsed |= {"tvm 64": peer.elapsed_at(64), "tvm 200": peer.elapsed}
        peer.close()
    gflops = {label: workload.flops / statistics.median(values) / 1e9 for label, values in times.items()}
    row: dict[str, Any] = {"workload": name, "seed": seed, "gflops": gflops, "elapsed": elapsed}
    row["zero_ratio"] = gflops["zero"] / gflops["200"]
    for trials in ("64", "200"):
        if f"tvm {trials}" in gflops:
            row[f"ratio_{trials}"] = gflops[trials] / gflops[f"tvm {trials}"]
            row[f"sooner_{trials}"] = elapsed[f"tvm {trials}"] / elapsed[trials]
    return row


# -- efficiency and strategies ---------------------------------------------------------------------------------------


def reaches(curve: np.ndarray, goal: float, most: int) -> int:
    """The number of trials after which the best is at the goal; ``most`` where it never is."""
    there = np.flatnonzero(curve >= goal)
    return int(there[0]) + 1 if len(there) else most


def efficiency(name: str, params: Params, seed: int, trials: int) -> dict[str, Any]:
    """Trials that XGBoost and random search need for 95% of the best that XGBoost found with all of them."""
    curves = {}
    for strategy, model in (("evolutionary", "xgboost"), ("random", "random")):
        with tempfile.TemporaryDirectory() as folder:
            _, curve = search(make(params), trials, seed, Path(folder, "t.db"), strategy, model)
        curves[strategy] = curve.best
    goal = 0.95 * float(curves["evolutionary"][-1])
    needed = {strategy: reaches(best, goal, trials) for strategy, best in curves.items()}
    return {
        "workload": name, "seed": seed, **needed, "share": needed["evolutionary"] / needed["random"],
        "censored": bool(curves["random"][-1] < goal), "best": {s: float(best[-1]) for s, best in curves.items()},
    }  # fmt: skip


def plot_strategies(path: Path, curves: dict[str, list[Curve]], title: str) -> None:
    """Best so far (median over seeds) against trials and against seconds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (by_trial, by_second) = pyplot.subplots(1, 2, figsize=(12, 4.5), sharey=True)
    for name, runs in curves.items():
        count = min(len(run.points) for run in runs)
        best = np.median([run.best[:count] for run in runs], axis=0)
        seconds = np.median([[when for when, _ in run.points[:count]] for run in runs], axis=0)
        by_trial.plot(np.arange(1, count + 1), best, label=name)
        by_second.plot(seconds, best, label=name)
    by_trial.set(xlabel="trials", ylabel="best so far, fraction of the probed FMA peak", title=title)
    by_second.set(xlabel="seconds")
    by_trial.legend(fontsize=8)
    for axes in (by_trial, by_second):
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path)


# -- the command -----------------------------------------------------------------------------------------------------


def show(title: str, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """A table of some of the rows' figures."""
    table = Table(title=title)
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(f"{row[c]:.3g}" if isinstance(row.get(c), float) else str(row.get(c, "")) for c in columns))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def emit(as_json: bool, result: Any, title: str, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Everything as JSON, or the table."""
    if as_json:
        json.dump(result, sys.stdout, indent=1)
    else:
        show(title, rows, columns)


seeds_option = click.option("--seeds", default=3, show_default=True)
json_option = click.option("--json", "as_json", is_flag=True, help="JSON on stdout instead of a table")
only_option = click.option("--only", default="", help="workloads whose name contains this")


@click.group(help=__doc__, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """All parts."""


@main.command("throughput")
@seeds_option
@click.option("--trials", default=200, show_default=True)
@json_option
def throughput_command(seeds: int, trials: int, as_json: bool) -> None:
    """Candidates and trials a second."""
    row = throughput(seeds, trials)
    columns = ("candidates_per_second", "trials_per_second", "build_ms", "search_share")
    emit(as_json, row, "conv2d 128x28x28 3x3, one thread", [row], columns)


@main.command("quality")
@seeds_option
@only_option
@click.option("--tvm-python", type=click.Path(exists=True), help="the interpreter of an environment that has TVM")
@json_option
def quality_command(seeds: int, only: str, tvm_python: str | None, as_json: bool) -> None:
    """What is found, beside TVM MetaSchedule."""
    rows = [quality(n, p, seed, tvm_python) for n, p in QUALITY.items() if only in n for seed in range(seeds)]
    medians = []
    for name in dict.fromkeys(row["workload"] for row in rows):
        own = [row for row in rows if row["workload"] == name]
        median: dict[str, Any] = {"workload": name}
        for label in own[0]["gflops"]:
            median[label] = statistics.median(row["gflops"][label] for row in own)
        for figure in ("zero_ratio", "ratio_64", "ratio_200", "sooner_64", "sooner_200"):
            if figure in own[0]:
                median[figure] = statistics.median(row[figure] for row in own)
        medians.append(median)
    note = "" if tvm_python else " (TVM is not measured: --tvm-python names its interpreter)"
    title = f"GFLOP/s, one thread, medians of {seeds} seeds{note}"
    emit(as_json, {"medians": medians, "runs": rows}, title, medians, tuple(medians[0]))


@main.command("efficiency")
@seeds_option
@only_option
@click.option("--trials", default=1000, show_default=True)
@json_option
def efficiency_command(seeds: int, only: str, trials: int, as_json: bool) -> None:
    """Trials to 95% of the best, against random search."""
    rows = [efficiency(n, p, seed, trials) for n, p in UNSEEN.items() if only in n for seed in range(seeds)]
    columns = ("workload", "seed", "evolutionary", "random", "share", "censored")
    share = statistics.median(row["share"] for row in rows)
    emit(as_json, rows, f"trials to 95% of the best; median share {share:.2f}", rows, columns)


@main.command("strategies")
@seeds_option
@only_option
@click.option("--trials", default=200, show_default=True)
@click.option("--workload", "name", type=click.Choice([*QUALITY]), default="conv2d 64x56x56 1x1", show_default=True)
@click.option("--plot", "picture", type=click.Path(path_type=Path), required=True, help="an SVG or PNG file")
def strategies_command(seeds: int, only: str, trials: int, name: str, picture: Path) -> None:
    """Every strategy's curve."""
    curves: dict[str, list[Curve]] = {}
    for strategy in (s for s in strategies() if only in s):
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as folder:
                _, curve = search(make(QUALITY[name]), trials, seed, Path(folder, "t.db"), strategy)
            curves.setdefault(strategy, []).append(curve)
    plot_strategies(picture, curves, f"{name}, one thread, medians of {seeds} seeds")


if __name__ == "__main__":
    main()
