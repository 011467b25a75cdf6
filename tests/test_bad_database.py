"""Databases that cannot be used, by the real command line in a process of its own: a sentence, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
from test_cli import command
from test_interchange import fill
from test_tuning_logs import TASK, make_record, make_run

from autotune.cli.entry import run
from autotune.tuning_logs import Database
from autotune.tuning_logs.checking import check
from autotune.tuning_logs.interchange import export_lines

COMMANDS = [["db", "list"], ["best", "matmul"], ["db", "import"], ["matmul"]]
NOT_ONE = "is not an SQLite database; it was left as it is"

# Runs commands in turn. Root is bound by no permission, and another user may not be able to import the package: so as
# root at first, on a file that is good, which loads everything; then as another user, unless there is no such file.
PROGRAM = textwrap.dedent("""
    import json, os, sys
    from autotune.cli.entry import run

    good, commands = json.loads(sys.argv[1])
    for words in commands if good else ():
        run([*words[:-1], good])
    if good and os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    for words in commands:
        print("next", flush=True)
        print("next", file=sys.stderr, flush=True)
        print(run(words), flush=True)
""")


def run_all(commands: Sequence[Sequence[object]], good: Path | None = None) -> list[tuple[int, str, str]]:
    """Exit code, output and complaint of each, in one process; the last word of each is its database."""
    request = json.dumps([None if good is None else str(good), [[*map(str, words)] for words in commands]])
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM, request], capture_output=True, text=True, timeout=120, input="", check=True
    )
    outputs, complaints = (text.split("next\n")[1:] for text in (finished.stdout, finished.stderr))
    found = []
    for output, complaint in zip(outputs, complaints, strict=True):
        *lines, code = output.splitlines(keepends=True)
        found.append((int(code), "".join(lines), complaint))
    return found


def sentences(path: Path) -> list[str]:
    """What all the commands complain with; it must be one line, and the exit code must say so, too."""
    found = run_all([[*words, "--db", path] for words in COMMANDS])
    assert all(code in (1, 2) and out == "" for code, out, _ in found)
    assert all(said.startswith("Error: ") and said.count("\n") == 1 for *_, said in found), found
    return [said for *_, said in found]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


def make(path: Path) -> bytes:
    with Database.open(path) as database:
        fill(database)
    return path.read_bytes()


def test_not_a_database(folder: Path) -> None:
    path = folder / "list.db"
    path.write_text("shopping list\n" * 100)
    assert all(NOT_ONE in said for said in sentences(path))
    assert path.read_text() == "shopping list\n" * 100 and os.listdir(folder) == ["list.db"]


def test_a_directory(folder: Path) -> None:
    assert all("is a directory" in said for said in sentences(folder))
    assert os.listdir(folder) == []


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_no_permission(folder: Path, tmp_path: Path) -> None:
    cases = [
        (["best", "matmul"], 0, 0o755), (["db", "import"], 0o444, 0o755), (["db", "import"], 0o666, 0o555),
        (["db", "list"], 0o666, 0), (["db", "stats"], 0o444, 0o555),
    ]  # fmt: skip
    make(tmp_path / "good.db")
    paths, before = [folder / str(number) / "tuning.db" for number in range(len(cases))], list[bytes]()
    for path, (_, file, parent) in zip(paths, cases, strict=True):
        path.parent.mkdir()
        before.append(make(path))
        path.chmod(file)
        path.parent.chmod(parent)
    commands = [[*words, "--db", path] for path, (words, _, _) in zip(paths, cases, strict=True)]
    *refused, read = run_all(commands, tmp_path / "good.db")
    for path in paths:
        path.parent.chmod(0o755)
    for path, (code, out, complaint) in zip(paths[:-1], refused, strict=True):
        assert code == 1 and out == "" and complaint.count("\n") == 1, complaint
        assert complaint.startswith(f"Error: {path} ")
        assert any(reason in complaint for reason in ("no permission", "is read-only", "Permission denied"))
    assert read[0] == 0 and "30" in read[1], "no permission to write is enough to read"
    assert [path.read_bytes() for path in paths] == before
    assert all(os.listdir(path.parent) == ["tuning.db"] for path in paths)


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="files have no size limit here")
def test_the_disk_is_full_in_the_middle_of_an_import(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """By a limit on the size of files, which the log of changes reaches within a transaction."""
    lines, path, batch = folder / "log.jsonl", folder / "tuning.db", 200
    with Database.open(folder / "large.db") as large, lines.open("w") as out:
        large.start_run(make_run(), TASK)
        large.add_all((make_record(f"t{n}", message="x" * 3_000), TASK) for n in range(2 * batch + 10))
        out.writelines(export_lines(large))
    program = textwrap.dedent("""
        import resource, sys
        from autotune.cli.entry import run
        from autotune.tuning_logs import interchange

        limit, interchange.BATCH = map(int, sys.argv[1:3])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        sys.exit(run(sys.argv[3:]))
    """)
    words = ["db", "import", str(lines), "--db", str(path)]
    finished = subprocess.run(
        [sys.executable, "-c", program, "1500000", str(batch), *words], capture_output=True, text=True, timeout=120
    )
    assert finished.returncode == 1 and finished.stderr.count("\n") == 1, finished
    assert finished.stderr.startswith(f"Error: {path} cannot ") and "disk is full" in finished.stderr
    assert check(path).problems == []
    with Database.open(path, readonly=True) as database:
        assert database.count() == batch, "the batch before the full disk is there, the one that met it is not"
    assert run(words) == 0
    again = capfd.readouterr().out
    assert again.startswith(f"{batch + 10} new records") and f"{batch} it had already" in again


def test_locked_by_another_program(folder: Path) -> None:
    """It waits for half a minute before it gives up; here the other program lets go of it after a moment."""
    path, lines = folder / "tuning.db", folder / "log.jsonl"
    with Database.open(folder / "other.db") as other, lines.open("w") as out:
        fill(other)
        out.writelines(export_lines(other))
    Database.open(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        waiting = subprocess.Popen(command("db", "import", lines, "--db", path), stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(3)
        raw.execute("ROLLBACK")
    out_text, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0 and out_text.startswith("30 new records")


def test_impossible_times_are_left_out_by_their_line(folder: Path) -> None:
    with Database.open(folder / "other.db") as other:
        other.start_run(make_run(), TASK)
        other.add_all((make_record(f"t{n}", 0.125 if n == 1 else 0.25), TASK) for n in range(3))
        text = "".join(export_lines(other))
    number = next(n for n, line in enumerate(text.splitlines(), 1) if '"seconds":0.125' in line)
    commands = []
    for seconds in ("NaN", "-1.0"):
        lines = folder / f"{seconds}.jsonl"
        lines.write_text(text.replace('"seconds":0.125', f'"seconds":{seconds}'))
        importing = ["db", "import", lines, "--db", folder / f"{seconds}.db"]
        commands += [importing, [*importing[:3], "--skip-bad", *importing[3:]]]
    done = run_all(commands)
    for code, out, complaint in done[::2]:
        assert code == 2 and out == "" and complaint.startswith(f"Error: line {number}: "), complaint
    for code, out, complaint in done[1::2]:
        assert code == 0 and complaint.startswith(f"left out: line {number}: ")
        assert out.startswith("1 new record in") and "1 line left out" in out
    assert all(check(folder / f"{seconds}.db").sound["records"] == 2 for seconds in ("NaN", "-1.0"))
