"""``autotune db export|import|merge|prune``: what goes in and out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import click

from autotune.cli.db.listing import asked_for_all, asked_option, database_option, json_option, opened
from autotune.cli.report import one_object, plural
from autotune.errors import AutotuneError, UsageError
from autotune.tuning_logs import Database
from autotune.tuning_logs.foreign import FORMATS, ForeignImport, import_log, import_metaschedule
from autotune.tuning_logs.interchange import Imported, export_lines, import_lines, merge
from autotune.tuning_logs.pruning import prune


@click.command(
    "export",
    short_help="all records as lines of JSON",
    help="Write all records as lines of JSON to FILE or, without one, to stdout.",
)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="-")
@asked_option
def export_command(file: Path, database: str | None) -> None:
    if not file.parent.is_dir():
        raise UsageError(f"{file.parent} is no folder that {file.name} could be written to")
    with asked_for_all(database) as found, _whole(file) as out:
        out.writelines(export_lines(found))


@contextmanager
def _whole(file: Path) -> Iterator[IO[str]]:
    """The file to write to, which changes only once all of it is written; ``-`` is stdout."""
    if str(file) == "-" or (file.exists() and not file.is_file()):  # a pipe, say
        with click.open_file(str(file), "w", encoding="utf-8") as out:
            yield out
        return
    final = file.resolve()
    unfinished = final.with_name(f"{final.name}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8") as out:
            yield out
        os.replace(unfinished, final)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


@click.command(
    "import",
    short_help="records from lines of JSON, or from logs of other tuners",
    help="Store the records of FILE or, without one, of stdin. Those that are there already stay as they are.",
)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="-")
@click.option(
    "--from", "kind", type=click.Choice(["autotune", *FORMATS, "metaschedule"]), default="autotune", show_default=True,
    help="what wrote it; of metaschedule FILE is the folder with its two files",
)  # fmt: skip
@click.option("--skip-bad", is_flag=True, help="leave out and report lines that make no sense, instead of stopping")
@database_option
@json_option
def import_command(file: Path, kind: str, skip_bad: bool, database: Path | None, as_json: bool) -> None:
    # Bytes: a line that is no text is a bad line, not the end of the import.
    if kind == "metaschedule":
        names = [file / f"database_{part}.json" for part in ("workload", "tuning_record")]
        with names[0].open("rb") as workloads, names[1].open("rb") as lines, opened(database, readonly=False) as found:
            report: Imported = import_metaschedule(found, workloads, lines, strict=not skip_bad)
    else:
        with click.open_file(str(file), "rb") as lines, opened(database, readonly=False) as found:
            if kind == "autotune":
                report = import_lines(found, lines, strict=not skip_bad)
            else:
                report = import_log(found, lines, kind, strict=not skip_bad)
    _complain(report)
    click.echo(one_object(_figures(report, found)) if as_json else _sentence(report, found))


@click.command(
    "merge",
    short_help="the records of other databases",
    help="Store the records of other databases, by path or URL, in this one (--db). What is there stays as it is.",
)
@click.argument("others", metavar="DATABASE...", nargs=-1, required=True)
@database_option
@json_option
def merge_command(others: tuple[str, ...], database: Path | None, as_json: bool) -> None:
    reports = {}
    with opened(database, readonly=False) as found:
        for path in others:
            with asked_for_all(path) as other:
                reports[path] = report = merge(found, other)
            _complain(report)
            if not as_json:
                click.echo(f"{path}: {_sentence(report, found)}")
    if as_json:
        click.echo(one_object({path: _figures(report, found) for path, report in reports.items()}))


def _complain(report: Imported) -> None:
    for problem in report.problems:
        click.echo(f"left out: {problem}", err=True)
    if report.left_out > len(report.problems):
        click.echo(f"left out: {report.left_out - len(report.problems)} more", err=True)
    if isinstance(report, ForeignImport):
        for reason, count in report.unmapped.most_common():
            click.echo(f"no operator of the library, {plural(count, 'record')}: {reason}", err=True)
        click.echo("no schedule was taken over: these are workloads and timings to learn from", err=True)


def _sentence(report: Imported, database: Database) -> str:
    return (
        f"{plural(report.new, 'new record')} in {database.path}, {report.already} it had already, "
        f"{plural(report.left_out, 'line')} left out"
    )


def _figures(report: Imported, database: Database) -> dict[str, Any]:
    return {
        "database": str(database.path), "new": report.new, "already": report.already, "left_out": report.left_out,
        "problems": list(report.problems),
    }  # fmt: skip


def _agreed(path: Path) -> bool:
    try:
        return click.confirm(f"Remove records from {path} for good?", err=True)
    except click.Abort:  # nobody is there to answer, or Ctrl-C was the answer
        return False


@click.command(
    "prune",
    short_help="keep the best and a sample of the rest",
    help="Keep each task's best candidates and a sample of the rest, and shrink the file.",
)
@click.option(
    "--keep", type=click.IntRange(1, 10**9), default=10, show_default=True, help="best candidates of each task"
)
@click.option(
    "--sample",
    type=click.IntRange(0, 10**9),
    default=100,
    show_default=True,
    help="other records of each task, at random",
)
@click.option("--seed", type=int, default=0, show_default=True, help="of the sample")
@click.option("--yes", is_flag=True, help="do not ask; without it stdin must say yes")
@database_option
@json_option
def prune_command(keep: int, sample: int, seed: int, yes: bool, database: Path | None, as_json: bool) -> None:
    with opened(database, readonly=False, create=False) as found:
        if not yes and not _agreed(found.path):
            raise AutotuneError("nothing was removed; --yes does not ask")
        done = prune(found, keep, sample, seed)
    if as_json:
        click.echo(one_object(asdict(done)))
        return
    click.echo(
        f"{plural(done.removed, 'record')} removed, {done.kept} kept; "
        f"{done.bytes_before / 1e6:.1f} MB are {done.bytes_after / 1e6:.1f} MB now"
    )
