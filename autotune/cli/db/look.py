"""``autotune db list|best|show|stats``: what a database holds."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click

from autotune.cli.db.listing import asked, asked_option, json_option, listing_options, show
from autotune.cli.report import one_object, table
from autotune.display.units import duration
from autotune.errors import AutotuneError
from autotune.tuning_logs import Accept, Record, Task
from autotune.tuning_logs.accept import OTHERS, days_ago
from autotune.tuning_logs.sharing.protocol import MOST_ROWS
from autotune.tuning_logs.summary import statistics, summarize, summarize_runs, workload_key

_RUN_COLUMNS = ("run", "started", "best_seconds", "trials", "failed", "strategy", "seed", "workload")
_BEST_COLUMNS = ("seconds", "gap", "verified", "evidence", "target", "device", "threads", "trial")


@click.command(
    "list",
    short_help="what was tuned, with its best times",
    help="What was tuned: a row for each workload on a target, device and number of threads, with its best time.",
)
@click.option("--operator", help="only this operator's")
@click.option("--runs", is_flag=True, help="a row for each run of the tuner instead, the latest first")
@asked_option
@listing_options
def list_command(operator: str | None, runs: bool, database: str | None, form: str | None) -> None:
    with asked(database) as found:
        if runs:
            show(found.report(summarize_runs, operator=operator), form, _RUN_COLUMNS, f"{found.name} has no runs")
            return
        rows = found.report(summarize, operator=operator)
        columns = ("key", "best_seconds", "trials", "failed", "target", "threads", "device", "workload")
        show(rows, form, columns, f"{found.name} has no tasks{f' of {operator}' if operator else ''}")


@click.command(
    "best",
    short_help="the best candidates of a workload",
    help="The best candidates of WORKLOAD: its text or the beginning of its key, as autotune db list shows them.",
)
@click.argument("workload")
@click.option("--top", type=click.IntRange(1, MOST_ROWS), default=5, show_default=True, help="how many candidates")
@click.option("--target", help="only for this target, by name")
@click.option("--device", help="only on this device, by name or by how its key begins")
@click.option("--threads", type=click.IntRange(1), help="only on as many threads")
@click.option("--unverified", is_flag=True, help="also those whose result was not verified")
@click.option("--days", type=click.FloatRange(0, min_open=True), help="only records of the last so many days")
@click.option("--toolchain", help="the toolchain that --others tells from others")
@click.option(
    "--others",
    type=click.Choice(OTHERS),
    default="equal",
    show_default=True,
    help="records of other toolchains compete, serve where there is nothing else, or are refused",
)
@asked_option
@listing_options
def best_command(
    workload: str, top: int, target: str | None, device: str | None, threads: int | None, unverified: bool,
    days: float | None, toolchain: str | None, others: str, database: str | None, form: str | None,
) -> None:  # fmt: skip
    accept = Accept(not unverified, None if days is None else days_ago(days), toolchain, others)
    with asked(database) as found:
        key = found.report(workload_key, wanted=workload)
        places = {
            (task.target.key, task.device.key, task.threads)
            for task in found.tasks(key)
            if target in (None, task.target.name)
            and (device in (None, task.device.name) or task.device.key.startswith(str(device)))
            and threads in (None, task.threads)
        }
        ranked = [one for place in places for one in found.top(top, key, *place, accept=accept)]
        ranked.sort(key=lambda one: (one[0].seconds or 0.0, one[0].trial))
        rows = [_best_row(record, task, ranked[0][0]) for record, task in ranked[:top]]
        show(rows, form, _BEST_COLUMNS, "no record is fit to be served with these options")


def _best_row(record: Record, task: Task, best: Record) -> dict[str, Any]:
    assert record.seconds is not None and best.seconds is not None
    return {
        "seconds": record.seconds, "gap": f"{record.seconds / best.seconds - 1:+.1%}", "verified": record.verified,
        "evidence": record.evidence, "target": task.target.name, "device": task.device.name, "threads": task.threads,
        "toolchain": task.toolchain, "created": record.created, "knobs": json.dumps(dict(record.knobs)),
        "trial": record.trial,
    }  # fmt: skip


@click.command(
    "show",
    short_help="one trial with everything that is known of it",
    help="One trial: its task, figures, samples, knobs, schedule and provenance. autotune db best has names of trials.",
)
@click.argument("trial")
@asked_option
@json_option
def show_command(trial: str, database: str | None, as_json: bool) -> None:
    with asked(database) as found:
        stored = found.find(trial)
        if stored is None:
            raise AutotuneError(f"{found.name} has no trial {trial!r}; autotune db best shows the best of a workload")
        record, task = stored
        run = found.run(record.run_id)
    assert run is not None
    if as_json:
        parts = {"record": asdict(record), "task": asdict(task), "run": asdict(run)}
        click.echo(one_object(parts))
        return
    times = "-" if record.seconds is None else duration(record.seconds)
    if record.ci_low is not None and record.ci_high is not None:
        times += f", {duration(record.ci_low)} to {duration(record.ci_high)}"
    rows = {
        "target": f"{task.target.name} on {task.device.name}, threads: {task.threads}",
        "status": f"{record.status} {' '.join(record.message.split())}".strip(),
        "time": f"{times} ({record.evidence}, {len(record.samples)} samples)",
        "samples": " ".join(map(duration, record.samples)) or "-",
        "verified": f"{'yes' if record.verified else 'no'}"
        + ("" if record.max_error is None else f", max error {record.max_error:.1e} of the largest value"),
        "knobs": ", ".join(f"{name}={value}" for name, value in record.knobs.items()) or "-",
        "trial": f"{record.phase} {record.trial} of batch {record.batch}, seed {record.seed}",
        "recorded": f"{record.created} with {task.toolchain}",
        "run": f"{run.run_id}, {run.command or 'from Python'}",
        "software": f"autotune {run.package_version}, {run.llvm_version}, {run.compiler_flags}",
        "host": f"{run.host.fingerprint[:12] or 'unknown'}, {run.host.cpu or 'unknown CPU'}, {run.driver}",
        "clock": run.clock or "unknown",
    }
    click.echo(f"{task.workload.text}\n{table(rows)}\nSketch:\n{_steps(record.sketch)}")


def _steps(sketch: str) -> str:
    """A line for each step; what is no schedule of this release is shown as it is."""
    try:
        return "\n".join(f"  {name} {json.dumps(arguments)}" for name, arguments in json.loads(sketch)["steps"])
    except (ValueError, LookupError, TypeError):
        return f"  {sketch}"


@click.command(
    "stats", short_help="figures of the whole database", help="How many rows of each kind, and how large the file is."
)
@asked_option
@json_option
def stats_command(database: str | None, as_json: bool) -> None:
    with asked(database) as found:
        figures = {"database": found.name, **found.report(statistics)}
    if as_json:
        click.echo(one_object(figures))
        return
    click.echo(table({name: _figure(value) for name, value in figures.items()}))


def _figure(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{part}: {count:,}" for part, count in value.items()) or "-"
    return f"{value:,}" if isinstance(value, int) else str(value)
