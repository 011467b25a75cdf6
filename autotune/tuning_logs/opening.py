"""Opening a database file: whose it is, and one sentence for everything that can be wrong with it."""

from __future__ import annotations

import os
import random
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType

import sqlite_utils

from autotune.errors import AutotuneError
from autotune.tuning_logs import schema


class DatabaseError(AutotuneError):
    """The tuning database cannot be used; the sentence names the file and the reason."""


# What SQLite says, and what that means for the user. By its text, since Python 3.10 does not pass the error code on.
_CAUSES = (
    ("Could not decode to UTF-8", "is damaged; it was left as it is"),  # the first: it quotes what it cannot decode
    ("not a database", "is not an SQLite database; it was left as it is"),
    ("malformed", "is damaged; it was left as it is"),
    ("locked", "is locked by another program"),
    ("disk is full", "cannot grow: the disk is full; what was recorded before is kept"),
    ("disk I/O error", "cannot be read or written: its disk is full or failing; what was recorded before is kept"),
    ("readonly", "is read-only"),
    ("unable to open", "cannot be opened: no permission, or its folder is missing or read-only"),
)


_URL = re.compile(r"[a-z][a-z0-9+.-]*://|https?:", re.IGNORECASE)
_LOOK_SECONDS = 0.002  # at most, between two looks whether the write lock is free


class explained:
    """Turns what SQLite and the operating system raise into a DatabaseError of one sentence."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.Error):
            text = str(error)
            meaning = next((meaning for part, meaning in _CAUSES if part in text), f"cannot be used: {text}")
            raise DatabaseError(f"{self.path} {meaning}") from error
        if isinstance(error, UnicodeDecodeError):  # of a sentence of SQLite's that quotes what is damaged
            raise DatabaseError(f"{self.path} is damaged; it was left as it is") from error
        if isinstance(error, OSError):
            raise DatabaseError(f"{self.path} cannot be used as a tuning database: {error.strerror}") from error


@contextmanager
def transaction(db: sqlite_utils.Database) -> Iterator[None]:
    """All or nothing. Takes the write lock at once: one that is taken after a read is refused without waiting."""
    _begin(db)
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        db.rollback()
        raise


def _begin(db: sqlite_utils.Database) -> None:
    """Waits for the write lock as long as the connection's busy timeout says.

    SQLite would look for it ever more rarely, so that of many writers the one that has waited longest goes last, after
    seconds. All that look equally often have equal chances.
    """
    (patience,) = db.execute("PRAGMA busy_timeout").fetchone()  # in milliseconds
    db.execute("PRAGMA busy_timeout = 0")
    try:
        _once_unlocked(db, "BEGIN IMMEDIATE", time.monotonic() + patience / 1e3)
    finally:
        db.execute(f"PRAGMA busy_timeout = {patience}")


def _once_unlocked(db: sqlite_utils.Database, statement: str, deadline: float) -> None:
    """Executes a statement once no other connection stands in its way. Raises SQLite's own error at the deadline."""
    while True:
        try:
            db.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(random.uniform(0, _LOOK_SECONDS))


def is_url(where: object) -> bool:
    """Whether a database is named by a URL, or by what was meant as one, not by a path."""
    return isinstance(where, str) and _URL.match(where) is not None


def connect(path: Path, readonly: bool, busy_seconds: float) -> sqlite_utils.Database:
    """Opens the file, and creates or migrates it unless ``readonly``. Nothing is written to a file that is not ours.

    Raises DatabaseError.
    """
    with explained(path):
        _refuse_no_file(path, readonly)
        if not readonly:
            path.parent.mkdir(parents=True, exist_ok=True)
            _refuse_unwritable(path)
        db = _readonly_connection(path, busy_seconds) if readonly else _connection(path, "rwc", busy_seconds)
        try:
            found = _check_identity(db, path)
            if readonly and found < schema.SCHEMA_VERSION:
                raise DatabaseError(
                    f"{path} is empty or of an older version; autotune db upgrade brings it up to date, "
                    "as does opening it for writing"
                )
            if not readonly:
                _prepare(db, path, busy_seconds)
        except BaseException:
            db.close()
            raise
    return db


