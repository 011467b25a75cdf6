"""``autotune best OPERATOR``: what the database has."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from autotune.api import default_path
from autotune.cli.operators import Operators, command_line, operator_options
from autotune.cli.options import database_option, json_option, target_option, threads_option, verify_option
from autotune.cli.report import evidence, one_object, peak_fraction, plural, table
from autotune.errors import AutotuneError
from autotune.fuzz.proof import prove
from autotune.search.limits import check_count
from autotune.search.lookup import best_record, schedule_of
from autotune.targets.host import get_target
from autotune.tensor_expr.operators import Operator
from autotune.tuning_logs import Database


def best_command(operator: Operator) -> click.Command:
    """The command that looks an operator up."""
    options = [
        *operator_options(operator),
        target_option(),
        threads_option(),
        database_option(),
        verify_option("interpret its loops, too, beside NumPy"),
        json_option(),
    ]
    help_text = f"The best kernel that the database has for {operator.name}: {operator.summary}."
    return click.Command(operator.name, params=options, callback=partial(_best, operator), help=help_text)


def _best(
    operator: Operator, *, target: str, threads: int, database: Path | None, verify: bool, as_json: bool, **params: Any
) -> None:
    path, threads = (database or default_path()).absolute(), check_count("threads", threads)
    workload, chosen = operator(**params), get_target(target)
    with Database.open(path, readonly=True) as opened:
        found = best_record(workload, chosen, threads, opened)
        if found is None:
            raise AutotuneError(
                f"{path} has no verified kernel of {workload.text} for {chosen.name} on {plural(threads, 'thread')}; "
                f"{command_line(operator.name, params)} searches for one"
            )
        record, task = found
        trials = opened.count(task, phase="trial")
        failed = trials - opened.count(task, phase="trial", status="ok")
    assert record.seconds is not None
    schedule = schedule_of(workload, record, task, path)
    proof = prove(workload, schedule, chosen).text if verify else None
    if as_json:
        data = {
            "workload": workload.text, "target": chosen.name, "device": task.device.name, "threads": threads,
            "trials": trials, "failed": failed, "best_seconds": record.seconds,
            "gflops": workload.flops / record.seconds / 1e9, "verified": record.verified,
            "peak_fraction": peak_fraction(record, task, workload),
            "max_error": record.max_error, "evidence": record.evidence, "created": record.created,
            "toolchain": task.toolchain, "schedule": schedule.to_json(), "database": str(path),
            "proof": proof,
        }  # fmt: skip
        click.echo(one_object(data))
        return
    rows = {
        "target": f"{chosen.name} on {task.device.name}, {plural(threads, 'thread')}",
        "trials": f"{trials}, {failed} failed",
        **evidence(record, task, workload),
        **({"proof": proof} if proof else {}),
        "database": str(path),
    }
    click.echo(f"{workload.text}\n{table(rows)}\nSchedule:")
    click.echo("\n".join(f"  {line}" for line in schedule.calls.splitlines()))


command = Operators("best", make=best_command, help="The best kernel that the database has for an operator.")
