"""``autotune db export|import|merge|prune``: what goes in and out."""

from __future__ import annotations

from pathlib import Path

import click

from autotune.cli.db.listing import database_option, opened
from autotune.cli.report import plural
from autotune.errors import AutotuneError
from autotune.tuning_logs import Database
from autotune.tuning_logs.foreign import FORMATS, ForeignImport, import_log, import_metaschedule
from autotune.tuning_logs.interchange import Imported, export_lines, import_lines, merge
from autotune.tuning_logs.pruning import prune


@click.command("export", help="Write all records as lines of JSON, to a file or to stdout (-).")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="-")
@database_option
def export_command(file: Path, database: Path | None) -> None:
    with opened(database) as found, click.open_file(str(file), "w", encoding="utf-8", atomic=str(file) != "-") as out:
        out.writelines(export_lines(found))


@click.command("import", help="Store the records of an exported file, or of stdin (-), that the database lacks.")
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="-")
@click.option(
    "--from", "kind", type=click.Choice(["autotune", *FORMATS, "metaschedule"]), default="autotune", show_default=True,
    help="what wrote it; of metaschedule FILE is the folder with its two files",
)  # fmt: skip
@click.option("--skip-bad", is_flag=True, help="leave out and report lines that make no sense, instead of stopping")
@database_option
def import_command(file: Path, kind: str, skip_bad: bool, database: Path | None) -> None:
    # Bytes: a line that is no text is a bad line, not the end of the import.
    if kind == "metaschedule":
        names = [file / f"database_{part}.json" for part in ("workload", "tuning_record")]
        with names[0].open("rb") as workloads, names[1].open("rb") as lines, opened(database, readonly=False) as found:
            _tell(import_metaschedule(found, workloads, lines, strict=not skip_bad), found)
        return
    with click.open_file(str(file), "rb") as lines, opened(database, readonly=False) as found:
        if kind == "autotune":
            _tell(import_lines(found, lines, strict=not skip_bad), found)
        else:
            _tell(import_log(found, lines, kind, strict=not skip_bad), found)


@click.command("merge", help="Store the records of other databases that this one lacks.")
@click.argument("others", nargs=-1, required=True, type=click.Path(path_type=Path))
@database_option
def merge_command(others: tuple[Path, ...], database: Path | None) -> None:
    with opened(database, readonly=False) as found:
        for path in others:
            with Database.open(path.absolute(), readonly=True) as other:
                report = merge(found, other)
            click.echo(f"{path}: ", nl=False)
            _tell(report, found)


def _tell(report: Imported, database: Database) -> None:
    for problem in report.problems:
        click.echo(f"left out: {problem}", err=True)
    if report.left_out > len(report.problems):
        click.echo(f"left out: {report.left_out - len(report.problems)} more", err=True)
    if isinstance(report, ForeignImport):
        for reason, count in report.unmapped.most_common():
            click.echo(f"no operator of the library, {plural(count, 'record')}: {reason}", err=True)
        click.echo("no schedule was taken over: these are workloads and timings to learn from", err=True)
    click.echo(
        f"{plural(report.new, 'new record')} in {database.path}, {report.already} it had already, "
        f"{plural(report.left_out, 'line')} left out"
    )


@click.command("prune", help="Keep each task's best candidates and a sample of the rest, and shrink the file.")
@click.option("--keep", type=int, default=10, show_default=True, help="best candidates of each task")
@click.option("--sample", type=int, default=100, show_default=True, help="other records of each task, at random")
@click.option("--seed", type=int, default=0, show_default=True, help="of the sample")
@click.option("--yes", is_flag=True, help="do not ask; without it stdin must say yes")
@database_option
def prune_command(keep: int, sample: int, seed: int, yes: bool, database: Path | None) -> None:
    with opened(database, readonly=False) as found:
        if not yes and not click.confirm(f"Remove records from {found.path} for good?"):
            raise AutotuneError("nothing was removed")
        done = prune(found, keep, sample, seed)
    click.echo(
        f"{plural(done.removed, 'record')} removed, {done.kept} kept; "
        f"{done.bytes_before / 1e6:.1f} MB are {done.bytes_after / 1e6:.1f} MB now"
    )
