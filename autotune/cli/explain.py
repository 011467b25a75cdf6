"""``autotune explain OPERATOR``: a kernel's schedule, loop nest and assembly."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from autotune.api import assemble, find
from autotune.cli.operators import Operators, operator_options
from autotune.cli.options import database_option, target_option, threads_option
from autotune.cli.report import speed
from autotune.lowering.pipeline import lower
from autotune.lowering.printer import show
from autotune.search.lookup import Found
from autotune.targets.host import get_target
from autotune.tensor_expr.operators import Operator
from autotune.tensor_expr.workload import Workload

PARTS = ("schedule", "loops", "assembly")


def explain_command(operator: Operator) -> click.Command:
    """The command that explains an operator's kernel."""
    options = [
        *operator_options(operator),
        target_option(),
        threads_option(),
        database_option(),
        click.Option(
            ["--show", "part"],
            type=click.Choice([*PARTS, "all"]),
            default="all",
            show_default=True,
            help="what to print",
        ),
    ]
    help_text = (
        f"The schedule, loop nest and assembly of {operator.name}: the database's best or, without one, the analytic "
        "model's choice."
    )
    return click.Command(operator.name, params=options, callback=partial(_explain, operator), help=help_text)


def _explain(operator: Operator, *, target: str, threads: int, database: Path | None, part: str, **params: Any) -> None:
    workload, chosen = operator(**params), get_target(target)
    found = find(workload, chosen, threads=threads, database=database)
    click.echo(f"{workload.text} for {chosen.name}\n{_origin(found, workload)}")
    parts = PARTS if part == "all" else (part,)
    if "schedule" in parts:
        click.echo(f"\nSchedule\n{found.schedule}")
    if "loops" in parts:
        click.echo(f"\nLoops\n{show(lower(found.schedule, chosen))}")
    if "assembly" in parts:
        click.echo(f"\nAssembly\n{assemble(found.schedule, chosen, threads=threads)}")


def _origin(found: Found, workload: Workload) -> str:
    if found.record is not None and found.task is not None and found.record.seconds is not None:
        figures = speed(found.record.seconds, workload.flops, None)
        return f"from the database: {figures}, {found.record.evidence} on {found.task.device.name}"
    if found.source == "analytic":
        return "the analytic model's choice, not measured: the database has none"
    return "the schedule of no steps: the rules found nothing better"


command = Operators(
    "explain", make=explain_command, help="A kernel's schedule, loop nest and assembly, for any target."
)
