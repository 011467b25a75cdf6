"""``autotune explain OPERATOR``: a kernel's schedule, loop nest and assembly, or how they differ from another's."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import click

from autotune.api import find
from autotune.cli.explanation import Code, Comparison, Explanation
from autotune.cli.model_view import learned_from
from autotune.cli.operators import Operators, operator_options
from autotune.cli.options import algorithms_option, database_option, target_option, threads_option, verify_option
from autotune.databases import open_for_lookup
from autotune.errors import UsageError
from autotune.fuzz.proof import prove
from autotune.schedules.schedule import Schedule
from autotune.search.lookup import find_schedule
from autotune.targets.facts import Target
from autotune.targets.host import get_target
from autotune.tensor_expr.operators import Operator
from autotune.tensor_expr.workload import Workload

PARTS = ("model", "schedule", "loops", "assembly")
COMPARED = ("schedule", "loops")  # unless asked for: of two kernels' assembly, hardly a line is the same


def explain_command(operator: Operator) -> click.Command:
    """The command that explains an operator's kernel."""
    options = [
        *operator_options(operator),
        target_option(),
        threads_option(),
        database_option(),
        algorithms_option(),
        verify_option("interpret its loops beside NumPy, and say so on stderr"),
        click.Option(
            ["--show", "part"],
            type=click.Choice([*PARTS, "all"]),
            default="all",
            show_default=True,
            help="what to print",
        ),
        click.Option(
            ["--format", "form"],
            type=click.Choice(["text", "html"]),
            default="text",
            show_default=True,
            help="text, or one page for a browser",
        ),
        click.Option(
            ["--output"], type=click.Path(path_type=Path), help="the file to write to [default: standard output]"
        ),
        click.Option(
            ["--against"],
            metavar="WHAT",
            help="print the difference from another schedule: analytic (the model's choice), default (no steps), or "
            "a file with a schedule's JSON, such as autotune best --json writes",
        ),
    ]
    help_text = (
        f"The schedule, loop nest and assembly of {operator.name}: the database's best or, without one, the analytic "
        "model's choice."
    )
    return click.Command(operator.name, params=options, callback=partial(_explain, operator), help=help_text)


def _explain(
    operator: Operator, *, target: str, threads: int, database: str | None, algorithms: str, verify: bool, part: str,
    form: str, output: Path | None, against: str | None, **params: Any,
) -> None:  # fmt: skip
    workload, chosen = operator(**params), get_target(target)
    parts = (PARTS if against is None else COMPARED) if part == "all" else (part,)
    other = None if against is None else _other(against, workload, chosen, threads)
    found = find(workload, chosen, threads=threads, database=database, algorithms=algorithms)
    with open_for_lookup(database) as opened:
        learned = learned_from(opened, found.task if found.source == "exact" else None, workload, chosen)
    if verify:
        click.echo(prove(workload, found.schedule, chosen).text, err=True)
    explained = Explanation(workload, found, Code(found.schedule, chosen, threads, learned), parts)
    shown = explained if other is None else Comparison(explained, Code(other, chosen, threads, learned), str(against))
    text = shown.html() if form == "html" else shown.text()
    if output is None:
        click.echo(text)
    else:
        output.write_text(click.unstyle(text) if form == "text" else text, encoding="utf-8")


def _other(against: str, workload: Workload, target: Target, threads: int) -> Schedule:
    """The schedule that is compared with."""
    if against == "analytic":
        return find_schedule(workload, target, threads).schedule
    if against == "default":
        return Schedule(workload.output)
    try:
        data = json.loads(Path(against).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"--against takes analytic, default or a file, and there is no file {against!r}") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{against} is no JSON: {error}") from None
    schedule = Schedule.from_json(workload, data.get("schedule", data) if isinstance(data, dict) else data)
    if schedule.knobs:
        raise UsageError(f"{against} is a sketch: it leaves knob {schedule.knobs[0].name!r} open")
    return schedule


command = Operators(
    "explain", make=explain_command, help="A kernel's schedule, loop nest and assembly, for any target."
)
