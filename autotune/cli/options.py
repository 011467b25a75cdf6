"""Options that several commands have."""

from __future__ import annotations

import re
from pathlib import Path

import click

from autotune.tensor_expr.algorithms import algorithm_names
from autotune.tuning_logs.opening import is_url

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


class Duration(click.ParamType):
    """A time span: plain seconds, or a number with the unit s, m or h."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, (int, float)):
            return float(value)
        found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*([smh]?)", str(value).strip())
        seconds = float(found[1]) * _SECONDS[found[2]] if found else 0.0
        if not 0 < seconds < float("inf"):
            self.fail(f"{value!r} is no time span above zero, such as 90, 60s, 2m or 1h", param, ctx)
        return seconds


class DatabaseName(click.ParamType):
    """The path of a file, which becomes absolute, or a server's URL."""

    name = "path or url"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value) if is_url(value) else str(Path(str(value)).absolute())


class DatabaseFile(click.ParamType):
    """The path of a file, for what needs the file itself."""

    name = "path"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if is_url(value):
            self.fail(f"{value} is a URL, and this needs a file; the machine that serves it has the file", param, ctx)
        return Path(str(value))


def target_option() -> click.Option:
    return click.Option(
        ["--target"], default="native", show_default=True, help="what code is generated for: see autotune targets"
    )


def threads_option() -> click.Option:
    return click.Option(["--threads"], type=int, default=1, show_default=True, help="threads that the kernel runs on")


def database_option() -> click.Option:
    return click.Option(
        ["--db", "database"], type=DatabaseName(), help="tuning database, or a server's URL [default: the user's own]"
    )


def algorithms_option(default: str = "all") -> click.Option:
    return click.Option(
        ["--algorithms"], default=default, show_default=True, metavar="NAMES",
        help=f"definitions of the operator that are accepted, separated by commas: {', '.join(algorithm_names())}",
    )  # fmt: skip


def verify_option(help_text: str) -> click.Option:
    return click.Option(["--verify"], is_flag=True, help=help_text)


def json_option() -> click.Option:
    return click.Option(["--json", "as_json"], is_flag=True, help="print one JSON object on stdout and nothing else")
