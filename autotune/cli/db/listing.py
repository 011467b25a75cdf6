"""Rows as a table for people, as JSON or CSV for programs; and the options that the commands share."""

from __future__ import annotations

import csv
import io
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from autotune.cli.options import DatabaseFile, DatabaseName
from autotune.databases import connect, default_path, open_database
from autotune.display.units import duration
from autotune.tuning_logs import Database, DatabaseError, TuningDatabase
from autotune.tuning_logs.opening import is_url

Command = TypeVar("Command", bound=Callable[..., Any])
Row = Mapping[str, Any]
_WIDEST = 60  # a column of the table but the last; JSON and CSV hold all
_KEY = 10  # as much of a key as nobody has twice


def database_option(command: Command) -> Command:
    """``--db``: the database, by default the user's own."""
    return click.option("--db", "database", type=DatabaseFile(), help="tuning database [default: the user's own]")(
        command
    )


def asked_option(command: Command) -> Command:
    """``--db`` of what can be asked of a server, too."""
    return click.option(
        "--db", "database", type=DatabaseName(), help="tuning database, or a server's URL [default: the user's own]"
    )(command)


@contextmanager
def asked(database: str | None) -> Iterator[TuningDatabase]:
    """The database of ``asked_option``, for reading."""
    with open_database(database, readonly=True) as found:
        yield found


@contextmanager
def asked_for_all(database: str | None) -> Iterator[TuningDatabase]:
    """The same for what is of no use in parts: a server that is away is an error."""
    if not is_url(database):
        with asked(database) as found:
            yield found
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say is an error's sentence
        with connect(str(database), readonly=True) as shared:
            shared.insist()
            yield shared


def listing_options(command: Command) -> Command:
    """``--json`` and ``--csv``."""
    command = click.option("--csv", "form", flag_value="csv", help="print CSV with a header")(command)
    return click.option("--json", "form", flag_value="json", help="print a JSON array of objects")(command)


def json_option(command: Command) -> Command:
    """``--json`` of a command that has one thing to say."""
    return click.option("--json", "as_json", is_flag=True, help="print one JSON object")(command)


@contextmanager
def opened(database: Path | None, readonly: bool = True, create: bool = True) -> Iterator[Database]:
    """The database of ``--db``. What is written to is created, unless ``create`` is False."""
    path = (database or default_path()).absolute()
    if not create and not path.exists():
        raise DatabaseError(f"{path} does not exist")
    with Database.open(path, readonly=readonly) as found:
        yield found


def show(rows: Sequence[Row], form: str | None, columns: Sequence[str], empty: str) -> None:
    """Prints rows in the form that was asked for; the table has some ``columns`` only, or says that it is ``empty``."""
    if form == "json":
        click.echo(json.dumps(rows))
    elif form == "csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]) if rows else columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        click.echo(text.getvalue(), nl=False)
    else:
        click.echo(_table(rows, columns) if rows else empty)


def _table(rows: Sequence[Row], columns: Sequence[str]) -> str:
    cells = [["time" if name == "seconds" else name.removesuffix("_seconds") for name in columns]]
    cells += [[*(_cell(name, row[name]) for name in columns[:-1]), _text(row[columns[-1]])] for row in rows]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)
    return "\n".join(line.rstrip() for line in lines)


def _cell(name: str, value: Any) -> str:
    if name.endswith("seconds") and value is not None:
        return duration(value)
    if name == "key":
        return str(value)[:_KEY]
    text = _text(value)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return ("yes" if value else "no") if isinstance(value, bool) else " ".join(str(value).split())
