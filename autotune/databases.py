"""Where a tuning database is: the user's own, a file, or a server; and opening it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from autotune.errors import AutotuneError, UsageError
from autotune.tuning_logs import Database, TuningDatabase
from autotune.tuning_logs.opening import is_url

if TYPE_CHECKING:
    from autotune.tuning_logs.sharing.client import SharedDatabase  # which needs the extra ``client``

Where: TypeAlias = "TuningDatabase | str | PathLike[str] | None"


def default_path() -> Path:
    """The user's own database."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "autotune" / "tuning.db"
    configured = os.environ.get("XDG_DATA_HOME", "")
    # The XDG specification says to ignore a relative path.
    base = Path(configured) if os.path.isabs(configured) else Path.home() / ".local" / "share"
    return base / "autotune" / "tuning.db"


def connect(
    url: str, *, token: str | None = None, ca_file: str | PathLike[str] | None = None, readonly: bool = False,
    folder: str | PathLike[str] | None = None,
) -> SharedDatabase:  # fmt: skip
    """Opens the database of a server: ``autotune db serve`` runs one.

    What is added is kept in a file of ``folder`` first (default: ``shared`` beside the user's own database) and sent
    while the server can be reached. Without a ``token`` the environment's AUTOTUNE_TOKEN is taken, without a
    ``ca_file`` (certificates of authorities, PEM) its AUTOTUNE_CA_FILE, or what this machine trusts anyway.

    Raises ``UsageError`` for a URL that is none, and ``DatabaseError`` where what answers is no such server, or does
    not let us in; for a server that cannot be reached there is a ``SharingWarning`` only.
    """
    authorities = ca_file or os.environ.get("AUTOTUNE_CA_FILE")
    return optional("autotune.tuning_logs.sharing.client", "client").SharedDatabase.open(  # type: ignore[no-any-return]
        url,
        folder=Path(folder) if folder is not None else default_path().parent / "shared",
        token=token or os.environ.get("AUTOTUNE_TOKEN"),
        ca_file=Path(authorities) if authorities else None,
        readonly=readonly,
    )


def optional(module: str, extra: str) -> Any:
    """A module of this package that imports what comes with an extra. Raises AutotuneError where that is missing."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        if missing == "autotune":
            raise
        raise AutotuneError(f"this needs {missing}, which is not installed: pip install 'autotune[{extra}]'") from error


def _path(database: str | PathLike[str] | None) -> str | PathLike[str]:
    if database is not None and not isinstance(database, (str, os.PathLike)):
        raise UsageError(f"a database is a Database, a path or a URL, not {database!r}")
    return default_path() if database is None else database


@contextmanager
def open_database(database: Where, readonly: bool = False) -> Iterator[TuningDatabase]:
    """The database, by default the user's own, and for writing; one that is handed in open stays open."""
    if isinstance(database, TuningDatabase):
        yield database
    else:
        with _opened(database, readonly) as opened:
            yield opened


def _opened(database: str | PathLike[str] | None, readonly: bool) -> TuningDatabase:
    if is_url(database):
        return connect(str(database), readonly=readonly)
    return Database.open(_path(database), readonly=readonly)


@contextmanager
def open_for_lookup(database: Where) -> Iterator[TuningDatabase | None]:
    """The database for reading; None where the user's own does not exist yet."""
    if database is None and not default_path().exists():
        yield None
    else:
        with open_database(database, readonly=True) as opened:
            yield opened