@contextmanager
def of_any_version(path: Path, busy_seconds: float = 30.0) -> Iterator[tuple[int, sqlite_utils.Database]]:
    """The version of a file's schema, which may be older than ours (0 of an empty file), and the file for reading.

    Raises DatabaseError.
    """
    with explained(path):
        _refuse_no_file(path, must_exist=True)
        with closing(_readonly_connection(path, busy_seconds)) as db:
            yield _check_identity(db, path), db


def _refuse_no_file(path: Path, must_exist: bool) -> None:
    if path.exists() and not path.is_file():
        raise DatabaseError(f"{path} is {'a directory' if path.is_dir() else 'not a regular file'}, not a database")
    if must_exist and not path.exists():
        raise DatabaseError(f"{path} does not exist")
    if path.exists() and path.stat().st_size == 1:  # which SQLite would take for an empty database
        raise DatabaseError(f"{path} is not an SQLite database; it was left as it is")


def _refuse_unwritable(path: Path) -> None:
    # SQLite would open the file for reading and fail at the first record. The folder holds the write-ahead log.
    for needed in (path.parent, path):
        if needed.exists() and not os.access(needed, os.W_OK):
            raise DatabaseError(f"{path} cannot be written: {needed} is read-only")


def _connection(path: Path, mode: str, busy_seconds: float) -> sqlite_utils.Database:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    db = sqlite_utils.Database(sqlite3.connect(uri, uri=True, timeout=busy_seconds), execute_plugins=False)
    db.execute("PRAGMA foreign_keys = ON")
    return db


def _readonly_connection(path: Path, busy_seconds: float) -> sqlite_utils.Database:
    db = _connection(path, "ro", busy_seconds)
    try:
        schema.version(db)
    except sqlite3.Error as error:
        db.close()
        # In a read-only folder SQLite cannot make the lock file of WAL; without a log nobody writes, so none is needed.
        refused = ("unable to open", "readonly")
        if not any(text in str(error) for text in refused) or Path(f"{path}-wal").exists():
            raise
        return _connection(path, "ro&immutable=1", busy_seconds)
    return db


def _check_identity(db: sqlite_utils.Database, path: Path) -> int:
    """The file's schema version, once it is known to be ours."""
    if schema.is_foreign(db):
        raise DatabaseError(f"{path} is a database of another program; it was left as it is")
    found = schema.version(db)
    if found > schema.SCHEMA_VERSION:
        raise DatabaseError(
            f"{path} has schema version {found}, written by a newer autotune; this one knows up to "
            f"{schema.SCHEMA_VERSION}"
        )
    return found


def _prepare(db: sqlite_utils.Database, path: Path, busy_seconds: float) -> None:
    _enable_wal(db, time.monotonic() + busy_seconds)
    # With WAL, a commit then survives the death of the process, though perhaps not that of the power supply.
    db.execute("PRAGMA synchronous = NORMAL")
    if schema.version(db) < schema.SCHEMA_VERSION:
        with transaction(db):
            found = _check_identity(db, path)  # again, since another process may have come first
            if 0 < found < schema.SCHEMA_VERSION:
                _back_up(path, found, busy_seconds)
            schema.migrate(db)


def _back_up(path: Path, version: int, busy_seconds: float) -> None:
    """Copies the file as it is to ``<name>.version<N>``, whole or not at all."""
    backup = path.with_name(f"{path.name}.version{version}")
    unfinished = backup.with_name(f"{backup.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    # The log of changes that are not in the file yet is read through a connection; ours is about to write.
    with closing(_connection(path, "ro", busy_seconds)) as old, closing(sqlite3.connect(unfinished)) as copy:
        old.conn.backup(copy)
    os.replace(unfinished, backup)


def _enable_wal(db: sqlite_utils.Database, deadline: float) -> None:
    if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        # SQLite does not wait for the lock that this change needs, where waiting could deadlock.
        _once_unlocked(db, "PRAGMA journal_mode = WAL", deadline)
