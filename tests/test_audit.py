"""The audit can only be added to, and shows what was done to it behind the program's back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from autotune.tuning_logs import Database
from autotune.tuning_logs.audit import Appended
from autotune.tuning_logs.checking import check, salvage

ENTRIES = [Appended(f"2026-01-01T00:00:0{n}.000000+00:00", "ci", "10.0.0.7", f"run{n}", 5, n) for n in range(4)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Database.open(tmp_path / "tuning.db") as database, database.writing() as writer:
        for entry in ENTRIES:
            writer.add_audit(entry)
    return tmp_path / "tuning.db"


@pytest.mark.parametrize("sql", ["UPDATE audit SET who = 'me'", "DELETE FROM audit WHERE id = 2"])
def test_rows_stay(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as raw, pytest.raises(sqlite3.IntegrityError, match="can only be added to"):
        raw.execute(sql)
    assert check(path).problems == []


@pytest.mark.parametrize(
    ("sql", "follows"),
    [
        ("UPDATE audit SET checksum = 0, new = 9 WHERE id = 2", 2),
        ("DELETE FROM audit WHERE id = 2", 3),
        ("UPDATE audit SET id = 9 WHERE id = 2", 3),
    ],
)
def test_what_was_done_to_it_shows(path: Path, sql: str, follows: int) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("DROP TRIGGER audit_refuses_update")
        raw.execute("DROP TRIGGER audit_refuses_delete")
        raw.execute(sql)
        raw.commit()
    assert f"row {follows} of audit does not follow from the one before it" in check(path).problems


def test_it_is_salvaged(path: Path, tmp_path: Path) -> None:
    assert salvage(path, tmp_path / "saved.db").rows["audit"] == len(ENTRIES)
    assert check(tmp_path / "saved.db").problems == []
