"""The tuning database on real files, with real processes that are really killed."""

from __future__ import annotations

import math
import multiprocessing
import os
import platform
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from autotune.databases import default_path
from autotune.errors import UsageError
from autotune.search.history import load_history, run_record
from autotune.search.options import TuneOptions
from autotune.search.space import SearchSpace
from autotune.search.task import TuningTask
from autotune.targets.host import host_device, native_target
from autotune.tensor_expr.operators import get_operator
from autotune.tuning_logs import (
    Accept,
    Database,
    DatabaseError,
    DeviceInfo,
    Host,
    Record,
    Run,
    TargetInfo,
    Task,
    Workload,
)
from autotune.tuning_logs.schema import APPLICATION_ID, COLUMNS, SCHEMA_VERSION
from autotune.version import VERSION

WORKLOAD = Workload("conv2d(...)", "conv2d", {"batch": 1, "kernel": [3, 3]})
DEVICE = DeviceInfo("cpu", "cpu model x", {"cores": 2})
TASK = Task(WORKLOAD, TargetInfo("native", "x86 avx512"), DEVICE, 1, "llvm 20", 1)


def make_run(name: str = "run") -> Run:
    return Run(run_id=name, seed=3, package_version="0.1.0", llvm_version="20.1", options={"trials": 200})


def make_record(trial: str, seconds: Any = 1e-3, **fields: Any) -> Record:
    defaults: dict[str, Any] = {
        "run_id": "run", "sketch": '[["split"]]', "knobs": {"tile": 8}, "seed": 3, "verified": seconds is not None,
        "status": "ok" if seconds else "crash", "seconds": seconds,
    }  # fmt: skip
    return Record(trial=trial, **(defaults | fields))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tuning.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    with Database.open(path) as opened:
        opened.start_run(make_run(), TASK)
        yield opened


