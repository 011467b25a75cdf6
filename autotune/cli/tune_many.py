"""``autotune tune-many FILE.yaml``: the tasks of a file, tuned under one budget."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from autotune.api import DEFAULTS, MANY_DEFAULTS, tune_many
from autotune.cli.many_progress import ManyTable, names
from autotune.cli.objects import load_object
from autotune.cli.options import Duration, algorithms_option, database_option, json_option
from autotune.cli.report import STAND_INS, one_object, plural, tune_json
from autotune.cli.start import INTERRUPTED
from autotune.cli.task_file import read_tasks
from autotune.cost_model.models import cost_models
from autotune.databases import default_path
from autotune.display.units import duration
from autotune.errors import AutotuneError
from autotune.search.events import TuneResult
from autotune.search.many.events import TuneManyResult
from autotune.search.many.options import TRIALS_PER_TASK
from autotune.search.scheduling import schedulers
from autotune.search.strategies import strategies

WIDTH = 110  # of the table, where stdout is no terminal


def _tune_many(
    *, file: Path, trials: int | None, budget: float | None, scheduler: str, target: str | None, threads: int | None,
    strategy: str, cost_model: str, algorithms: str, seed: int, database: str | None, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    path = database or str(default_path())
    tasks = read_tasks(file, target, threads)
    with nullcontext() if quiet else ManyTable() as table:
        result = tune_many(
            tasks, trials=trials, budget=budget, scheduler=scheduler, cost_model=cost_model, algorithms=algorithms,
            strategy=load_object(strategy) if ":" in strategy else strategy, seed=seed, database=path,
            listeners=[table] if table else [],
        )  # fmt: skip
    if as_json:
        click.echo(one_object(many_json(result, path)))
    else:
        _print(result, path)
    if result.interrupted:
        click.echo(f"Interrupted: {plural(result.trials, 'trial')} kept; the same command resumes.", err=True)
        sys.stdout.flush()
        raise click.exceptions.Exit(INTERRUPTED)
    if all(one.seconds is None for one in result.results):
        raise AutotuneError(f"no kernel of any task was measured within {result.elapsed:.1f} s: {result.stopped}")


def many_json(result: TuneManyResult, database: str) -> dict[str, Any]:
    """The object that ``--json`` prints."""
    tasks = [
        {
            "weight": weight,
            "untuned_seconds": one.untuned_seconds,
            "confirmed": one.confirmed,
            **tune_json(one, database),
        }
        for weight, one in zip(result.weights, result.results, strict=True)
    ]
    turns = [
        {"task": turn.task, "trials": turn.trials, "seconds": turn.seconds, "overhead": turn.overhead}
        for turn in result.turns
    ]
    return {
        "tasks": tasks, "best_seconds": result.seconds, "untuned_seconds": result.untuned_seconds,
        "compared": result.compared, "trials": result.trials, "new_trials": result.new_trials, "turns": turns,
        "scheduler": result.scheduler, "seconds": result.elapsed, "stopped": result.stopped or None,
        "database": database,
    }  # fmt: skip


def _print(result: TuneManyResult, database: str) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(width=WIDTH, highlight=False)
    table = Table(box=None, pad_edge=False)
    table.add_column("task", overflow="fold")
    for name in ("weight", "trials", "untuned", "best", "GFLOP/s", "of limit", "faster"):
        table.add_column(name, justify="right", no_wrap=True)
    called = names([one.task for one in result.results])
    for name, weight, one in zip(called, result.weights, result.results, strict=True):
        table.add_row(name, f"{weight:g}", *_figures(one))
    console.print(table)
    for line in summary(result, database):
        console.print(line, soft_wrap=True, markup=False)


def _figures(one: TuneResult) -> list[str]:
    before, after, limit = one.untuned_seconds, one.seconds, one.limit_fraction
    return [
        str(one.trials), duration(before) if before else "", duration(after) if after else "not measured",
        f"{one.gflops:.1f}" if one.gflops else "", f"{limit:.0%}" if limit else "",
        f"{before / after:.2f}x" if before and after else "",
    ]  # fmt: skip


def summary(result: TuneManyResult, database: str) -> list[str]:
    """What a run comes to, below the table."""
    lines = []
    if result.compared:
        of = (
            "all tasks"
            if result.compared == len(result.results)
            else f"{result.compared} of {len(result.results)} tasks"
        )
        lines.append(
            f"weighted time of {of}: {duration(result.untuned_seconds)} without tuning, "
            f"{duration(result.seconds)} now, {result.untuned_seconds / result.seconds:.2f}x faster"
        )
    without = [one for one in result.results if not one.trials]
    if without:
        lines.append(f"{plural(len(without), 'task')} got no trial: there they keep {STAND_INS[without[0].source]}")
    unconfirmed = sum(not one.confirmed and one.trials > 0 for one in result.results)
    if unconfirmed:
        lines.append(f"{plural(unconfirmed, 'task')} without a final: the figures are their best trials'")
    failed = sum(one.failed for one in result.results)
    lines.append(
        f"{result.trials} trials: {result.trials - result.new_trials} resumed, {result.new_trials} new, "
        f"{failed} failed; {plural(len(result.turns), 'turn')} by {result.scheduler}; {result.elapsed:.1f} s"
    )
    if result.stopped:
        lines.append(f"Stopped early: {result.stopped}.")
    return [*lines, f"database: {database}"]


command = click.Command(
    "tune-many", callback=_tune_many,
    help="Tune the tasks that FILE lists, such as those of a network, under one budget, which goes where it saves the "
    "most time. FILE is YAML: docs/tune_many.md describes it, examples/resnet50.yaml is one.",
    params=[
        click.Argument(["file"], type=click.Path(exists=True, dir_okay=False, path_type=Path)),
        click.Option(
            ["--trials"], type=int,
            help="candidates measured in all, earlier runs' included: the same command again resumes "
            f"[default: {TRIALS_PER_TASK} for each task where there is no budget]",
        ),
        click.Option(["--budget"], type=Duration(), help="stop after this time, finals included, such as 60s or 10m"),
        click.Option(
            ["--scheduler"], default=MANY_DEFAULTS.scheduler, show_default=True,
            help=f"what shares the trials among the tasks: one of {', '.join(schedulers())}",
        ),
        click.Option(["--target"], help="in place of the file's default"),
        click.Option(["--threads"], type=int, help="in place of the file's default"),
        click.Option(
            ["--strategy"], default=DEFAULTS.strategy, show_default=True,
            help=f"one of {', '.join(strategies())}, or module:class",
        ),
        click.Option(
            ["--cost-model"], default=DEFAULTS.cost_model, show_default=True,
            help=f"what the searches rank candidates by: one of {', '.join(cost_models())}",
        ),
        algorithms_option(",".join(DEFAULTS.algorithms or ("all",))),
        click.Option(["--seed"], type=int, default=DEFAULTS.seed, show_default=True, help="of all random choices"),
        database_option(),
        json_option(),
        click.Option(["--quiet"], is_flag=True, help="no progress on stderr"),
    ],
)  # fmt: skip
