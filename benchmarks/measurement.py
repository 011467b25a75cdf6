"""How far a winner can be trusted on a machine that wobbles: ``python benchmarks/measurement.py``.

Each workload is tuned while another process takes the measuring core at random intervals. Afterwards every trial that
could have won (the fastest tenth) and the winner race head to head in long rounds: the winner's rank in that race, and
its ratio to the interleaved baseline beside the one that the search reported. Prints a table, or JSON.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from autotune.api import tuning_task
from autotune.measure.cores import plan_cores
from autotune.search.final import finalists
from autotune.search.options import TuneOptions
from autotune.search.tuner import Tuner
from autotune.search.workbench import open_workbench
from autotune.tuning_logs import Database

WORKLOADS: dict[str, tuple[str, dict[str, Any]]] = {
    "conv2d 128x28x28 3x3": ("conv2d", {}),
    "matmul 512": ("matmul", {"m": 512, "n": 512, "k": 512}),
    "softmax 1024x1024": ("softmax", {"shape": "1024,1024"}),
}


def disturb(core: int, share: float) -> None:
    """Takes a core for a share of the time, 1 to 60 ms at once."""
    os.sched_setaffinity(0, {core})
    while True:
        busy = 0.001 * 60 ** random.random()
        end = time.perf_counter() + busy
        while time.perf_counter() < end:
            pass
        time.sleep(busy * (1 - share) / share)


@contextmanager
def disturbed(share: float) -> Iterator[None]:
    """Something else runs on the measuring core for this share of the time; nothing does for 0."""
    if not share:
        yield
        return
    core = plan_cores(1).measuring[0]
    process = multiprocessing.get_context("spawn").Process(target=disturb, args=(core, share), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def check(
    operator: str, parameters: dict[str, Any], trials: int, share: float, rounds: int, seed: int
) -> dict[str, Any]:
    """The figures of one search."""
    task = tuning_task(operator, **parameters)
    with tempfile.TemporaryDirectory() as folder, Database.open(Path(folder) / "tuning.db") as database:
        options = TuneOptions(trials=trials, seed=seed)
        tuner = Tuner(task, database, options)
        with disturbed(share):
            result = tuner.run()
        records = tuner.tally.records
        rivals = finalists(task, records, max(8, len(records) // 10))
        texts = [one.schedule.text for one in rivals]
        schedules = [one.schedule for one in rivals]
        if result.schedule.text not in texts:
            schedules.append(result.schedule)
        place = texts.index(result.schedule.text) if result.schedule.text in texts else len(texts)
        with open_workbench(task, options) as bench:
            kernels = [kernel for kernel in bench.build(schedules) if kernel is not None]
            assert len(kernels) == len(schedules), "what worked once is built again"
            again = bench.measurer.compare(kernels, rounds)
    times = [measured.seconds for measured in again]
    faster = sum(seconds < 0.99 * times[place] for seconds in times)  # by more than the race can tell apart
    assert result.seconds is not None and result.limit_seconds is not None
    told, true = result.seconds / result.limit_seconds, times[place] / again[place].baseline
    return {
        "trials": len(records), "faster": faster, "share": faster / len(records), "loss": times[place] / min(times) - 1,
        "ratio": told, "again": true, "off": told / true - 1,
    }  # fmt: skip


@click.command()
@click.option("--trials", default=100)
@click.option("--share", default=0.3, help="of the measuring core's time that something else takes")
@click.option("--rounds", default=60)
@click.option("--seeds", default=3)
@click.option("--only", default="", help="workloads whose name contains this")
@click.option("--json", "as_json", is_flag=True)
def main(trials: int, share: float, rounds: int, seeds: int, only: str, as_json: bool) -> None:
    """Tune on a disturbed machine, and check the winners on one that is not."""
    rows = [
        dict[str, Any]({"workload": name, "seed": seed}) | check(operator, parameters, trials, share, rounds, seed)
        for name, (operator, parameters) in WORKLOADS.items()
        if only in name
        for seed in range(seeds)
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    click.echo("workload               seed  trials  faster  of tried  loss    ratio  again  off")
    for row in rows:
        click.echo(
            f"{row['workload']:<22} {row['seed']:>4}  {row['trials']:>6}  {row['faster']:>6}  {row['share']:>7.1%}"
            f"  {row['loss']:>5.1%}  {row['ratio']:>6.3f} {row['again']:>6.3f} {row['off']:>+6.1%}"
        )
    click.echo(f"median |off| {statistics.median(abs(row['off']) for row in rows):.1%}")


if __name__ == "__main__":
    main()