def run_sql(path: Path, sql: str) -> Any:
    """The first row of what another program gets from the file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        return raw.execute(sql).fetchone()


def refusal(path: Path, readonly: bool = False) -> str:
    """The one sentence with which the file is refused."""
    with pytest.raises(DatabaseError) as caught:
        Database.open(path, readonly=readonly, busy_seconds=0.2).close()
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


class TestRecords:
    def test_everything_comes_back(self, database: Database) -> None:
        record = make_record(
            "a", 2e-3, knobs={"tile": 16, "unroll": 4}, batch=2, phase="final", message="spills: 3 ü",
            samples=[2e-3, 1.9e-3, 2.1e-3], ci_low=1.9e-3, ci_high=2.1e-3, probe=230.5, baseline_seconds=5e-3,
            max_error=1e-6, build_seconds=0.01, measure_seconds=0.2, evidence="emulated",
        )  # fmt: skip
        database.add(record, TASK)
        assert database.records(TASK) == [record]
        assert database.best(WORKLOAD.key) == (record, TASK)

    def test_order_and_phase(self, database: Database) -> None:
        for index in range(20):
            database.add(make_record(f"t{19 - index}", phase="final" if index % 5 == 0 else "trial"), TASK)
        assert [record.trial for record in database.records(TASK)] == [f"t{19 - index}" for index in range(20)]
        assert [record.trial for record in database.records(TASK, "final")] == ["t19", "t14", "t9", "t4"]

    def test_the_same_trial_twice_is_one_record(self, database: Database) -> None:
        database.add(make_record("a", 1e-3), TASK)
        database.add(make_record("a", 2e-3), TASK)
        assert [record.seconds for record in database.records(TASK)] == [1e-3]

    def test_numpy_numbers(self, database: Database) -> None:
        record = make_record(
            "a", np.float32(0.5), knobs={"tile": np.int64(8)}, samples=np.array([0.5]), seed=np.int64(3),
            verified=np.bool_(True), max_error=np.float32(math.nan),
        )  # fmt: skip
        database.add(record, TASK)
        assert database.records(TASK) == [record]
        assert record.max_error == math.inf

    def test_a_message_that_is_not_text(self, database: Database) -> None:
        database.add(make_record("a", None, message=b"\xff!".decode(errors="surrogateescape")), TASK)
        assert database.records(TASK)[0].message == "?!"

    def test_tasks_are_apart(self, database: Database) -> None:
        others = [
            Task(Workload("matmul"), TASK.target, DEVICE, 1, "llvm 20", 1),
            Task(WORKLOAD, TargetInfo("native", "x86 avx2"), DEVICE, 1, "llvm 20", 1),
            Task(WORKLOAD, TASK.target, DeviceInfo("cpu", "cpu model y"), 1, "llvm 20", 1),
            Task(WORKLOAD, TASK.target, DEVICE, 2, "llvm 20", 1),
            Task(WORKLOAD, TASK.target, DEVICE, 1, "llvm 21", 1),
            Task(WORKLOAD, TASK.target, DEVICE, 1, "llvm 20", "2"),
        ]
        for index, task in enumerate([TASK, *others]):
            assert database.records(task) == []
            database.add(make_record(f"t{index}"), task)
        for index, task in enumerate([TASK, *others]):
            assert [record.trial for record in database.records(task)] == [f"t{index}"]
        assert database.count() == 7

    def test_count(self, database: Database) -> None:
        for index, seconds in enumerate([1e-3, None, 2e-3]):
            database.add(make_record(f"t{index}", seconds), TASK)
        assert database.count(TASK) == 3
        assert database.count(TASK, status="ok") == 2
        assert database.count(TASK, phase="final") == 0
        assert database.count(Task(WORKLOAD, TASK.target, DEVICE, 9, "", "")) == 0

    def test_a_sketch_is_stored_once(self, database: Database, path: Path) -> None:
        for index in range(10):
            database.add(make_record(f"t{index}", sketch="x" * 1000), TASK)
        assert run_sql(path, "SELECT count(*) FROM sketches") == (1,)

    def test_a_run_that_was_not_started(self, database: Database) -> None:
        with pytest.raises(UsageError, match="run 'other', which was not started"):
            database.add(make_record("a", run_id="other"), TASK)
        assert database.count() == 0

    @pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 0.0])
    @pytest.mark.parametrize("name", ["seconds", "ci_low", "probe", "baseline_seconds", "samples"])
    def test_impossible_times(self, name: str, value: float) -> None:
        with pytest.raises(UsageError, match=f"trial a: {name} must be positive and finite"):
            make_record("a", **{"seconds": 1.0, name: [value] if name == "samples" else value, "status": "ok"})

    @pytest.mark.parametrize("value", [math.nan, -1.0])
    def test_impossible_durations(self, value: float) -> None:
        with pytest.raises(UsageError, match="build_seconds must be positive and finite"):
            make_record("a", build_seconds=value)

    @pytest.mark.parametrize(
        ("fields", "sentence"),
        [
            ({"phase": "last"}, "phase must be one of trial, final, not 'last'"),
            ({"evidence": "guessed"}, "evidence must be one of measured, emulated, modelled, not 'guessed'"),
            ({"seconds": None, "status": "ok"}, "status is ok, but there is no time"),
            ({"ci_low": 1.0}, "needs both of its ends"),
            ({"ci_low": 2.0, "ci_high": 1.0}, "is empty"),
        ],
    )
    def test_contradictions(self, fields: dict[str, Any], sentence: str) -> None:
        with pytest.raises(UsageError, match=sentence):
            make_record("a", **fields)

    def test_keys_are_stable(self) -> None:
        assert Workload("abc").key == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        assert Workload("abc", "conv2d", {"a": 1}) == Workload("abc")
        assert len({TASK, Task(WORKLOAD, TASK.target, DEVICE, 1, "llvm 20", "1")}) == 1


class TestBest:
    def best(self, database: Database, **where: Any) -> str | None:
        found = database.best(WORKLOAD.key, **where)
        return found[0].trial if found else None

    def test_nothing(self, database: Database) -> None:
        assert self.best(database) is None
        database.add(make_record("failed", None), TASK)
        assert self.best(database) is None

    def test_fastest_trial(self, database: Database) -> None:
        for trial, seconds in {"a": 3e-3, "b": 1e-3, "c": 2e-3}.items():
            database.add(make_record(trial, seconds), TASK)
        assert self.best(database) == "b"

    def test_failures_never_win(self, database: Database) -> None:
        database.add(make_record("ok", 3e-3), TASK)
        database.add(make_record("peak", 1e-9, status="above-peak"), TASK)
        database.add(make_record("unverified", 1e-3, verified=False), TASK)
        assert self.best(database) == "ok"
        assert self.best(database, accept=Accept(verified=False)) == "unverified"

    def test_finalists_before_lucky_trials(self, database: Database) -> None:
        for trial, seconds, phase in [("lucky", 1e-3, "trial"), ("f1", 3e-3, "final"), ("f2", 2e-3, "final")]:
            database.add(make_record(trial, seconds, phase=phase), TASK)
        assert self.best(database) == "f2"

    def test_finalists_of_the_latest_run(self, database: Database) -> None:
        database.start_run(make_run("second"), TASK)
        database.add(make_record("old", 1e-3, phase="final"), TASK)
        database.add(make_record("new", 1.1e-3, phase="final", run_id="second"), TASK)
        assert self.best(database) == "new"

    def test_a_clearly_faster_trial_of_an_interrupted_run(self, database: Database) -> None:
        database.add(make_record("before", 1e-4), TASK)
        database.add(make_record("final", 1e-3, ci_low=0.9e-3, ci_high=1.1e-3, phase="final"), TASK)
        database.start_run(make_run("second"), TASK)
        database.add(make_record("close", 0.89e-3, ci_low=0.8e-3, ci_high=0.95e-3, run_id="second"), TASK)
        assert self.best(database) == "final"
        database.add(make_record("clear", 0.8e-3, ci_low=0.7e-3, ci_high=0.85e-3, run_id="second"), TASK)
        assert self.best(database) == "clear"

    def test_conditions(self, database: Database) -> None:
        board = Task(WORKLOAD, TargetInfo("arm_neon", "a64"), DeviceInfo("board", "b"), 4, "llvm 20", 1)
        database.add(make_record("here", 2e-3), TASK)
        database.add(make_record("there", 1e-3), board)
        assert self.best(database) == "there"
        assert self.best(database, target_key=TASK.target.key) == "here"
        assert self.best(database, device_key=DEVICE.key) == "here"
        assert self.best(database, threads=1) == "here"
        assert self.best(database, threads=3) is None
        assert database.best(Workload("other").key) is None
        found = database.best(WORKLOAD.key, threads=4)
        assert found is not None and found[1] == board and found[1].workload.params == WORKLOAD.params

    def test_measured_before_emulated_before_modelled(self, database: Database) -> None:
        for trial, evidence, seconds in [("m", "modelled", 1e-3), ("e", "emulated", 2e-3), ("r", "measured", 3e-3)]:
            database.add(make_record(trial, seconds, evidence=evidence, phase="final"), TASK)
            assert self.best(database) == trial

    def test_other_toolchains_compare_by_time(self, database: Database) -> None:
        database.add(make_record("old", 1e-3, phase="final"), TASK)
        database.add(make_record("new", 2e-3, phase="final"), Task(WORKLOAD, TASK.target, DEVICE, 1, "llvm 21", 1))
        assert self.best(database) == "old"

    def test_is_an_index_lookup(self, path: Path) -> None:
        with Database.open(path) as database:
            seen: list[tuple[str, Any]] = []
            database._db._tracer = lambda sql, values: seen.append((sql, values))
            database.start_run(make_run(), TASK)
            database.add(make_record("a", phase="final"), TASK)
            seen.clear()
            database.best(WORKLOAD.key)
            database._db._tracer = None
            plans = [database._db.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall() for sql, values in seen]
        steps = [step[-1] for plan in plans for step in plan]
        scans = [step for step in steps if step.startswith("SCAN") and step not in ("SCAN final", "SCAN CONSTANT ROW")]
        assert len(plans) == 4 and not scans, steps


WRITER = textwrap.dedent("""
    import sys
    sys.path.insert(0, sys.argv[1])
    from test_tuning_logs import TASK, make_record, make_run
    from autotune.tuning_logs import Database

    with Database.open(sys.argv[2]) as database:
        database.start_run(make_run(), TASK)
        for index in range(int(sys.argv[4])):
            database.add(make_record(f"{sys.argv[3]}-{index}"), TASK)
            print(index, flush=True)
