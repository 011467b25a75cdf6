"""``autotune OPERATOR``: search for its best schedule on this machine."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import click

from autotune.api import DEFAULTS, tune
from autotune.cli.objects import load_object
from autotune.cli.operators import operator_options
from autotune.cli.options import (
    Duration,
    algorithms_option,
    database_option,
    json_option,
    target_option,
    threads_option,
    verify_option,
)
from autotune.cli.progress import ProgressBar
from autotune.cli.report import STAND_INS, one_object, plural, reasons, tune_json, tune_summary
from autotune.cli.start import INTERRUPTED
from autotune.cost_model.models import cost_models
from autotune.databases import default_path
from autotune.errors import AutotuneError
from autotune.search.events import TuneResult
from autotune.search.listeners import TrialLog
from autotune.search.strategies import strategies
from autotune.search.task import CACHES
from autotune.tensor_expr.operators import Operator


def tune_command(operator: Operator) -> click.Command:
    """The command that tunes an operator."""
    options: list[click.Parameter] = [
        *operator_options(operator),
        target_option(),
        click.Option(
            ["--trials"], type=int, default=DEFAULTS.trials, show_default=True,
            help="candidates measured in all, earlier runs' included: the same command again resumes",
        ),
        threads_option(),
        click.Option(["--budget"], type=Duration(), help="stop after this time, such as 60s, 2m or 1h"),
        click.Option(["--patience"], type=int, help="stop after so many trials in a row without 1% of improvement"),
        click.Option(
            ["--stop-at"], type=float, metavar="FRACTION",
            help="stop at this fraction, such as 0.9, of what the roofline of this machine allows",
        ),
        click.Option(
            ["--strategy"], default=DEFAULTS.strategy, show_default=True,
            help=f"one of {', '.join(strategies())}, or module:class",
        ),
        click.Option(["--template"], help="a hand-written space of schedules, as module:function"),
        click.Option(
            ["--cost-model"], default=DEFAULTS.cost_model, show_default=True,
            help=f"what the search ranks candidates by: one of {', '.join(cost_models())}, or a model's file.json",
        ),
        click.Option(
            ["--transfer"], is_flag=True,
            help="a learned cost model begins with what the database has of other workloads and devices",
        ),
        algorithms_option(",".join(DEFAULTS.algorithms or ("all",))),
        click.Option(
            ["--cache"], type=click.Choice(CACHES), default="warm", show_default=True,
            help="time kernels with their data in the caches, or in none: results of their own",
        ),
        click.Option(["--seed"], type=int, default=DEFAULTS.seed, show_default=True, help="of all random choices"),
        database_option(),
        verify_option("check every candidate's loops between passes, and interpret the winner's"),
        json_option(),
        click.Option(
            ["--log"], type=click.Path(path_type=Path), metavar="FILE", help="append a line of JSON for each trial"
        ),
        click.Option(["--quiet"], is_flag=True, help="no progress on stderr"),
    ]  # fmt: skip
    return click.Command(
        operator.name, params=options, callback=partial(_tune, operator),
        help=f"Search for the fastest kernel of {operator.name}: {operator.summary}.",
    )  # fmt: skip


def _tune(
    operator: Operator, *, target: str, trials: int, threads: int, budget: float | None,
    patience: int | None, stop_at: float | None, strategy: str, template: str | None, cost_model: str, transfer: bool,
    algorithms: str, cache: str, seed: int, database: str | None, verify: bool, as_json: bool, log: Path | None,
    quiet: bool, **params: Any,
) -> None:  # fmt: skip
    path = database or str(default_path())
    workload = operator(**params)
    with nullcontext() if quiet else ProgressBar() as bar:
        result = tune(
            workload, target, trials, threads=threads, budget=budget, patience=patience, stop_at=stop_at,
            strategy=load_object(strategy) if ":" in strategy else strategy, cost_model=cost_model, transfer=transfer,
            algorithms=algorithms, cache=cache, seed=seed, database=path, verify=verify,
            listeners=[*([bar] if bar else []), *([TrialLog(log)] if log else [])],
            template=load_object(template) if template else None,
        )  # fmt: skip
    click.echo(one_object(tune_json(result, path)) if as_json else tune_summary(result, path, trials))
    if result.interrupted:
        click.echo(_interrupted(result, trials), err=True)
        sys.stdout.flush()
        raise click.exceptions.Exit(INTERRUPTED)
    if result.seconds is None:
        raise AutotuneError(_nothing(result))


def _interrupted(result: TuneResult, trials: int) -> str:
    kept = f"{plural(result.trials, 'finished trial')} of {trials} kept" if result.trials else "no trial had finished"
    return f"Interrupted: {kept}; the same command resumes."


def _nothing(result: TuneResult) -> str:
    if result.trials:
        why = f"none of {plural(result.trials, 'trial')} worked: {reasons(result)}"
    elif result.stopped:
        why = f"no trial finished within {result.elapsed:.1f} s: {result.stopped}"
    else:
        why = f"no trial finished within {result.elapsed:.1f} s"
    return f"{why}; what is left, not measured, is {STAND_INS[result.source]}"
