"""``autotune best OPERATOR``: what the database has, of a near shape where it has nothing of the asked one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import click

from autotune.cli.operators import Operators, command_line, operator_options
from autotune.cli.options import (
    algorithms_option,
    database_option,
    json_option,
    target_option,
    threads_option,
    verify_option,
)
from autotune.cli.report import evidence, near_origin, one_object, peak_fraction, plural, table
from autotune.databases import default_path, open_database
from autotune.errors import AutotuneError
from autotune.fuzz.proof import prove
from autotune.schedules.schedule import Schedule
from autotune.search.limits import check_count
from autotune.search.lookup import Asked, Found, best_record, find_near, schedule_of
from autotune.targets.host import get_target
from autotune.tensor_expr.algorithms import check_algorithms, definitions
from autotune.tensor_expr.operators import Operator
from autotune.tensor_expr.workload import Workload
from autotune.tuning_logs import Accept


def best_command(operator: Operator) -> click.Command:
    """The command that looks an operator up."""
    options = [
        *operator_options(operator),
        target_option(),
        threads_option(),
        database_option(),
        algorithms_option(),
        verify_option("interpret its loops, too, beside NumPy"),
        json_option(),
    ]
    help_text = f"The best kernel that the database has for {operator.name}: {operator.summary}."
    return click.Command(operator.name, params=options, callback=partial(_best, operator), help=help_text)


def _best(
    operator: Operator,
    *,
    target: str,
    threads: int,
    database: str | None,
    algorithms: str,
    verify: bool,
    as_json: bool,
    **params: Any,
) -> None:
    path, threads = database or str(default_path()), check_count("threads", threads)
    workload, chosen = operator(**params), get_target(target)
    accept = Accept(algorithms=check_algorithms(algorithms))
    definitions(workload, accept.algorithms)
    with open_database(path, readonly=True) as opened:
        stored = best_record(workload, chosen, threads, opened, accept)
        if stored is None:
            near = find_near(Asked(workload, chosen, threads, accept.algorithms), opened, accept)
            if near is None:
                raise AutotuneError(
                    f"{path} has no verified kernel of {workload.text} for {chosen.name} on "
                    f"{plural(threads, 'thread')}, nor a near one; {command_line(operator.name, params)} "
                    "searches for one"
                )
            proof = prove(workload, near.schedule, chosen).text if verify else None
            click.echo((_near_json if as_json else _near_text)(workload, near, path, proof))
            return
        record, task = stored
        trials = opened.count(task, phase="trial")
        failed = trials - opened.count(task, phase="trial", status="ok")
    assert record.seconds is not None
    schedule = schedule_of(workload, record, task, path)
    proof = prove(workload, schedule, chosen).text if verify else None
    if as_json:
        data = {
            "workload": workload.text, "served": "exact", "target": chosen.name, "device": task.device.name,
            "threads": threads,
            "trials": trials, "failed": failed, "best_seconds": record.seconds,
            "gflops": workload.flops / record.seconds / 1e9, "verified": record.verified,
            "peak_fraction": peak_fraction(record, task, workload),
            "max_error": record.max_error, "algorithm": schedule.algorithm,
            "evidence": record.evidence, "created": record.created,
            "toolchain": task.toolchain, "schedule": schedule.to_json(), "database": path,
            "proof": proof,
        }  # fmt: skip
        click.echo(one_object(data))
        return
    rows = {
        "target": f"{chosen.name} on {task.device.name}, {plural(threads, 'thread')}",
        "trials": f"{trials}, {failed} failed",
        **evidence(record, task, workload),
        **({"proof": proof} if proof else {}),
        "database": path,
    }
    click.echo(_text(workload, rows, schedule))


def _text(workload: Workload, rows: Mapping[str, str], schedule: Schedule) -> str:
    calls = "\n".join(f"  {line}" for line in schedule.calls.splitlines())
    return f"{workload.text}\n{table(rows)}\nSchedule:\n{calls}"


def _near_text(workload: Workload, near: Found, path: str, proof: str | None) -> str:
    assert near.record is not None and near.task is not None
    rows = {
        "served": near_origin(near),
        "recorded": f"{near.record.created}, {near.record.evidence} with {near.task.toolchain}",
        **({"proof": proof} if proof else {}),
        "database": path,
    }
    return _text(workload, rows, near.schedule)


def _near_json(workload: Workload, near: Found, path: str, proof: str | None) -> str:
    assert near.record is not None and near.task is not None
    data = {
        "workload": workload.text, "served": "near", "neighbour": near.task.workload.text, "distance": near.distance,
        "neighbour_seconds": near.record.seconds, "target": near.task.target.name, "device": near.task.device.name,
        "threads": near.task.threads, "evidence": near.record.evidence, "created": near.record.created,
        "toolchain": near.task.toolchain,
        "algorithm": near.schedule.algorithm, "schedule": near.schedule.to_json(), "database": path,
        "proof": proof,
    }  # fmt: skip
    return one_object(data)


command = Operators("best", make=best_command, help="The best kernel that the database has for an operator.")