""")


def start_writer(path: Path, name: str, records: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(Path(__file__).parent), str(path), name, str(records)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


class TestProcesses:
    def test_kill_9_loses_no_acknowledged_record(self, path: Path) -> None:
        delays = random.Random(7)
        acknowledged: set[str] = set()
        for attempt in range(10):
            writer = start_writer(path, f"w{attempt}", 10**9)
            assert writer.stdout is not None
            lines = [writer.stdout.readline()]
            time.sleep(delays.uniform(0, 0.15))
            writer.send_signal(signal.SIGKILL)
            lines += writer.stdout.read().splitlines()
            writer.communicate()
            acknowledged |= {f"w{attempt}-{int(line)}" for line in lines}
            with Database.open(path) as database:
                stored = {record.trial for record in database.records(TASK)}
            # The one more is committed, but was killed before it could say so.
            assert acknowledged <= stored and len(stored - acknowledged) <= attempt + 1
            assert run_sql(path, "PRAGMA integrity_check") == ("ok",)
        assert len(acknowledged) > 10

    def test_kill_9_while_the_file_is_created(self, path: Path) -> None:
        for attempt in range(10):
            file = path.with_name(f"{attempt}.db")
            writer = start_writer(file, "w", 1)
            deadline = time.monotonic() + 30
            while not file.exists() and time.monotonic() < deadline:
                time.sleep(0.0002)
            time.sleep(attempt * 0.001)
            writer.kill()
            writer.communicate()
            with Database.open(file) as database:
                assert database.count() in (0, 1)

    def test_the_same_file_created_at_once(self, tmp_path: Path) -> None:
        context = multiprocessing.get_context("spawn")
        barrier = context.Barrier(4)
        processes = [context.Process(target=create_many, args=(barrier, tmp_path, seed)) for seed in range(4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0, 0, 0, 0]

    def test_four_writers_at_once(self, path: Path) -> None:
        writers = [start_writer(path, f"w{index}", 100) for index in range(4)]
        for writer in writers:
            writer.communicate(timeout=120)
            assert writer.returncode == 0
        with Database.open(path, readonly=True) as database:
            assert database.count(TASK) == 400

    def test_a_writer_gets_its_turn_where_another_one_hardly_pauses(self, database: Database, path: Path) -> None:
        """SQLite's own waiting lets the other one have more than a hundred turns here."""
        database.start_run(make_run(), TASK)
        turns, done, waited = [0], threading.Event(), 0

        def busy() -> None:
            with closing(sqlite3.connect(path, isolation_level=None)) as raw:
                while not done.is_set():
                    raw.execute("BEGIN IMMEDIATE")
                    turns[0] += 1
                    time.sleep(0.02)
                    raw.execute("ROLLBACK")
                    time.sleep(0.004)

        other = threading.Thread(target=busy)
        other.start()
        for number in range(20):
            time.sleep(0.005)
            before = turns[0]
            database.add(make_record(f"t{number}"), TASK)
            waited += turns[0] - before
        done.set()
        other.join()
        assert waited < 40 and turns[0] > 5


