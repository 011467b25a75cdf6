"""Databases that cannot be used, by the real command line in a process of its own: a sentence, and nothing is lost."""

from __future__ import annotations

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

from autotune.tuning_logs import Database
from autotune.tuning_logs.checking import check
from autotune.tuning_logs.interchange import BATCH, export_lines

COMMANDS = [["db", "list"], ["best", "matmul"], ["db", "import"], ["matmul"]]
NOT_ONE = "is not an SQLite database; it was left as it is"


def sentence(words: Sequence[str], path: Path) -> str:
    """What the command complains with; it must be one line, and the exit code must say so, too."""
    finished = subprocess.run(command(*words, "--db", path), capture_output=True, text=True, timeout=120, input="")
    assert finished.returncode in (1, 2) and finished.stdout == ""
    assert finished.stderr.startswith("Error: ") and finished.stderr.count("\n") == 1, finished.stderr
    return finished.stderr


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


# Root is bound by no permission, and another user may not be able to import the package: so as root at first, on a file
# that is good, which loads everything, then as another user.
AS_NOBODY = textwrap.dedent("""
    import os, sys
    from autotune.cli.entry import run

    good, bad, *words = sys.argv[1:]
    run([*words, "--db", good])
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    print("now", flush=True)
    print("now", file=sys.stderr, flush=True)
    sys.exit(run([*words, "--db", bad]))
""")


def as_nobody(words: Sequence[str], path: Path) -> tuple[int, str, str]:
    """Exit code, output and complaint of a command that permissions bind."""
    if os.name != "posix":
        pytest.skip("permissions are POSIX's")
    with tempfile.TemporaryDirectory() as other:
        good = Path(other) / "good.db"
        make(good)
        finished = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, str(good), str(path), *words],
            capture_output=True, text=True, timeout=120, input="",
        )  # fmt: skip
    return finished.returncode, *(text.partition("now\n")[2] for text in (finished.stdout, finished.stderr))


def make(path: Path) -> bytes:
    with Database.open(path) as database:
        fill(database)
    return path.read_bytes()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_not_a_database(words: list[str], folder: Path) -> None:
    path = folder / "list.db"
    path.write_text("shopping list\n" * 100)
    assert NOT_ONE in sentence(words, path)
    assert path.read_text() == "shopping list\n" * 100 and os.listdir(folder) == ["list.db"]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_directory(words: list[str], folder: Path) -> None:
    assert "is a directory" in sentence(words, folder)
    assert os.listdir(folder) == []


@pytest.mark.parametrize(
    ("words", "file", "parent"),
    [
        (["best", "matmul"], 0, 0o755),
        (["db", "import"], 0o444, 0o755),
        (["db", "import"], 0o666, 0o555),
        (["db", "list"], 0o666, 0),
    ],
)
def test_no_permission(words: list[str], file: int, parent: int, folder: Path) -> None:
    path = folder / "own" / "tuning.db"
    path.parent.mkdir()
    before = make(path)
    path.chmod(file)
    path.parent.chmod(parent)
    code, out, complaint = as_nobody(words, path)
    path.parent.chmod(0o755)
    assert code == 1 and out == "" and complaint.count("\n") == 1, complaint
    assert complaint.startswith(f"Error: {path} ")
    assert any(reason in complaint for reason in ("no permission", "is read-only", "Permission denied"))
    assert path.read_bytes() == before and os.listdir(path.parent) == ["tuning.db"]


def test_no_permission_to_write_is_enough_to_read(folder: Path) -> None:
    path = folder / "tuning.db"
    make(path)
    path.chmod(0o444)
    folder.chmod(0o555)
    code, out, complaint = as_nobody(["db", "stats"], path)
    folder.chmod(0o755)
    assert code == 0 and "30" in out, complaint


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="files have no size limit here")
def test_the_disk_is_full_in_the_middle_of_an_import(folder: Path) -> None:
    """By a limit on the size of files, which the log of changes reaches within a transaction."""
    lines, path = folder / "log.jsonl", folder / "tuning.db"
    with Database.open(folder / "large.db") as large, lines.open("w") as out:
        large.start_run(make_run(), TASK)
        large.add_all((make_record(f"t{n}", message="x" * 300), TASK) for n in range(2 * BATCH + 10))
        out.writelines(export_lines(large))
    program = textwrap.dedent("""
        import resource, sys
        from autotune.cli.entry import run
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
        sys.exit(run(sys.argv[2:]))
    """)
    words = ["db", "import", str(lines), "--db", str(path)]
    finished = subprocess.run(
        [sys.executable, "-c", program, str(5_000_000), *words], capture_output=True, text=True, timeout=120
    )
    assert finished.returncode == 1 and finished.stderr.count("\n") == 1, finished
    assert finished.stderr.startswith(f"Error: {path} cannot ") and "disk is full" in finished.stderr
    assert check(path).problems == []
    with Database.open(path, readonly=True) as database:
        assert database.count() == BATCH, "the batch before the full disk is there, the one that met it is not"
    again = subprocess.run(command(*words), capture_output=True, text=True, timeout=120)
    assert again.stdout.startswith(f"{BATCH + 10} new records") and f"{BATCH} it had already" in again.stdout


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
            waiting.wait(4)
        raw.execute("ROLLBACK")
    out_text, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0 and out_text.startswith("30 new records")


@pytest.mark.parametrize("seconds", ["NaN", "-1.0"])
def test_impossible_times_are_left_out_by_their_line(seconds: str, folder: Path) -> None:
    path, lines = folder / "tuning.db", folder / "log.jsonl"
    with Database.open(folder / "other.db") as other:
        other.start_run(make_run(), TASK)
        other.add_all((make_record(f"t{n}", 0.125 if n == 1 else 0.25), TASK) for n in range(3))
        text = "".join(export_lines(other))
    number = next(n for n, line in enumerate(text.splitlines(), 1) if '"seconds":0.125' in line)
    lines.write_text(text.replace('"seconds":0.125', f'"seconds":{seconds}'))
    assert f"line {number}: " in sentence(["db", "import", str(lines)], path)
    finished = subprocess.run(
        command("db", "import", lines, "--skip-bad", "--db", path), capture_output=True, text=True, timeout=120
    )
    assert finished.returncode == 0 and finished.stderr.startswith(f"left out: line {number}: ")
    assert finished.stdout.startswith("1 new record in") and "1 line left out" in finished.stdout
    assert check(path).sound["records"] == 2
