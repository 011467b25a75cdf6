"""Datasette on a database file, for this machine only: it has no users, and shows everything to whoever reaches it."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import uvicorn
from datasette.app import Datasette
from datasette.database import Database as File
from datasette.plugins import pm

from autotune.errors import UsageError
from autotune.tuning_logs.browsing import pages
from autotune.tuning_logs.browsing.queries import QUERIES
from autotune.tuning_logs.opening import connect

_SETTINGS = {
    "sql_time_limit_ms": 30_000,  # a million records are asked in one sentence
    "default_cache_ttl": 0,  # a tuner may be writing: reloading shows what is new
    "max_returned_rows": 10_000,
    "truncate_cells_html": 400,
    "suggest_facets": False,
    "allow_download": False,
}
_BUSY_SECONDS = 10.0
_HERE = Path(__file__).parent


class _TuningFile(File):  # type: ignore[misc]
    """The file as ``Database.open(readonly=True)`` opens it: while others write, and in folders that are read-only."""

    def connect(self, write: bool = False) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(Path(self.path), True, _BUSY_SECONDS).conn
        return connection


def site(path: Path) -> Datasette:
    """The pages of a database file. Raises DatabaseError for a file that cannot be read."""
    connect(path, True, _BUSY_SECONDS).close()  # says now what would otherwise be said on every page
    if not pm.is_registered(pages):
        pm.register(pages)
    metadata = {
        "title": path.name,
        "extra_css_urls": ["/style/tuning.css"],
        "databases": {
            pages.NAME: {
                "queries": {name: {**asdict(query), "hide_sql": True} for name, query in QUERIES.items()},
                "tables": {"workloads": {"label_column": "operator"}},
            }
        },
    }
    found = Datasette(
        metadata=metadata, settings=_SETTINGS, template_dir=str(_HERE / "templates"),
        static_mounts=[("style", str(_HERE / "static"))],
    )  # fmt: skip
    found.remove_database("_memory")
    found.add_database(_TuningFile(found, str(path)), name=pages.NAME)
    return found


def listen(host: str, port: int) -> socket.socket:
    """A socket on this machine, on any free port where ``port`` is 0.

    Raises UsageError for a host that others could reach, and where the port cannot be had.
    """
    if not pages.is_this_machine(host):
        raise UsageError(
            f"{host} is not this machine alone, and whoever reaches the pages sees everything; allowed are localhost, "
            "127.0.0.1 and ::1, to which ssh -L leads from elsewhere"
        )
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    try:
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        raise UsageError(
            f"port {port} of {host} cannot be had: {error.strerror}; without --port a free one is"
        ) from error


def url_of(listening: socket.socket, host: str) -> str:
    """Where a browser finds the pages."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listening.getsockname()[1]}/"


def serve(found: Datasette, listening: socket.socket) -> None:
    """Serves the pages until Ctrl-C or SIGTERM, which end it as they should: this returns."""
    config = uvicorn.Config(found.app(), log_level="error", lifespan="on", timeout_graceful_shutdown=2)
    with suppress(KeyboardInterrupt):  # which uvicorn raises again once it has shut down
        uvicorn.Server(config).run(sockets=[listening])
