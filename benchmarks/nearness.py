"""Is a near record worth more than the analytic model's choice? ``python benchmarks/nearness.py [--trials N]``.

Some shapes are tuned. For other shapes, which no trial was spent on, the kernel that the lookup builds from the nearest
record runs in turns with the one of the analytic model's first choice. Above 1 the near one is the faster.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

import autotune
from autotune.search.lookup import find_schedule
from autotune.targets.callable import Kernel
from autotune.targets.host import native_target
from autotune.targets.llvm.build import build
from autotune.tensor_expr.operators import get_operator
from autotune.tuning_logs import Database

Shape = Mapping[str, int]
ROUNDS, ROUND_SECONDS = 15, 0.02


def image(channels: int, size: int, kernel: int = 3, outputs: int = 0) -> Shape:
    padding = f"{kernel // 2}"
    return {
        "in_channels": channels, "out_channels": outputs or channels, "height": size, "width": size,
        "kernel": kernel, "padding": padding,
    }  # fmt: skip


def product(m: int, n: int, k: int) -> Shape:
    return {"m": m, "n": n, "k": k}


TUNED: Sequence[tuple[str, Shape]] = (
    ("conv2d", image(64, 56)), ("conv2d", image(128, 28)), ("conv2d", image(256, 14)), ("conv2d", image(64, 56, 1)),
    ("matmul", product(512, 512, 512)), ("matmul", product(128, 768, 768)),
)  # fmt: skip
ASKED: Sequence[tuple[str, Shape]] = (
    ("conv2d", image(48, 56)), ("conv2d", image(96, 28)), ("conv2d", image(128, 30)), ("conv2d", image(192, 14)),
    ("conv2d", image(256, 13)), ("conv2d", image(64, 56, 1, 128)), ("matmul", product(384, 512, 512)),
    ("matmul", product(500, 500, 500)), ("matmul", product(100, 768, 768)), ("matmul", product(128, 1000, 768)),
    # farther away
    ("conv2d", image(32, 56)), ("conv2d", image(64, 112)), ("conv2d", image(128, 56)), ("conv2d", image(256, 28)),
    ("conv2d", image(256, 56, 1, 64)), ("matmul", product(256, 256, 256)), ("matmul", product(1000, 1000, 500)),
    ("matmul", product(32, 768, 768)), ("matmul", product(128, 3072, 768)), ("matmul", product(16, 768, 3072)),
)  # fmt: skip


def alternately(kernels: Sequence[Kernel], arrays: Sequence[np.ndarray]) -> list[float]:
    """The median over the rounds of each kernel's seconds, as a ratio to the first one's in the same round."""
    seconds: list[list[float]] = [[] for _ in kernels]
    for _ in range(ROUNDS):
        for kernel, found in zip(kernels, seconds, strict=True):
            best, end = float("inf"), time.perf_counter() + ROUND_SECONDS
            while time.perf_counter() < end:
                start = time.perf_counter()
                kernel(*arrays)
                best = min(best, time.perf_counter() - start)
            found.append(best)
    first = seconds[0]
    return [statistics.median(mine / base for mine, base in zip(found, first, strict=True)) for found in seconds]


def compare(operator: str, shape: Shape, database: Database) -> dict[str, object]:
    workload, target = get_operator(operator)(**shape), native_target()
    near = find_schedule(workload, target, 1, database)
    analytic = find_schedule(workload, target, 1)
    kernels = [Kernel(build(found.schedule, target)) for found in (near, analytic)]
    _, ratio = alternately(kernels, list(workload.random_inputs(0).values()))
    served = near.task.workload.text if near.task else ""
    return {
        "workload": workload.text, "served": near.source, "from": served, "distance": near.distance,
        "analytic_over_near": ratio,
    }  # fmt: skip


@click.command()
@click.option("--trials", type=click.IntRange(1), default=60, show_default=True, help="For each shape that is tuned.")
@click.option("--db", "path", type=click.Path(path_type=Path), help="Keep the database here, and go on from it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def main(trials: int, path: Path | None, as_json: bool) -> None:
    """Tune six shapes, and print for twenty others how much faster the near kernel is than the analytic one."""
    with tempfile.TemporaryDirectory() as folder:
        file = path or Path(folder) / "tuning.db"
        for operator, shape in TUNED:
            autotune.tune(operator, trials=trials, database=file, **shape)
        with Database.open(file, readonly=True) as database:
            rows = [compare(operator, shape, database) for operator, shape in ASKED]
    ratios = [float(str(row["analytic_over_near"])) for row in rows]
    mean = statistics.geometric_mean(ratios)
    if as_json:
        print(json.dumps({"trials": trials, "rows": rows, "geometric_mean": mean}))
        return
    table = Table("asked", "served", "distance", "analytic / near")
    for (operator, shape), row, ratio in zip(ASKED, rows, ratios, strict=True):
        asked = f"{operator} {' '.join(map(str, shape.values()))}"
        table.add_row(asked, str(row["served"]), f"{row['distance']:.2f}", f"{ratio:.2f}")
    Console().print(table)
    print(f"geometric mean {mean:.2f}; the near one is the faster in {sum(r > 1 for r in ratios)} of {len(ratios)}")


if __name__ == "__main__":
    main()
