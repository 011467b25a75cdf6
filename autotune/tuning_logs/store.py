"""An open database file: transactions, plain questions in SQL, and the file itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import sqlite_utils

from autotune.tuning_logs.opening import DatabaseError, connect, explained, is_url, transaction
from autotune.tuning_logs.writer import Writer

Self = TypeVar("Self", bound="Store")


class Store:
    """The file, as one connection sees it; ``Database`` knows what is in it."""

    def __init__(self, path: Path, db: sqlite_utils.Database) -> None:
        self.path = path
        self._db = db

    @classmethod
    def open(cls: type[Self], path: str | PathLike[str], readonly: bool = False, busy_seconds: float = 30.0) -> Self:
        """Opens a database, creating it and its folder unless ``readonly``; waits for others up to ``busy_seconds``.

        A file of an older version is brought up to date, and copied to ``<name>.version<N>`` before that.
        """
        if is_url(path):
            raise DatabaseError(f"{path} is no file; autotune.connect opens a database at a URL")
        return cls(Path(path), connect(Path(path), readonly, busy_seconds))

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self.path)

    def close(self) -> None:
        """Closing again does nothing."""
        with explained(self.path):
            self._db.close()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def query(self, sql: str, values: Any = ()) -> list[dict[str, Any]]:
        """The rows that SQL gives, by column: for questions that nobody foresaw; docs/database.md has the tables."""
        # Not the library's query(), which makes a savepoint of each to be safe from writes.
        with explained(self.path):
            cursor = self._db.execute(sql, values)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def rows(self, sql: str, values: Any = ()) -> Iterator[dict[str, Any]]:
        """The same, one by one, for more than memory holds."""
        with explained(self.path):
            cursor = self._db.execute(sql, values)
            names = [column[0] for column in cursor.description]
            for row in cursor:
                yield dict(zip(names, row, strict=True))

    @contextmanager
    def writing(self) -> Iterator[Writer]:
        """A transaction for many inserts of any kind: all of them, or none where the block raises."""
        with explained(self.path), transaction(self._db):
            yield Writer(self._db)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Within the block every question is answered as of one moment, whatever others write meanwhile."""
        with explained(self.path):
            self._db.execute("BEGIN")
            try:
                self._db.execute("SELECT 1 FROM records LIMIT 1")  # the moment is that of the first read
                yield
            finally:
                self._db.rollback()

    def compact(self) -> None:
        """Gives the space of removed rows back to the disk."""
        with explained(self.path):
            self._db.execute("VACUUM")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @property
    def connection(self) -> sqlite3.Connection:
        """What is open underneath."""
        connection: sqlite3.Connection = self._db.conn
        return connection

    def file_bytes(self) -> int:
        """The size of the file, and of the log of changes beside it."""
        files = (self.path, Path(f"{self.path}-wal"))
        with explained(self.path):
            return sum(file.stat().st_size for file in files if file.exists())
