"""``autotune db browse``: a database in a web browser."""

from __future__ import annotations

import threading
import webbrowser
from importlib import import_module
from pathlib import Path

import click

from autotune.cli.db.listing import database_option
from autotune.cli.options import DatabaseFile
from autotune.databases import default_path
from autotune.errors import AutotuneError, UsageError

_LIBRARIES = ("datasette", "uvicorn")


@click.command(
    "browse",
    short_help="look at it in a web browser",
    help="Serve pages for a web browser on this machine: a curve for each workload, tables, SQL. Ctrl-C ends it.",
)
@click.argument("path", metavar="[DATABASE]", required=False, type=DatabaseFile())
@database_option
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="an address of this machine that only it can reach"
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="where to listen  [default: any free port]")
@click.option("--open/--no-open", "opens", default=False, show_default=True, help="open a web browser, too")
def browse_command(path: Path | None, database: Path | None, host: str, port: int, opens: bool) -> None:
    if path is not None and database is not None:
        raise UsageError(f"one database at a time is shown, not {path} and {database}")
    try:
        browsing = import_module("autotune.tuning_logs.browsing.site")
    except ModuleNotFoundError as error:
        if error.name not in _LIBRARIES:
            raise
        raise AutotuneError(
            "browsing needs Datasette, which is not installed here: pip install 'autotune[browse]'"
        ) from error
    site = browsing.site((path or database or default_path()).absolute())
    with browsing.listen(host, port) as listening:
        url = browsing.url_of(listening, host)
        click.echo(f"{url} (Ctrl-C ends it)")
        if opens:  # beside the server: a browser for terminals returns when it is closed
            threading.Thread(target=webbrowser.open, args=[url], daemon=True).start()
        browsing.serve(site, listening)