def create_many(barrier: Any, folder: Path, seed: int) -> None:
    delays = random.Random(seed)
    for index in range(40):
        barrier.wait(60)
        time.sleep(delays.uniform(0, 0.02))
        with Database.open(folder / f"{index}.db") as database:
            database.start_run(make_run(), TASK)


class TestOpening:
    def test_creates_the_folder(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "folder with ? and #" / "tuning.db"
        Database.open(path).close()
        assert path.is_file()

    def test_our_files_say_so(self, database: Database, path: Path) -> None:
        assert run_sql(path, "PRAGMA application_id") == (APPLICATION_ID,)
        assert run_sql(path, "PRAGMA user_version") == (SCHEMA_VERSION,)
        assert run_sql(path, "PRAGMA journal_mode") == ("wal",)

    def test_readonly(self, database: Database, path: Path) -> None:
        database.add(make_record("a"), TASK)
        with Database.open(path, readonly=True) as reader:
            assert reader.count() == 1
            with pytest.raises(DatabaseError, match="is read-only"):
                reader.add(make_record("b"), TASK)
        database.add(make_record("b"), TASK)

    def test_missing_or_empty_is_nothing_to_read(self, path: Path) -> None:
        assert "does not exist" in refusal(path, readonly=True)
        assert not path.exists()
        path.touch()
        assert "empty" in refusal(path, readonly=True)
        Database.open(path).close()

    def test_a_directory(self, tmp_path: Path) -> None:
        assert "is a directory, not a database" in refusal(tmp_path)
        assert "not a regular file" in refusal(Path("/dev/null"))

    def test_below_a_file(self, path: Path) -> None:
        path.write_text("text")
        assert "cannot be used as a tuning database" in refusal(path / "tuning.db")

    @pytest.mark.parametrize("readonly", [False, True])
    @pytest.mark.parametrize("content", [b"a", b"shopping list\n" * 1000, random.Random(0).randbytes(8192)])
    def test_not_a_database(self, path: Path, content: bytes, readonly: bool) -> None:
        path.write_bytes(content)
        assert "is not an SQLite database" in refusal(path, readonly)
        assert path.read_bytes() == content

    @pytest.mark.parametrize("mode", ["delete", "wal"])
    def test_a_foreign_database(self, path: Path, mode: str) -> None:
        raw = sqlite3.connect(path)
        raw.execute(f"PRAGMA journal_mode = {mode}")
        raw.execute("CREATE TABLE records (id INTEGER PRIMARY KEY)")
        raw.close()
        before = path.read_bytes()
        assert "is a database of another program" in refusal(path)
        assert path.read_bytes() == before

    def test_a_newer_version(self, path: Path) -> None:
        Database.open(path).close()
        run_sql(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        assert f"has schema version {SCHEMA_VERSION + 1}, written by a newer autotune" in refusal(path)
        assert "newer autotune" in refusal(path, readonly=True)

    def test_locked_by_another_program(self, database: Database, path: Path) -> None:
        raw = sqlite3.connect(path)
        raw.execute("BEGIN IMMEDIATE")
        with Database.open(path, busy_seconds=0.2) as other, pytest.raises(DatabaseError, match="locked by another"):
            other.add(make_record("a"), TASK)
        raw.rollback()
        raw.close()
        database.add(make_record("a"), TASK)

    def test_locked_while_opening(self, path: Path) -> None:
        raw = sqlite3.connect(path)
        raw.execute("BEGIN EXCLUSIVE")
        assert "locked by another program" in refusal(path)
        raw.close()

    def test_corrupt_pages(self, path: Path) -> None:
        with Database.open(path) as database:
            database.start_run(make_run(), TASK)
            for index in range(200):
                database.add(make_record(f"t{index}"), TASK)
        content = bytearray(path.read_bytes())
        content[4096:] = random.Random(1).randbytes(len(content) - 4096)
        path.write_bytes(content)
        with pytest.raises(DatabaseError, match="is damaged"), Database.open(path) as database:
            database.records(TASK)

    @pytest.mark.parametrize("column", ["knobs", "samples", "phase"])
    def test_a_damaged_row(self, database: Database, path: Path, column: str) -> None:
        database.add(make_record("a"), TASK)
        run_sql(path, f"UPDATE records SET {column} = '{{'")
        with pytest.raises(DatabaseError, match="is damaged: trial 'a' makes no sense"):
            database.records(TASK)

    def test_what_is_no_text_is_not_quoted(self, database: Database, path: Path) -> None:
        database.add(make_record("a"), TASK)
        run_sql(path, "UPDATE records SET knobs = CAST(x'7b22ff6c6f636b656422' AS TEXT)")
        with pytest.raises(DatabaseError) as caught:
            database.records(TASK)
        assert str(caught.value) == f"{path} is damaged; it was left as it is"

    def test_closed(self, path: Path) -> None:
        database = Database.open(path)
        database.close()
        database.close()
        with pytest.raises(DatabaseError, match="closed"):
            database.count()

    def test_default_path(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("XDG_DATA_HOME", "relative")
        assert default_path() == tmp_path / ".local" / "share" / "autotune" / "tuning.db"
        monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
        assert default_path() == tmp_path / "data" / "autotune" / "tuning.db"
        monkeypatch.setattr(sys, "platform", "darwin")
        assert default_path() == tmp_path / "Library" / "Application Support" / "autotune" / "tuning.db"


def fill(path: Path) -> tuple[list[str], str]:
    """Adds records until one is refused: those that were stored, and the refusal."""
    stored: list[str] = []
    with Database.open(path) as database, pytest.raises(DatabaseError) as caught:
        database.start_run(make_run(), TASK)
        while len(stored) < 10_000:
            database.add(make_record(f"t{len(stored)}", message="x" * 500), TASK)
            stored.append(f"t{len(stored)}")
    return stored, str(caught.value)


class TestDisk:
    @pytest.fixture
    def small_disk(self, tmp_path: Path) -> Iterator[Path]:
        disk = tmp_path / "disk"
        disk.mkdir()
        if (
            shutil.which("mount") is None
            or subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True
            ).returncode
        ):
            pytest.skip("may not mount a file system")
        yield disk
        subprocess.run(["umount", str(disk)], check=True)

    def test_full(self, small_disk: Path) -> None:
        path = small_disk / "tuning.db"
        stored, sentence = fill(path)
        assert "the disk is full" in sentence
        subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
        with Database.open(path) as database:
            assert [record.trial for record in database.records(TASK)] == stored and len(stored) > 20
            database.add(make_record("after"), TASK)

    @pytest.mark.parametrize("size", [4, 16, 40, 60, 80, 100])
    def test_full_while_the_file_is_created(self, small_disk: Path, size: int) -> None:
        (small_disk / "ballast").write_bytes(bytes(1024 * (1024 - size)))
        path = small_disk / "tuning.db"
        sentence = refusal(path)
        assert "full" in sentence
        (small_disk / "ballast").unlink()
        with Database.open(path) as database:
            database.start_run(make_run(), TASK)

    def test_read_only(self, small_disk: Path) -> None:
        path = small_disk / "tuning.db"
        with Database.open(path) as database:
            database.start_run(make_run(), TASK)
            database.add(make_record("a"), TASK)
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        assert "is read-only" in refusal(path)
        assert "is read-only" in refusal(small_disk / "new.db")
        assert "Read-only" in refusal(small_disk / "folder" / "new.db")
        with Database.open(path, readonly=True) as database:
            assert database.count() == 1

    def test_full_within_a_file(self, path: Path) -> None:
        """The same without a right to mount: a file that may not grow further."""
        with Database.open(path) as database:
            database.start_run(make_run(), TASK)
            pages = database._db.execute("PRAGMA page_count").fetchone()[0]
            database._db.execute(f"PRAGMA max_page_count = {pages}")
            with pytest.raises(DatabaseError, match="the disk is full"):
                for index in range(1000):
                    database.add(make_record(f"t{index}", message="x" * 500), TASK)
            database._db.execute("PRAGMA max_page_count = 100000")
            assert database.count() == index
            database.add(make_record("after"), TASK)


VERSION1 = Path(__file__).parent / "data" / "tuning_version1.sql"


def make_version1(path: Path) -> None:
    """The file that the release of schema version 1 wrote."""
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(VERSION1.read_text())
        raw.execute("PRAGMA journal_mode = WAL")


def make_version2(path: Path) -> None:
    """The same file as the release of schema version 2 migrated it."""
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(VERSION1.with_name("tuning_version2.sql").read_text())
        raw.execute("PRAGMA journal_mode = WAL")


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as raw:
        return list(raw.iterdump())


class TestMigration:
    def test_from_version_1(self, path: Path) -> None:
        make_version1(path)
        before = dump(path)
        with Database.open(path) as database:
            assert database.count() == 10 and database.count(status="crash") == 2
            conv, expression = database.tasks()
            assert conv.workload.params == {"batch": 1, "channels": 64, "dtype": "float32", "kernel": "3,3"}
            assert conv.device.facts == {"cores": 2, "features": ["avx2", "fma"]}
            records = database.records(conv)
            assert [record.phase for record in records] == ["trial"] * 4 + ["final"]
            assert records[2].samples == (3e-3, 3.3e-3) and records[2].knobs == {"i.tile": 2}
            assert (records[3].status, records[3].message) == ("crash", "signal 11 ü")
            assert records[4].max_error == math.inf
            best = database.best(expression.workload.key)
            assert best is not None and best[0].trial == "run1-final-0-0"
            run = database.run("run1")
            assert run is not None and run.options == {"trials": 20} and run.host == Host("") and run.clock == ""
            database.start_run(make_run(), TASK)
            database.add(make_record("new"), TASK)
        backup = path.with_name("tuning.db.version1")
        assert dump(backup) == before and run_sql(backup, "PRAGMA user_version") == (1,)
        assert run_sql(path, "PRAGMA user_version") == (SCHEMA_VERSION,)
        assert run_sql(path, "SELECT count(*) FROM records WHERE checksum = 0") == (0,)

    def test_a_migrated_file_has_the_schema_and_the_values_of_a_new_one(self, path: Path, tmp_path: Path) -> None:
        make_version1(path)
        fresh = tmp_path / "fresh.db"
        with Database.open(path) as old, Database.open(fresh) as new:
            for task in old.tasks():
                for record in old.records(task):
                    new.start_run(cast(Run, old.run(record.run_id)), task)
                    new.add(record, task)
        with closing(sqlite3.connect(path)) as a, closing(sqlite3.connect(fresh)) as b:
            for table, columns in COLUMNS.items():
                names = f"{', '.join(columns)}, checksum"
                physical = [row[1] for row in a.execute(f"PRAGMA table_info({table})")]
                assert physical == ["id", *columns, "checksum"]
                assert physical == [row[1] for row in b.execute(f"PRAGMA table_info({table})")]
                rows = f"SELECT {names} FROM {table} ORDER BY id"
                assert a.execute(rows).fetchall() == b.execute(rows).fetchall(), table

    def test_from_version_2(self, path: Path, tmp_path: Path) -> None:
        first = tmp_path / "first.db"
        make_version1(first)
        make_version2(path)
        run_sql(path, "UPDATE workloads SET checksum = 0 WHERE id = 2")
        for file in (first, path):
            Database.open(file).close()
        damaged, whole = dump(path), dump(first)
        assert len(damaged) == len(whole)
        assert next(line for line in damaged if "expression" in line and "VALUES(2" in line).endswith(",-1);")
        run_sql(path, "UPDATE workloads SET checksum = (SELECT checksum FROM workloads WHERE id = 1)")
        run_sql(first, "UPDATE workloads SET checksum = (SELECT checksum FROM workloads WHERE id = 1)")
        assert sorted(dump(path)) == sorted(dump(first))
        assert run_sql(path.with_name("tuning.db.version2"), "PRAGMA user_version") == (2,)

    def test_what_is_not_in_the_file_yet_is_backed_up_too(self, path: Path) -> None:
        make_version1(path)
        with closing(sqlite3.connect(path)) as writer:
            writer.execute("UPDATE records SET message = 'only in the log' WHERE id = 1")
            writer.commit()
            Database.open(path).close()
        backup = path.with_name("tuning.db.version1")
        assert run_sql(backup, "SELECT message FROM records WHERE id = 1") == ("only in the log",)

    def test_an_older_file_is_not_migrated_for_reading(self, path: Path) -> None:
        make_version1(path)
        assert "of an older version; autotune db upgrade brings it up to date" in refusal(path, readonly=True)
        assert run_sql(path, "PRAGMA user_version") == (1,)

    def test_a_migration_that_fails_changes_nothing(self, path: Path) -> None:
        make_version1(path)
        run_sql(path, "UPDATE workloads SET params = '{' WHERE id = 2")
        before = dump(path)
        refusal(path)
        assert dump(path) == before and run_sql(path, "PRAGMA user_version") == (1,)

    def test_no_backup_no_migration(self, path: Path) -> None:
        make_version1(path)
        path.with_name("tuning.db.version1").mkdir()
        assert "cannot be used" in refusal(path)
        assert run_sql(path, "PRAGMA user_version") == (1,)

    def test_by_several_at_once(self, path: Path) -> None:
        make_version1(path)
        context = multiprocessing.get_context("spawn")
        barrier = context.Barrier(3)
        processes = [context.Process(target=open_together, args=(barrier, path)) for _ in range(3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0, 0, 0]
        assert run_sql(path.with_name("tuning.db.version1"), "SELECT count(*) FROM records") == (10,)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
    def test_killed_meanwhile(self, path: Path) -> None:
        script = textwrap.dedent("""
            import os, random, signal, sys, time
            from pathlib import Path
            from autotune.tuning_logs import Database

            path, text = Path(sys.argv[1]), Path(sys.argv[1]).read_bytes()
            for attempt in range(60):
                for leftover in path.parent.glob("tuning.db*"):
                    leftover.unlink()
                path.write_bytes(text)
                process = os.fork()
                if not process:
                    Database.open(path)
                    os._exit(0)
                time.sleep(attempt * 0.0007)
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
                with Database.open(path) as database:
                    assert database.count() == 10 and len(database.tasks()) == 2, attempt
        """)
        make_version1(path)
        with closing(sqlite3.connect(path)) as raw:
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        subprocess.run([sys.executable, "-c", script, str(path)], check=True, timeout=120)


def open_together(barrier: Any, path: Path) -> None:
    barrier.wait(60)
    with Database.open(path) as database:
        assert database.count() == 10


class TestProvenance:
    def test_a_run_comes_back(self, database: Database) -> None:
        host = Host("f" * 64, "cpu model x", "avx2 fma", "Linux x86_64")
        run = Run(
            run_id="r", seed=1, package_version="0.2", llvm_version="20", command="autotune conv2d", host=host,
            compiler_flags="-O1", driver="Linux 6.1", clock="clock_gettime", options={"trials": 3}, provenance={"a": 1},
        )  # fmt: skip
        database.start_run(run, TASK)
        database.start_run(Run(run_id="r", seed=2, package_version="", llvm_version=""), TASK)
        assert database.run("r") == run
        assert database.run("other") is None

    def test_this_machine(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "argv", ["autotune", "matmul", "--db", "two words.db"])
        task = TuningTask(get_operator("matmul")(m=4, n=4, k=4), native_target(), host_device())
        options = TuneOptions(seed=7)
        history = load_history(database, task.key, SearchSpace(task.workload, task.target))
        run = run_record("id", task, options, history)
        assert (run.seed, run.package_version, run.command) == (7, VERSION, "autotune matmul --db 'two words.db'")
        assert re.fullmatch(r"llvmlite [\d.]+\S*, LLVM \d+\.\d+\.\d+", run.llvm_version)
        assert len(run.host.fingerprint) == 64 and "fma" in run.host.cpu_flags.replace(" neon", " fma")
        assert platform.node() not in repr(run.host)
        assert "resolution" in run.clock and platform.release() in run.driver and run.compiler_flags.startswith("-O")

    def test_times_are_kept_in_utc(self, database: Database) -> None:
        for text in ("2026-01-31T14:00:00+02:00", "2026-01-31T12:00:00Z", "2026-01-31T12:00:00"):
            assert make_record("a", created=text).created == "2026-01-31T12:00:00.000000+00:00"
        with pytest.raises(UsageError, match="'yesterday' is no time in ISO 8601"):
            make_record("a", created="yesterday")
