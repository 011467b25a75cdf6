"""Damaged files: every flipped bit is detected or harmless, and everything intact is saved."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from test_interchange import contents, fill
from test_tuning_logs import TASK, make_record, make_run, make_version1, make_version2, run_sql, start_writer

from autotune.tuning_logs import Database, DatabaseError
from autotune.tuning_logs.checking import check, salvage
from autotune.tuning_logs.interchange import export_lines
from autotune.tuning_logs.pages import File
from autotune.tuning_logs.schema import COLUMNS
from autotune.tuning_logs.summary import summarize, summarize_runs

RECORDS = 400


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "tuning.db"
    with Database.open(path) as database:
        fill(database, records=RECORDS)
        database.add(make_record("long", message="x" * 30_000, sketch="y" * 9_000), TASK)
    return path


def stored(path: Path) -> set[str]:
    """All records as text."""
    with Database.open(path, readonly=True) as database:
        return {repr((task, record)) for task, records, _ in contents(database) for record in records}


def copy_of(path: Path, content: bytes, folder: Path) -> Path:
    target = folder / "damaged.db"
    target.write_bytes(content)
    return target


class TestWhole:
    def test_a_whole_file_is_sound(self, whole: Path) -> None:
        report = check(whole)
        assert report.problems == [] and report.sound["records"] == RECORDS + 1

    def test_the_page_reader_sees_what_sqlite_sees(self, whole: Path) -> None:
        with closing(sqlite3.connect(whole)) as raw:
            rows = Counter(
                (row[0], len(row), row[-1]) for table in COLUMNS for row in raw.execute(f"SELECT * FROM {table}")
            )
        seen = Counter((row.number, len(row.values), row.values[-1]) for row in File(whole).rows())
        assert rows <= seen

    @pytest.mark.parametrize("page_size", [512, 1024, 65536])
    def test_other_page_sizes(self, whole: Path, tmp_path: Path, page_size: int) -> None:
        copy = tmp_path / "copy.db"
        with closing(sqlite3.connect(whole)) as raw, closing(sqlite3.connect(copy)) as other:
            other.execute(f"PRAGMA page_size = {page_size}")
            other.execute("VACUUM")
            raw.execute("VACUUM INTO ?", [str(tmp_path / "vacuumed.db")])
        with closing(sqlite3.connect(tmp_path / "vacuumed.db")) as raw:
            raw.execute("PRAGMA journal_mode = DELETE")
            raw.execute(f"PRAGMA page_size = {page_size}")
            raw.execute("VACUUM")
        salvaged = salvage(tmp_path / "vacuumed.db", tmp_path / "saved.db")
        assert salvaged.rows["records"] == RECORDS + 1 and salvaged.orphans == 0
        assert stored(tmp_path / "saved.db") == stored(whole)

    def test_nothing_to_look_at(self, tmp_path: Path) -> None:
        (tmp_path / "empty.db").touch()
        assert check(tmp_path / "empty.db").problems
        with pytest.raises(DatabaseError, match=r"nothing of .* can be saved"):
            salvage(tmp_path / "empty.db", tmp_path / "saved.db")
        with pytest.raises(DatabaseError, match="is no file"):
            check(tmp_path)

    def test_what_is_saved_goes_to_a_new_file(self, whole: Path) -> None:
        with pytest.raises(DatabaseError, match="exists already"):
            salvage(whole, whole)

    def test_a_file_of_an_older_version(self, tmp_path: Path) -> None:
        make_version2(tmp_path / "old.db")
        salvage(tmp_path / "old.db", tmp_path / "saved.db")
        assert check(tmp_path / "saved.db").problems == []
        Database.open(tmp_path / "old.db").close()
        assert stored(tmp_path / "saved.db") == stored(tmp_path / "old.db") and len(stored(tmp_path / "saved.db")) == 10

    @pytest.mark.parametrize("make", [make_version1, make_version2])
    def test_an_older_file_is_told_from_a_damaged_one(self, make: Any, tmp_path: Path) -> None:
        make(tmp_path / "old.db")
        report = check(tmp_path / "old.db")
        assert report.problems == [] and "autotune db upgrade" in report.older
        content = bytearray((tmp_path / "old.db").read_bytes())
        content[4096 + 5 : 4096 + 40] = b"\xff" * 35
        copy_of(tmp_path, bytes(content), tmp_path)
        assert check(tmp_path / "damaged.db").problems

    def test_a_file_without_checksums_has_nothing_to_save(self, tmp_path: Path) -> None:
        make_version1(tmp_path / "old.db")
        with pytest.raises(DatabaseError, match=r"nothing of .* can be saved: .*version 1"):
            salvage(tmp_path / "old.db", tmp_path / "saved.db")
        assert os.listdir(tmp_path) == ["old.db"]


class TestDamage:
    def test_flipped_bits(self, whole: Path, tmp_path: Path) -> None:
        numbers, content, before = random.Random(1), whole.read_bytes(), stored(whole)
        detected = 0
        for attempt in range(30):
            damaged = bytearray(content)
            for _ in range(1 + attempt % 3):
                place = numbers.randrange(len(damaged))
                damaged[place] ^= 1 << numbers.randrange(8)
            path = copy_of(whole, damaged, tmp_path)
            problems = check(path).problems
            detected += bool(problems)
            if not problems:
                assert stored(path) == before, "a flip that nobody reports changed nothing"
            saved = tmp_path / f"saved{attempt}.db"
            salvage(path, saved)
            assert check(saved).problems == []
            assert stored(saved) <= before and path.read_bytes() == damaged
        assert detected > 20

    @pytest.mark.parametrize("name", [b"checksun", b"checks\xc1m"])
    @pytest.mark.parametrize("table", [b"records", b"runs", b"workloads"])
    def test_a_flip_in_the_name_of_a_column(self, whole: Path, tmp_path: Path, table: bytes, name: bytes) -> None:
        """SQLite's own sentence quotes the name, which need not be text any more."""
        content = whole.read_bytes()
        begin = content.index(b'CREATE TABLE "%s"' % table)
        place = content.index(b"checksum", begin)
        path = copy_of(whole, content[:place] + name + content[place + 8 :], tmp_path)
        assert check(path).problems
        with suppress(DatabaseError), Database.open(path, readonly=True) as database:
            for question in (Database.tasks, lambda d: [*export_lines(d)], summarize, summarize_runs):
                with suppress(DatabaseError):
                    question(database)
        with suppress(DatabaseError), Database.open(path) as database:
            database.start_run(make_run("new"), TASK)
        salvage(path, tmp_path / "saved.db")
        assert stored(tmp_path / "saved.db") == stored(whole)

    def test_a_flip_costs_no_more_than_its_page(self, whole: Path, tmp_path: Path) -> None:
        content, before = bytearray(whole.read_bytes()), stored(whole)
        place = content.index(b"signal 11")
        content[place] ^= 4
        path = copy_of(whole, content, tmp_path)
        (problem,) = check(path).problems
        assert "records is not what was written: its checksum differs" in problem
        assert salvage(path, tmp_path / "saved.db").rows["records"] == RECORDS
        assert len(before - stored(tmp_path / "saved.db")) == 1

    def test_without_its_first_page(self, whole: Path, tmp_path: Path) -> None:
        path = copy_of(whole, bytes(4096) + whole.read_bytes()[4096:], tmp_path)
        assert "is not an SQLite database" in check(path).problems[0]
        assert salvage(path, tmp_path / "saved.db").rows["records"] == RECORDS + 1
        assert stored(tmp_path / "saved.db") == stored(whole)

    def test_bytes_where_text_was_written(self, whole: Path, tmp_path: Path) -> None:
        path = copy_of(whole, whole.read_bytes(), tmp_path)
        run_sql(path, "UPDATE records SET message = CAST(message AS BLOB) WHERE id = 3")
        assert check(path).problems == ["row 3 of records is not what was written: its checksum differs"]
        assert salvage(path, tmp_path / "saved.db").rows["records"] == RECORDS

    @pytest.mark.parametrize("share", [0.15, 0.3, 0.6, 0.95, 0.9995])
    def test_cut_off(self, whole: Path, tmp_path: Path, share: float) -> None:
        content = whole.read_bytes()
        path = copy_of(whole, content[: int(len(content) * share)], tmp_path)
        assert check(path).problems
        salvaged = salvage(path, tmp_path / "saved.db")
        assert check(tmp_path / "saved.db").problems == []
        assert stored(tmp_path / "saved.db") <= stored(whole)
        assert salvaged.rows["records"] >= RECORDS * (share - 0.3)

    def test_records_without_their_sketch(self, whole: Path, tmp_path: Path) -> None:
        path = copy_of(whole, whole.read_bytes(), tmp_path)
        run_sql(path, "DELETE FROM sketches WHERE text = '{\"v\":1}'")
        problems = check(path).problems
        assert any("refers to a row of sketches that is gone" in problem for problem in problems)
        content = path.read_bytes().replace(b'{"v":1}', b'{"v":!}')  # what was deleted is still in the page
        path.write_bytes(content)
        salvaged = salvage(path, tmp_path / "saved.db")
        assert salvaged.orphans > 100 and check(tmp_path / "saved.db").problems == []
        assert salvaged.rows["records"] == RECORDS + 1 - salvaged.orphans

    def test_a_key_that_is_not_its_texts(self, whole: Path, tmp_path: Path) -> None:
        path = copy_of(whole, whole.read_bytes(), tmp_path)
        run_sql(path, "UPDATE workloads SET key = 'other', checksum = 0 WHERE id = 1")
        assert "row 1 of workloads is not what was written" in check(path).problems[0]


