"""``autotune db check|upgrade``: is the file whole, and if not, what can be saved? Is it of this version?"""

from __future__ import annotations

from pathlib import Path

import click

from autotune.cli.db.listing import database_option, json_option
from autotune.cli.report import one_object, plural
from autotune.databases import default_path
from autotune.tuning_logs import Database
from autotune.tuning_logs.checking import check, salvage
from autotune.tuning_logs.opening import of_any_version
from autotune.tuning_logs.schema import SCHEMA_VERSION


@click.command(
    "check",
    short_help="is the file whole?",
    help="Read the whole file and report damage; exit code 1 where there is any, or rows of an older version.",
)
@click.option(
    "--salvage",
    "into",
    type=click.Path(path_type=Path),
    help="write everything intact to this new file, damaged or not",
)
@database_option
@json_option
def check_command(into: Path | None, database: Path | None, as_json: bool) -> None:
    path = (database or default_path()).absolute()
    report = check(path)
    saved = salvage(path, into.absolute()) if into is not None else None
    if as_json:
        rows = None if saved is None else dict(saved.rows)
        click.echo(
            one_object(
                {"sound": dict(report.sound), "problems": report.problems, "older": report.older, "salvaged": rows}
            )
        )
    else:
        for problem in report.problems:
            click.echo(problem)
        state = f"{plural(len(report.problems), 'problem')} found" if report.problems else "whole"
        click.echo(report.older or f"{path}: {state}; {plural(report.sound['records'], 'sound record')}")
        if saved is not None:
            orphans = f", {saved.orphans} of lost sketches, tasks or runs left out" if saved.orphans else ""
            click.echo(f"{into}: {plural(saved.rows['records'], 'record')} salvaged{orphans}")
        elif report.problems:
            click.echo("autotune db check --salvage NEW writes everything intact to a new file")
    if report.problems or report.older:
        raise click.exceptions.Exit(1)


@click.command(
    "upgrade",
    short_help="bring an older file up to date",
    help="Bring a file of an older version up to date, as tuning into it does, too. A copy of the older one is kept.",
)
@database_option
@json_option
def upgrade_command(database: Path | None, as_json: bool) -> None:
    path = (database or default_path()).absolute()
    with of_any_version(path) as (before, _):
        pass
    Database.open(path).close()
    if as_json:
        click.echo(one_object({"database": str(path), "before": before, "now": SCHEMA_VERSION}))
    elif before == SCHEMA_VERSION:
        click.echo(f"{path}: of version {before} already, the newest")
    else:
        kept = f"; as it was it is kept as {path.name}.version{before}" if before else ""
        click.echo(f"{path}: of version {SCHEMA_VERSION} now{kept}")
