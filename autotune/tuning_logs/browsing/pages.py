"""What Datasette's pages get from us, as a plugin: the front page, a page per workload, and links in tables."""

from __future__ import annotations

import ipaddress
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import sqlite_utils
from datasette import Response, hookimpl
from datasette.utils.asgi import NotFound
from markupsafe import Markup

from autotune.display.units import duration
from autotune.tuning_logs import Database
from autotune.tuning_logs.browsing import drawing
from autotune.tuning_logs.browsing.curves import curves, latest_tasks
from autotune.tuning_logs.browsing.queries import QUERIES

NAME = "tuning"  # what Datasette calls the database in its addresses, whatever the file is called
_SHOWN = 100  # tasks on the front page
# Columns of answers and of single rows; of those in tables Datasette itself makes links.
_REFERENCES = (
    {"record": "records", "run": "runs"}
    | {f"{table}_id": f"{table}s" for table in ("workload", "target", "device", "host", "task", "run")}
    | {"sketch_id": "sketches"}
)

Scope = dict[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


def is_this_machine(host: str | None) -> bool:
    """Whether a host is one that no other machine can mean."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def curve_address(workload_id: int) -> str:
    """The page of a workload's curves."""
    return f"/curves/{workload_id}"


@hookimpl
def register_routes() -> list[tuple[str, Any]]:
    return [(r"^/curves/(?P<workload>\d{1,18})$", _curves)]


async def _curves(request: Any, datasette: Any) -> Response:
    number = int(request.url_vars["workload"])
    file = datasette.get_database(NAME)
    found = await file.execute_fn(lambda connection: curves(_opened(file.path, connection), number))
    if not found:
        raise NotFound(f"No workload {number} was tuned")
    context = {
        "workload": found[0].task.workload,
        "workload_id": number,
        "charts": [(curve, drawing.draw(curve), len(drawing.drawn(curve))) for curve in found],
        "layout": drawing,
        **_common(datasette),
    }
    return Response.html(await datasette.render_template("curves.html", context, request=request))


@hookimpl
def extra_template_vars(view_name: str, datasette: Any) -> Any:
    async def front_page() -> dict[str, Any]:
        file = datasette.get_database(NAME)
        found = await file.execute_fn(lambda connection: latest_tasks(_opened(file.path, connection), _SHOWN))
        count = await file.execute("SELECT count(*) FROM tasks")
        return {"tasks": found, "task_count": count.first()[0], **_common(datasette)}

    return front_page if view_name == "index" else {}


def _common(datasette: Any) -> dict[str, Any]:
    return {
        "path": datasette.get_database(NAME).path, "queries": QUERIES, "database": NAME, "duration": duration,
        "curve_address": curve_address,
    }  # fmt: skip


def _opened(path: str, connection: sqlite3.Connection) -> Database:
    """Datasette's connection, to be asked as ours."""
    return Database(Path(path), sqlite_utils.Database(connection, execute_plugins=False))


@hookimpl
def render_cell(value: Any, column: str, table: str | None, database: str, datasette: Any, row: Any) -> Markup | None:
    """Times with units, and links: to a workload's curves, and to the rows that numbers stand for."""
    if database != NAME or value is None:
        return None
    if table is None and column == "curve":
        return _link(curve_address(value), "curve")
    if table == "workloads" and column == "operator":
        return Markup("{} {}").format(value, _link(curve_address(row["id"]), "curve"))
    if column in _REFERENCES and isinstance(value, int):
        found = _link(datasette.urls.row(NAME, _REFERENCES[column], value), value)
        return Markup("{} {}").format(found, _link(curve_address(value), "curve")) if column == "workload_id" else found
    if isinstance(value, float) and value > 0 and (column.endswith("seconds") or column in ("ci_low", "ci_high")):
        return _quantity(f"{value} s", duration(value))
    if column in ("created", "started", "latest"):
        return _quantity(value, str(value)[:19].replace("T", " "))
    return None


def _quantity(exact: str, shown: str) -> Markup:
    return Markup('<span class="quantity" title="{}">{}</span>').format(exact, shown)


def _link(address: str, text: Any) -> Markup:
    return Markup('<a href="{}">{}</a>').format(address, text)


@hookimpl
def asgi_wrapper() -> Callable[[App], App]:
    """Refuses requests in the name of another host: a page elsewhere could otherwise read ours by DNS rebinding."""

    def wrap(app: App) -> App:
        async def only_local(scope: Scope, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
                if not is_this_machine(urlsplit(f"//{host}").hostname):
                    await Response.text("Only localhost is served here.", status=403).asgi_send(send)
                    return
            await app(scope, receive, send)

        return only_local

    return wrap