class TestLog:
    @pytest.fixture
    def with_log(self, tmp_path: Path) -> tuple[Path, int]:
        """A file whose last records are only in the log of changes: its writer was killed."""
        path = tmp_path / "tuning.db"
        writer = start_writer(path, "w", 10**6)
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(60)]
        writer.send_signal(signal.SIGKILL)
        lines += writer.stdout.read().splitlines()
        writer.communicate()
        assert os.path.getsize(f"{path}-wal") > 10_000
        return path, len(lines)

    def test_what_is_only_in_the_log_is_saved(self, with_log: tuple[Path, int], tmp_path: Path) -> None:
        path, acknowledged = with_log
        content = path.read_bytes()
        assert salvage(path, tmp_path / "saved.db").rows["records"] >= acknowledged
        assert path.read_bytes() == content
        assert check(path).problems == []

    def test_damage_in_the_log_is_detected_and_what_is_behind_it_saved(
        self, with_log: tuple[Path, int], tmp_path: Path
    ) -> None:
        path, acknowledged = with_log
        log = Path(f"{path}-wal")
        content = bytearray(log.read_bytes())
        content[32 + 24 + 4096 * 3 + 24 * 3 + 2000] ^= 1  # in the middle of the fourth frame
        log.write_bytes(content)
        shutil.copy(log, tmp_path / "kept-wal")
        assert any("-wal is damaged" in problem for problem in check(path).problems)
        shutil.copy(tmp_path / "kept-wal", log)
        assert salvage(path, tmp_path / "saved.db").rows["records"] >= acknowledged - 1


def test_a_damaged_file_goes_on_after_salvage(whole: Path, tmp_path: Path) -> None:
    path = copy_of(whole, whole.read_bytes()[:-20_000], tmp_path)
    salvage(path, tmp_path / "saved.db")
    with Database.open(tmp_path / "saved.db") as database:
        database.start_run(make_run("after"), TASK)
        database.add(make_record("after", run_id="after"), TASK)
        assert database.records(TASK)[-1].trial == "after"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_writers_killed_at_random_lose_nothing(tmp_path: Path) -> None:
    script = Path(__file__).with_name("kill_writers.py")
    command = [sys.executable, str(script), str(tmp_path / "tuning.db"), "200", "11"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert finished.returncode == 0, finished.stderr
    counts = json.loads(finished.stdout)
    assert counts["lost"] == 0 and counts["sound"] == 1
    assert counts["kills"] == 204 and counts["acknowledged"] > 200
    # A record that was committed but not named yet when its writer was killed, two where it added two at once.
    assert counts["acknowledged"] <= counts["stored"] <= counts["acknowledged"] + 2 * counts["kills"]
    assert check(tmp_path / "tuning.db").problems == []
