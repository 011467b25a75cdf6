"""The command line: what it prints, its exit codes, and that nothing is lost whatever ends a run."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autotune.cli import main
from autotune.targets.host import native_target
from autotune.tensor_expr.operators import get_operator
from autotune.tuning_logs import Database

ROOT = Path(__file__).resolve().parent.parent
SMALL = ("--in-channels", "16", "--out-channels", "16", "--height", "7", "--width", "5")
WORKLOAD = get_operator("conv2d")(in_channels=16, out_channels=16, height=7, width=5)
JSON_KEYS = {
    "workload", "target", "device", "trials", "failed", "best_seconds", "gflops", "peak_fraction", "verified",
    "algorithm", "max_error", "seconds", "trials_per_second", "database", "new_trials", "proof", "time_spent",
    "stopped", "source", "limit", "limit_fraction", "rounds",
}  # fmt: skip


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "autotune", *map(str, arguments)]


def run(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload, no-any-return]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    """The exit code and the sentence of a command that prints nothing else."""
    with pytest.raises(SystemExit) as exit_:
        main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert captured.out == "" and "Traceback" not in captured.err
    sentence = captured.err.strip().splitlines()[-1]
    assert sentence.startswith("Error: ")
    assert isinstance(exit_.value.code, int)
    return exit_.value.code, sentence.removeprefix("Error: ")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A database with six trials, and the run that made it."""
    path = tmp_path_factory.mktemp("tuned") / "folder" / "tuning.db"
    return path, run("conv2d", *SMALL, "--trials", "6", "--db", path)


# -- what works --------------------------------------------------------------------------------------------------


