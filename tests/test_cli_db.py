"""``autotune db``: real files, the real command line."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from test_interchange import contents, fill
from test_tuning_logs import TASK, WORKLOAD, make_run, make_version1, run_sql

from autotune.cli.db import command
from autotune.cli.entry import run
from autotune.tuning_logs import Database, Workload
from autotune.tuning_logs.schema import SCHEMA_VERSION

Db = Callable[..., tuple[int, str, str]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Database.open(tmp_path / "tuning.db") as database:
        fill(database)
    return tmp_path / "tuning.db"


@pytest.fixture
def db(path: Path, capfd: pytest.CaptureFixture[str]) -> Db:
    """Runs ``autotune db`` on the file: exit code, what it printed, and what it complained about."""

    def call(*words: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run(["db", *map(str, words), "--db", str(path)])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return call


class TestLooking:
    def test_list(self, db: Db) -> None:
        code, out, _ = db("list")
        header, *lines = out.splitlines()
        assert code == 0
        assert header.split() == ["key", "best", "trials", "failed", "target", "threads", "device", "workload"]
        assert len(lines) == 2 and " 15 " in lines[0] and lines[0].endswith("conv2d(...)")
        code, out, _ = db("best", lines[0].split()[0])  # the beginning of a key that the table shows is enough
        assert code == 0 and "verified" in out

    def test_the_table_shows_all_of_a_workload(self, path: Path, db: Db) -> None:
        long = replace(TASK, workload=Workload(f"conv2d({', '.join(f'axis{n}={n}' for n in range(40))})"))
        with Database.open(path) as database:
            database.start_run(make_run("other"), long)
        assert db("list")[1].splitlines()[-1].endswith(long.workload.text)
        assert "has no tasks of matmul" in db("list", "--operator", "matmul")[1]

    def test_json_and_csv_hold_the_same(self, db: Db) -> None:
        rows = json.loads(db("list", "--json")[1])
        assert [row["trials"] for row in rows] == [15, 12]  # without its 3 finalists
        assert rows[0]["key"] == WORKLOAD.key
        read = list(csv.DictReader(io.StringIO(db("list", "--csv")[1])))
        assert [[str(value) for value in row.values()] for row in rows] == [list(row.values()) for row in read]

    def test_best(self, db: Db, path: Path) -> None:
        with Database.open(path, readonly=True) as database:
            top = [record.trial for record, _ in database.top(3, WORKLOAD.key)]
        rows = json.loads(db("best", "conv2d(...)", "--top", 3, "--json")[1])
        assert sorted(row["trial"] for row in rows) == sorted(top)
        assert db("best", WORKLOAD.key[:8], "--top", 3, "--json")[1] == json.dumps(rows) + "\n"
        assert "trial" in db("best", "conv2d(...)")[1].splitlines()[0]
        assert "no record is fit" in db("best", "conv2d(...)", "--target", "other")[1]
        assert "no record is fit" in db("best", "conv2d(...)", "--days", 1)[1]
        never = ("best", "conv2d(...)", "--toolchain", "llvm 99", "--others", "never")
        assert "no record is fit" in db(*never)[1]

    def test_what_there_is_not(self, db: Db) -> None:
        code, _, err = db("best", "conv3d")
        assert code == 1 and err.endswith("has no workload 'conv3d'; autotune db list shows what it has\n")
        code, _, err = db("best", "conv2d")
        assert code == 2 and err.endswith(f"a workload's key, such as {WORKLOAD.key[:10]}\n")
        code, _, err = db("show", "none")
        assert code == 1 and "has no trial 'none'" in err
        code, _, err = db("best", "")
        assert code == 2 and "begins several workloads' keys" in err
        assert db("best", "conv2d(...)", "--others", "never")[0] == 2

    def test_show(self, db: Db) -> None:
        code, out, _ = db("show", "run-3")
        assert code == 0 and "crash signal 11 ü" in out and "avx2" not in out and '{"v":0}' in out
        data = json.loads(db("show", "run-4", "--json")[1])
        assert data["record"]["knobs"] == {"tile": 4} and data["run"]["host"]["cpu"] == "cpu model x"
        assert data["task"]["workload"]["operator"] == "conv2d"

    def test_stats(self, db: Db) -> None:
        data = json.loads(db("stats", "--json")[1])
        assert (data["records"], data["tasks"], data["sketches"], data["schema"]) == (30, 2, 3, SCHEMA_VERSION)
        assert data["status"] == {"ok": 26, "crash": 4} and data["evidence"] == {"measured": 30}
        assert "ok: 26, crash: 4" in db("stats")[1] and data["database"] in db("stats")[1]


class TestChecking:
    def test_whole(self, db: Db) -> None:
        code, out, _ = db("check")
        assert code == 0 and out.endswith("whole; 30 sound records\n")

    def test_damaged_and_salvaged(self, db: Db, path: Path, tmp_path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content.replace(b"signal 11", b"signal 12", 1))
        code, out, _ = db("check")
        assert code == 1 and "its checksum differs" in out and "--salvage NEW writes" in out
        code, out, _ = db("check", "--salvage", tmp_path / "saved.db")
        assert code == 1 and out.endswith("saved.db: 29 records salvaged\n")
        data = json.loads(db("check", "--json")[1])
        assert len(data["problems"]) == 1 and data["sound"]["records"] == 29
        code, _, err = db("check", "--salvage", tmp_path / "saved.db")
        assert code == 1 and "exists already" in err


class TestUpgrading:
    def test_an_older_file(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        older = tmp_path / "older.db"
        make_version1(older)
        assert run(["db", "check", "--db", str(older)]) == 1
        said = capfd.readouterr().out
        assert "autotune db upgrade brings it up to date" in said and "--salvage" not in said and said.count("\n") == 1
        assert run(["db", "list", "--db", str(older)]) == 1 and "autotune db upgrade" in capfd.readouterr().err
        assert run(["db", "upgrade", "--db", str(older)]) == 0
        assert capfd.readouterr().out.endswith("kept as older.db.version1\n")
        assert run_sql(older, "PRAGMA user_version") == (SCHEMA_VERSION,)
        assert run_sql(tmp_path / "older.db.version1", "PRAGMA user_version") == (1,)
        assert run(["db", "list", "--db", str(older)]) == 0

    def test_a_file_of_this_version(self, db: Db, path: Path) -> None:
        assert db("upgrade")[1].endswith(f"of version {SCHEMA_VERSION} already, the newest\n")
        found = json.loads(db("upgrade", "--json")[1])
        assert found == {"database": str(path), "before": SCHEMA_VERSION, "now": SCHEMA_VERSION}


class TestExchange:
    def test_export_and_import(self, db: Db, path: Path, tmp_path: Path) -> None:
        lines = tmp_path / "log.jsonl"
        assert db("export", lines)[:2] == (0, "")
        assert db("export")[1] == lines.read_text()
        code, out, _ = db("import", lines)
        assert code == 0 and out == f"0 new records in {path}, 30 it had already, 0 lines left out\n"
        other = tmp_path / "other.db"
        assert run(["db", "import", str(lines), "--db", str(other)]) == 0
        with Database.open(other) as copy, Database.open(path) as original:
            assert contents(copy) == contents(original)

    def test_an_export_that_fails_leaves_the_one_before(self, db: Db, path: Path, tmp_path: Path) -> None:
        lines = tmp_path / "log.jsonl"
        assert db("export", lines)[0] == 0
        before = lines.read_bytes()
        assert run_sql(path, "UPDATE records SET knobs = '[1' WHERE id = 20") is None
        code, _, err = db("export", lines)
        assert code == 1 and err.startswith("Error: ") and err.count("\n") == 1
        assert lines.read_bytes() == before and not [*tmp_path.glob("*.unfinished")]
        assert run_sql(path, "UPDATE records SET knobs = '{}', seconds = 9e999 WHERE id = 20") is None
        code, _, err = db("export", lines)
        assert code == 1 and "is damaged: a record makes no sense" in err and lines.read_bytes() == before
        assert run_sql(path, "UPDATE runs SET options = '{'") is None
        assert db("list", "--runs")[0] == 1
        assert db("export", "/dev/null")[0] == 1 and Path("/dev/null").is_char_device()

    def test_json(self, db: Db, path: Path, tmp_path: Path) -> None:
        lines, other = tmp_path / "log.jsonl", tmp_path / "other.db"
        db("export", lines)
        with lines.open("a") as more:
            more.write("no JSON\n")
        figures = {"database": str(path), "new": 0, "already": 30, "left_out": 0, "problems": []}
        found = json.loads(db("import", lines, "--skip-bad", "--json")[1])
        assert (found["already"], found["left_out"]) == (30, 1) and found["problems"][0].startswith("line ")
        Database.open(other).close()
        assert json.loads(db("merge", path, other, "--json")[1]) == {
            str(path): figures, str(other): {**figures, "already": 0},
        }  # fmt: skip
        pruned = json.loads(db("prune", "--keep", 2, "--sample", 1, "--yes", "--json")[1])
        assert (pruned["removed"], pruned["kept"]) == (24, 6)

    def test_bad_lines(self, db: Db, tmp_path: Path) -> None:
        lines = tmp_path / "log.jsonl"
        lines.write_bytes(b'{"autotune tuning log": 1}\n\xff\n{"record": {}}\n')
        code, _, err = db("import", lines)
        assert code == 2 and err.startswith("Error: line 2: it is no JSON") and err.count("\n") == 1
        code, out, err = db("import", lines, "--skip-bad")
        assert code == 0 and "0 new records" in out and "2 lines left out" in out
        assert [line.partition(": it")[0] for line in err.splitlines()] == ["left out: line 2", "left out: line 3"]
        code, _, err = db("export", tmp_path / "none" / "log.jsonl")
        assert code == 2 and err == f"Error: {tmp_path / 'none'} is no folder that log.jsonl could be written to\n"
        code, _, err = db("import", tmp_path / "none.jsonl")
        assert code == 1 and "No such file" in err

    def test_merge(self, db: Db, path: Path, tmp_path: Path) -> None:
        with Database.open(tmp_path / "other.db") as other:
            fill(other, "second", 10)
        code, out, _ = db("merge", tmp_path / "other.db")
        assert code == 0 and "10 new records" in out
        assert db("merge", tmp_path / "none.db")[0] == 1
        with Database.open(path, readonly=True) as database:
            assert database.count() == 40

    def test_prune(self, db: Db, path: Path) -> None:
        code, out, _ = db("prune", "--keep", 2, "--sample", 1, "--yes")
        assert code == 0 and out.startswith("24 records removed, 6 kept; ")
        assert run_sql(path, "SELECT count(*) FROM records") == (6,)
        assert db("prune", "--keep", 0, "--yes")[0] == 2

    def test_what_is_not_there_is_not_created(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        for words in (["prune", "--yes"], ["upgrade"]):
            assert run(["db", *words, "--db", str(tmp_path / "typo.db")]) == 1
            assert capfd.readouterr().err.endswith("typo.db does not exist\n")
        assert not (tmp_path / "typo.db").exists()

    def test_prune_asks(self, path: Path) -> None:
        from_stdin: Result = CliRunner().invoke(command, ["prune", "--db", str(path)], input="n\n")
        assert from_stdin.exit_code != 0
        nobody: Result = CliRunner().invoke(command, ["prune", "--db", str(path)], input="", standalone_mode=False)
        assert str(nobody.exception) == "nothing was removed; --yes does not ask"
        with closing(sqlite3.connect(path)) as raw:
            assert raw.execute("SELECT count(*) FROM records").fetchone() == (30,)


@pytest.mark.parametrize(
    "words", [["list"], ["stats"], ["best", "x"], ["show", "x"], ["export"], ["check"], ["upgrade"]]
)
def test_files_that_are_none(words: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.db"
    bad.write_text("shopping list\n" * 100)
    for path in (bad, tmp_path, tmp_path / "none.db"):
        assert run(["db", *words, "--db", str(path)]) == 1
        out, err = capfd.readouterr()
        assert (err.startswith("Error: ") and err.count("\n") == 1) or "is not an SQLite database" in out
    assert bad.read_text().startswith("shopping")