def test_help_waits_for_nothing_heavy() -> None:
    code = (
        "import sys; from autotune.cli import main\n"
        "try: main(['--help'])\n"
        "finally: print([m for m in ('llvmlite', 'xgboost', 'sqlite_utils', 'rich') if m in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    assert output.splitlines()[-1] == "[]"
    for word in ("convolution", "matrix product", "best", "explain", "operators", "targets"):
        assert f"\n  {word} " in output
    assert "conv2d" in output and "matmul" in output


def test_version() -> None:
    assert run("--version").stdout == "autotune, version 0.1.0\n"


def test_a_short_search(tuned: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    path, finished = tuned
    assert finished.returncode == 0, finished.stderr
    for part in (WORKLOAD.text, "GFLOP/s", "% of peak", "yes, max error", "0 resumed, 6 new", "driver: ", str(path)):
        assert part in finished.stdout
    assert "conv2d: 6 trials\n" in finished.stderr and "\x1b" not in finished.stderr


def test_the_same_command_again_has_nothing_left_to_do(tuned: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    path, _ = tuned
    again = run("conv2d", *SMALL, "--trials", "6", "--db", path, "--quiet")
    assert again.returncode == 0 and again.stderr == ""
    assert "6 resumed, 0 new" in again.stdout
    assert "Nothing was left to do (all 6 trials are in the database): the winner was measured again." in again.stdout


def test_json_is_one_object_and_nothing_else(tuned: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    path, _ = tuned
    finished = run("conv2d", *SMALL, "--trials", "7", "--db", path, "--json")
    data = json.loads(finished.stdout)
    assert finished.returncode == 0 and finished.stdout.count("\n") == 1
    assert set(data) == JSON_KEYS
    assert (data["workload"], data["target"], data["database"]) == (WORKLOAD.text, native_target().name, str(path))
    assert data["trials"] == 7 and data["new_trials"] <= 1 and data["verified"] is True
    assert data["gflops"] == pytest.approx(WORKLOAD.flops / data["best_seconds"] / 1e9)
    assert 0 < data["peak_fraction"] < 1.5


def test_best_after_a_search(tuned: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    path, _ = tuned
    text = run("best", "conv2d", *SMALL, "--db", path)
    assert text.returncode == 0 and "GFLOP/s" in text.stdout and "Schedule:" in text.stdout
    data = json.loads(run("best", "conv2d", *SMALL, "--db", path, "--json").stdout)
    assert data["workload"] == WORKLOAD.text and data["verified"] and data["schedule"]["steps"]


def test_explain_takes_the_best_or_else_the_analytic_choice(
    tuned: tuple[Path, subprocess.CompletedProcess[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = tuned
    with pytest.raises(SystemExit, match="0"):
        main(["explain", "conv2d", *SMALL, "--db", str(path)])
    text = capsys.readouterr().out
    for part in (
        "from the database",
        "\nSchedule\n",
        "\nLoops\nkernel(x: input float32[1, 16, 7, 5]",
        "\nAssembly (marked: ",
    ):
        assert part in text
    with pytest.raises(SystemExit, match="0"):
        main(["explain", "conv2d", *SMALL, "--db", str(path), "--target", "arm_neon", "--show", "assembly"])
    text = capsys.readouterr().out
    assert "the analytic model's choice" in text and "fmla" in text and "\nSchedule\n" not in text


def test_targets_and_operators_are_listed() -> None:
    text = run("targets").stdout
    for part in ("arm_neon", "x86_avx2", "x86_avx512", "512-bit vectors, 32 registers", "This machine", "features"):
        assert part in text
    text = run("operators").stdout
    for part in ("convolution\n", "  conv2d", "matrix product\n", "  matmul"):
        assert part in text


def test_flags_of_an_operator_are_its_parameters(tmp_path: Path) -> None:
    shape = ("--m", "8", "--n", "16", "--k", "8", "--constant-b")
    finished = run("explain", "matmul", *shape, "--target", "x86_avx2", "--show", "schedule", env=home(tmp_path))
    assert "constant_b=True" in finished.stdout and "transpose_a=False" in finished.stdout, finished.stderr


def home(path: Path) -> dict[str, str]:
    """An environment whose user has no database yet."""
    return {**os.environ, "HOME": str(path), "XDG_DATA_HOME": str(path)}


# -- bad input: one sentence, 2 for what makes no sense, 1 for what failed -----------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("conv9", "unknown operator or command 'conv9'; "),
        ("best conv9", "unknown operator 'conv9'; "),
        ("explain conv9", "unknown operator 'conv9'; "),
        ("conv2d --target tpu", "unknown target 'tpu'; known: native, arm_neon, x86_avx2, x86_avx512"),
        ("best conv2d --target tpu", "unknown target 'tpu'; known: native, arm_neon, x86_avx2, x86_avx512"),
        ("conv2d --strategy luck", "unknown strategy 'luck'; known: annealing, "),
        ("conv2d --cost-model luck", "unknown cost model 'luck'; known: analytic, random, xgboost"),
        ("conv2d --groups 3", "groups is 3, which must divide in_channels (128) and out_channels (128)"),
        (
            "conv2d --height 2 --width 2 --kernel 5 --padding 1",
            "the kernel spans 5x5 with its dilation, more than the padded input's 4x4",
        ),
        ("conv2d --height 0", "height is 0; it must be a whole number from 1 to 2147483647"),
        ("conv2d --in-channels -8", "in_channels is -8; it must be a whole number from 1 to 2147483647"),
        ("conv2d --stride 0", "stride is 0; it must be a whole number from 1 to 2147483647"),
        ("conv2d --height 1000000000", "'x' would have 3584000000000 elements; at most 1099511627776 are allowed"),
        ("matmul --m 99999999999", "m is 99999999999; it must be a whole number from 1 to 2147483647"),
        ("conv2d --dtype float8", "conv2d takes dtype float32, float64, float16, bfloat16, int32, got 'float8'"),
        ("conv2d --trials 0", "trials is 0; it must be a whole number from 1 to 10000000"),
        ("conv2d --budget soon", "'soon' is no time span above zero, such as 90, 60s, 2m or 1h"),
        ("conv2d --budget 0", "'0' is no time span above zero, such as 90, 60s, 2m or 1h"),
        ("conv2d --threads 0", "threads is 0; it must be a whole number from 1 to "),
        ("best conv2d --threads 0", "threads is 0; it must be a whole number from 1 to 4096"),
        (f"best conv2d --threads {10**23}", f"threads is {10**23}; it must be a whole number from 1 to 4096"),
        ("explain conv2d --threads 1000000", "threads is 1000000; it must be a whole number from 1 to 4096"),
        ("conv2d --threads 100000", "the cores that this process may use"),
        ("conv2d --seed -1", "seed is -1; it must be a whole number from 0 to 9223372036854775807"),
        ("conv2d --seed 9223372036854775808", "it must be a whole number from 0 to 9223372036854775807"),
        ("conv2d --height tall", "'tall' is not a valid integer."),
        ("conv2d --frobnicate", "No such option '--frobnicate'"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: str, sentence: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    code, said = refused(capsys, *arguments.split())
    assert code == 2 and sentence in said
    assert not list(tmp_path.iterdir())


def test_more_than_the_memory_is_refused_before_it_is_allocated(capsys: pytest.CaptureFixture[str]) -> None:
    code, sentence = refused(capsys, "conv2d", "--height", "10000000")
    assert code == 2 and "has arrays of 410.1 GiB; measuring it needs about 3,280.6 GiB" in sentence


def test_a_target_that_this_machine_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    lacking = "x86_avx512" if native_target().arch == "aarch64" else "arm_neon"
    code, sentence = refused(capsys, "conv2d", "--target", lacking)
    assert code == 2 and sentence.startswith(f"this machine cannot run {lacking}: it is ")


def test_nothing_stored_is_a_failure_that_says_what_to_do(
    tuned: tuple[Path, subprocess.CompletedProcess[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = tuned
    code, sentence = refused(capsys, "best", "conv2d", "--height", "9", "--db", path)
    assert code == 1 and sentence.endswith("on 1 thread, nor a near one; autotune conv2d --height 9 searches for one")
    code, sentence = refused(capsys, "best", "conv2d", "--db", path.parent / "none.db")
    assert code == 1 and sentence.endswith("none.db does not exist")


@pytest.mark.parametrize("words", [("conv2d", *SMALL), ("best", "conv2d"), ("explain", "conv2d")])
def test_what_is_no_database_of_ours_is_left_alone(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text, foreign, cut = (tmp_path / name for name in ("text.db", "foreign.db", "cut.db"))
    text.write_text("not a database, but long enough to be mistaken for one" * 100)
    with contextlib.closing(sqlite3.connect(foreign)) as other:
        other.executescript("CREATE TABLE songs (title TEXT); INSERT INTO songs VALUES ('one');")
    Database.open(cut).close()
    cut.write_bytes(cut.read_bytes()[:5000])
    before = {path: path.read_bytes() for path in (text, foreign, cut)}
    for path, reason in (
        (tmp_path, "is a directory, not a database"), (text, "is not an SQLite database; it was left as it is"),
        (foreign, "is a database of another program; it was left as it is"), (cut, "is damaged; it was left as it is"),
    ):  # fmt: skip
        assert refused(capsys, *words, "--db", path) == (1, f"{path} {reason}")
    assert {path: path.read_bytes() for path in (text, foreign, cut)} == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 800 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=800k", "none", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system is not permitted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("free", [400 << 10, 0])
def test_a_full_disk(small_disk: Path, free: int) -> None:
    """Full in the middle of a run, and from the beginning."""
    path = small_disk / "tuning.db"
    assert run("conv2d", *SMALL, "--trials", "2", "--db", path, "--quiet").returncode == 0
    with (small_disk / "rest").open("wb", buffering=0) as rest, contextlib.suppress(OSError):
        while os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_bsize > free:
            rest.write(bytes(1024))
    full = run("conv2d", *SMALL, "--trials", "300", "--db", path, "--quiet")
    assert full.returncode == 1 and full.stderr.startswith(f"Error: {path} ") and full.stderr.count("\n") == 1
    assert "disk is full" in full.stderr and "what was recorded before is kept" in full.stderr
    (small_disk / "rest").unlink()
    trials = json.loads(run("best", "conv2d", *SMALL, "--db", path, "--json").stdout)["trials"]
    assert trials > 2 if free else trials == 2


def test_a_read_only_database(tuned: tuple[Path, subprocess.CompletedProcess[str]], small_disk: Path) -> None:
    path = small_disk / "tuning.db"
    with Database.open(path):
        pass
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    finished = run("conv2d", *SMALL, "--trials", "2", "--db", path)
    assert finished.returncode == 1
    assert finished.stderr == f"Error: {path} cannot be written: {small_disk} is read-only\n"
    assert "has no verified kernel" in run("best", "conv2d", *SMALL, "--db", path).stderr


# -- ends that nobody planned --------------------------------------------------------------------------------------


def start(path: Path, **options: Any) -> subprocess.Popen[str]:
    """A long search with a few trials in the database already."""
    process = subprocess.Popen(
        command("conv2d", *SMALL, "--trials", "5000", "--db", path), text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while finished(path) < 4:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    return process


def finished(path: Path) -> int:
    if not path.exists():
        return 0
    with contextlib.closing(sqlite3.connect(path)) as database:
        try:
            return int(database.execute("SELECT count(*) FROM records WHERE phase = 'trial'").fetchone()[0])
        except sqlite3.OperationalError:  # not made yet
            return 0


def children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def test_ctrl_c_keeps_everything_and_says_how_to_resume(tmp_path: Path) -> None:
    path = tmp_path / "tuning.db"
    process = start(path)
    before = finished(path)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in errors
    kept = finished(path)
    assert kept >= before
    assert f"Interrupted: {kept} finished trials of 5000 kept; the same command resumes." in errors
    assert WORKLOAD.text in output and f"{kept}: 0 resumed, {kept} new" in output
    assert run("best", "conv2d", *SMALL, "--db", path).returncode == 0
    more = json.loads(run("conv2d", *SMALL, "--trials", str(kept + 2), "--db", path, "--json").stdout)
    assert (more["trials"], more["new_trials"]) == (kept + 2, 2)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for orphans in /proc")
def test_kill_9_loses_nothing_and_leaves_no_orphans(tmp_path: Path) -> None:
    path, temporary = tmp_path / "tuning.db", tmp_path / "temporary"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    process = start(path, env=environment)
    before, workers = finished(path), children(process.pid)
    assert workers
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{worker}/cmdline").exists() and zombie(worker) is False for worker in workers):
        assert time.monotonic() < deadline, "workers outlive the driver"
        time.sleep(0.1)
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert finished(path) >= before
    assert run("best", "conv2d", *SMALL, "--db", path).returncode == 0
    assert list(temporary.iterdir())
    assert run("conv2d", *SMALL, "--trials", "1", "--db", path, "--quiet", env=environment).returncode == 0
    assert not list(temporary.iterdir())


def zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_sigterm_keeps_everything_and_leaves_no_files(tmp_path: Path) -> None:
    path, temporary = tmp_path / "tuning.db", tmp_path / "temporary"
    temporary.mkdir()
    process = start(path, env={**os.environ, "TMPDIR": str(temporary)})
    assert list(temporary.iterdir())
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143 and "Traceback" not in errors
    kept = finished(path)
    assert kept >= 4 and f"Interrupted: {kept} finished trials of 5000 kept; the same command resumes." in errors
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("seconds", [0.03, 0.06, 0.1, 0.15, 0.3])
def test_ctrl_c_while_the_command_is_imported(seconds: float) -> None:
    code = "print(flush=True); from autotune.cli import main; main(['best', 'conv2d', '--db', 'none.db'])"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    if process.returncode == 1:
        assert errors.startswith("Error: ")  # it was through already
    else:
        # Python ends by the signal itself where Ctrl-C hit code that it evaluates, as named tuples do.
        assert process.returncode in (130, -signal.SIGINT)
        assert errors.strip().startswith("Interrupted: ") and errors.count("\n") <= 2


def test_what_the_entry_imports() -> None:
    code = "import sys; before = {*sys.modules}; import autotune.cli; print(sorted({*sys.modules} - before))"
    output = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, cwd=ROOT).stdout
    new = set(ast.literal_eval(output))
    assert new <= {"autotune", "autotune.cli", "autotune.cli.start", "__future__", "importlib", "warnings"} | {
        name for name in new if name.startswith("importlib") or name.startswith("_")
    }


@pytest.mark.parametrize("closed", [(1,), (0, 1, 2)])
def test_closed_streams(tmp_path: Path, closed: tuple[int, ...]) -> None:
    def close() -> None:
        for number in closed:
            os.close(number)

    path = tmp_path / "tuning.db"
    words = command("conv2d", *SMALL, "--trials", "1", "--db", path, "--quiet")
    ended = subprocess.run(words, stderr=subprocess.PIPE, text=True, preexec_fn=close, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert finished(path) == 1


@pytest.mark.parametrize("environment", [{}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}])
def test_names_of_files_need_not_be_text(tmp_path: Path, environment: dict[str, str]) -> None:
    for name in (b"b\xff.db", "bé.db".encode()):
        path = os.path.join(os.fsencode(tmp_path), name)
        words = [*map(os.fsencode, command("conv2d", *SMALL, "--trials", "1", "--quiet")), b"--db", path]
        ended = subprocess.run(words, capture_output=True, env={**os.environ, **environment}, timeout=120)
        assert ended.returncode == 0, ended.stderr
        with contextlib.closing(sqlite3.connect(os.fsdecode(path))) as database:
            (stored,) = database.execute("SELECT command FROM runs").fetchone()
        assert stored.rstrip("'").endswith(os.fsencode(name).decode(errors="replace"))
        words = [*map(os.fsencode, command("best", "conv2d", *SMALL)), b"--db", path]
        ended = subprocess.run(words, capture_output=True, env={**os.environ, **environment}, timeout=120)
        assert ended.returncode == 0, ended.stderr


def test_a_working_directory_that_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()

    def run_there(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        script = f'cd "{folder}"; rmdir "{folder}"; exec "$@"'
        words = ["sh", "-c", script, "sh", *command(*arguments)]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        ended = subprocess.run(words, capture_output=True, text=True, timeout=120, env=env)
        folder.mkdir()
        return ended

    path = tmp_path / "tuning.db"
    ended = run_there("conv2d", *SMALL, "--trials", "1", "--db", path, "--quiet")
    assert ended.returncode == 0, ended.stderr
    ended = run_there("best", "conv2d", *SMALL, "--db", "tuning.db")
    assert ended.returncode == 1
    assert ended.stderr == "Error: the working directory no longer exists; change to another one first\n"


def test_a_full_disk_for_temporary_files(small_disk: Path, tmp_path: Path) -> None:
    ended = run(
        "conv2d", "--trials", "1", "--db", tmp_path / "tuning.db", env={**os.environ, "TMPDIR": str(small_disk)}
    )
    assert ended.returncode == 1 and ended.stderr.count("\n") == 1
    assert ended.stderr.startswith(f"Error: {small_disk}/autotune-") and "disk full" in ended.stderr


@pytest.mark.parametrize("sketch", ["7", "{", '{"version":1,"steps":[["split",{"stage":"none","axis":"i"}]]}', "[]"])
def test_a_damaged_schedule(
    sketch: str,
    tuned: tuple[Path, subprocess.CompletedProcess[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "damaged.db"
    with contextlib.closing(sqlite3.connect(tuned[0])) as database, contextlib.closing(sqlite3.connect(path)) as copy:
        database.backup(copy)
        copy.execute("UPDATE sketches SET text = ?", [sketch])
        copy.commit()
    for word in ("best", "explain"):
        code, sentence = refused(capsys, word, "conv2d", *SMALL, "--db", path)
        assert code == 1 and sentence.startswith(f"{path} is damaged: the schedule of trial ")
    with contextlib.closing(sqlite3.connect(path)) as copy:
        copy.execute("UPDATE tasks SET toolchain = 'autotune 99'")
        copy.commit()
    code, sentence = refused(capsys, "best", "conv2d", *SMALL, "--db", path)
    assert code == 1 and sentence.startswith(f"{path} is of another release, autotune 99, or damaged: ")
    with pytest.raises(SystemExit, match="0"):
        main(["explain", "conv2d", *SMALL, "--db", str(path), "--show", "schedule"])
    assert "the analytic model's choice" in capsys.readouterr().out


def test_a_broken_pipe_is_quiet() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    finished = subprocess.run(command("operators"), stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert finished.stderr == "" and finished.returncode == 1
