"""Measuring and building in real worker processes, with kernels that do what a search's kernels may do."""

from __future__ import annotations

import dataclasses
import errno
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from native_kernels import COUNT, PARAMETERS, RIGHT, build, expected, loop

from autotune.errors import AutotuneError, UsageError
from autotune.measure.builders import BuilderPool, BuildOptions, BuildResult
from autotune.measure.check import Check
from autotune.measure.cores import CorePlan, kept_off, plan, plan_cores, quota
from autotune.measure.local import LocalMeasurer
from autotune.measure.process import Failure, Reply, WorkerProcess, wait_any
from autotune.measure.results import Bar, MeasureOptions, MeasureTask, median_interval, write_arrays
from autotune.measure.scratch import scratch_folder
from autotune.rpc.channel import Channel, ChannelClosed, channel_pair
from autotune.schedules.layout import Dim, Layout
from autotune.targets.artifact import KernelObject, Parameter
from autotune.targets.llvm.probe import host_instruments

pytestmark = pytest.mark.compiler
FAST = MeasureOptions(min_sample_seconds=1e-4, timeout_seconds=1.0)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> MeasureTask:
    folder = tmp_path_factory.mktemp("arrays")
    generator = np.random.default_rng(0)
    x, w = generator.random(COUNT, np.float32), generator.random(COUNT, np.float32)
    write_arrays(folder, PARAMETERS, (x, w, expected(x, w)))
    return MeasureTask(PARAMETERS, folder, (1e-6,), 2 * COUNT, host_instruments(16))


@pytest.fixture(scope="module")
def measurer(task: MeasureTask) -> Iterator[LocalMeasurer]:
    with LocalMeasurer(task, FAST, cores=plan_cores(1).measuring) as measurer:
        yield measurer


@pytest.fixture(scope="module")
def right() -> KernelObject:
    return build(loop(RIGHT))


def asm(code: str) -> str:
    clobbered = ",".join(
        f"~{{{name}}}" for name in ("memory", "rax", "rdi", "rsi", "rdx", "r10", "r8", "r9", "rcx", "r11")
    )
    return f"""define void @kernel(ptr %arguments) {{
      call void asm sideeffect "{code}", "{clobbered}"()
      ret void
    }}"""


x86 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="x86-64 assembly")
NOTHING = "define void @kernel(ptr %arguments) { ret void }"
FOREVER = "define void @kernel(ptr %arguments) { br label %l  l: br label %l }"
SEGFAULT = "define void @kernel(ptr %arguments) { store volatile i64 1, ptr inttoptr (i64 64 to ptr)  ret void }"
# all that lies above its own frame, the return addresses of its callers first
SMASH = """define void @kernel(ptr %arguments) {
entry:
  %here = alloca i64
  br label %l
l:
  %i = phi i64 [ 0, %entry ], [ %i1, %l ]
  %p = getelementptr i64, ptr %here, i64 %i
  store volatile i64 81985529216486895, ptr %p
  %i1 = add i64 %i, 1
  %c = icmp slt i64 %i1, 512
  br i1 %c, label %l, label %exit
exit:
  ret void
}"""
PUTS = "declare void @puts()\ndefine void @kernel(ptr %a) { call void @puts() ret void }"
CASES = [
    ("wrong", loop("%v = fadd float %a, %b"), 0, "wrong-result", r"of 4096 elements, .* are wrong: got"),
    ("one short", loop(RIGHT, COUNT - 1), 0, "wrong-result", r"1 of 4096 .* at \(4095,\), is not written"),
    ("nothing", NOTHING, 0, "wrong-result", r"4096 of 4096 elements, the first at \(0,\), are not written"),
    ("nan", loop("%v = fdiv float 0.0, 0.0"), 0, "wrong-result", "are not written, or NaN"),
    ("one too far", loop(RIGHT, COUNT + 1), 0, "wrong-result", "wrote outside its output"),
    ("segfault", SEGFAULT, 0, "crash", r"killed by signal 11 \(SIGSEGV\)"),
    ("forever", FOREVER, 0, "timeout", "stopped after 1 seconds"),
    ("memory", loop(RIGHT), 1 << 40, "memory", "needs more memory than it may have"),
    ("stack", SMASH, 0, "crash", "killed by signal"),
    ("undefined", PUTS, 0, "load-error", "'puts'"),
    ("runs not", "define void @other(ptr %a) { ret void }", 0, "load-error", "no symbol 'kernel'"),
]  # fmt: skip
X86_CASES = [
    ("exit", asm("movl $$231, %eax; movl $$0, %edi; syscall"), 0, "crash", "exited with code 0"),
    ("illegal", asm("ud2"), 0, "crash", r"signal 4 \(SIGILL\)"),
    # mmap of 1 TiB; then write where the system said
    ("huge", asm("movl $$9, %eax; xorl %edi, %edi; movq $$0x10000000000, %rsi; movl $$3, %edx; movl $$34, %r10d; "
                 "movq $$-1, %r8; xorl %r9d, %r9d; syscall; movl $$1, (%rax)"), 0, "crash", "signal 11"),
    # closes every descriptor, the channel among them, then runs on
    ("close all", asm("xorl %edi, %edi; movl $$1024, %esi; xorl %edx, %edx; movl $$436, %eax; syscall; 1: jmp 1b"),
     0, "timeout", "stopped after 1 seconds"),
    # forks a process that runs on and holds the channel, and exits
    ("fork", asm("movl $$57, %eax; syscall; 1: testl %eax, %eax; jz 1b; movl $$231, %eax; syscall"), 0, "timeout", ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "workspace", "status", "message"),
    [pytest.param(*case[1:], id=case[0]) for case in CASES]
    + [pytest.param(*case[1:], id=case[0], marks=x86) for case in X86_CASES],
)
def test_no_candidate_stops_the_measuring(
    measurer: LocalMeasurer, right: KernelObject, text: str, workspace: int, status: str, message: str
) -> None:
    for kernel in (build(text, workspace), build(text, workspace)):
        began = time.monotonic()
        result = measurer.measure(kernel)
        assert result.status == status and not result.verified and not result.samples
        assert math.isinf(result.seconds)
        assert re.search(message, result.message), result.message
        assert time.monotonic() - began < 5
        good = measurer.measure(right)
        assert good.status == "ok" and good.verified, good


def test_a_kernel_is_held_to_what_its_own_algorithm_does_and_errs(task: MeasureTask, right: KernelObject) -> None:
    known = {"saving": Bar(2 * COUNT, (1e-6,)), "rough": Bar(0, (10.0,))}
    demanding = dataclasses.replace(task, flops=10**13, alternatives=known)
    with LocalMeasurer(demanding, FAST, cores=plan_cores(1).measuring) as measurer:
        found = {name: measurer.measure(dataclasses.replace(right, algorithm=name)) for name in ("direct", *known)}
        off = build(loop("%v = fadd float %a, %b"))
        wrong, rough = (measurer.measure(dataclasses.replace(off, algorithm=name)) for name in ("saving", "rough"))
        raced = measurer.compare([right, dataclasses.replace(right, algorithm="saving")], rounds=2)
    assert found["direct"].status == "above-peak" and "allows no less" in found["direct"].message
    assert found["saving"].status == "ok"
    assert wrong.status == "wrong-result" and rough.status == "ok" and rough.max_error > 0.01
    assert [result.status for result in raced] == ["above-peak", "ok"]


def test_a_result_is_evidence(measurer: LocalMeasurer, right: KernelObject) -> None:
    result = measurer.measure(right)
    assert 3 <= len(result.samples) <= 10
    assert result.ci_low <= result.seconds <= result.ci_high
    assert 1e-7 < result.seconds < 1e-3
    assert result.max_error == 0.0
    assert 1e9 < result.probe < 1e12
    assert set(result.parts) == {"load", "check", "time"}
    assert sum(result.parts.values()) <= result.measure_seconds


def test_the_hopeless_stop_early(measurer: LocalMeasurer, right: KernelObject) -> None:
    slow, fast = build(loop(RIGHT, repeat=500)), measurer.measure(right)
    assert len(measurer.measure(slow, best_ratio=fast.seconds / fast.baseline).samples) == 1
    assert len(measurer.measure(slow).samples) >= 3


def test_times_above_the_peak_are_no_winners(task: MeasureTask, right: KernelObject) -> None:
    impossible = dataclasses.replace(task, flops=1 << 40)
    with LocalMeasurer(impossible, FAST) as measurer:
        result = measurer.measure(right)
        assert result.status == "above-peak" and "processor's peak" in result.message
        assert measurer.compare([right], 3)[0].status == "above-peak"


def test_head_to_head(measurer: LocalMeasurer, right: KernelObject) -> None:
    slow, wrong = build(loop(RIGHT, repeat=3)), build(NOTHING)
    first, second, third = measurer.compare([right, slow, wrong], 5)
    assert 5 <= len(first.samples) == len(second.samples) <= 15  # more rounds on a restless machine
    assert 1.5 < second.seconds / first.seconds < 6
    assert third.status == "wrong-result" and not third.samples
    assert [r.status for r in measurer.compare([right, build(SEGFAULT)], 5)] == ["crash", "crash"]
    assert measurer.measure(right).status == "ok"


def test_head_to_head_with_workspaces_of_all_sizes(measurer: LocalMeasurer) -> None:
    """Each kernel writes the last byte of its own workspace; no other size may be taken for the workspace's."""

    def filling(size: int) -> KernelObject:
        before = f"""%wsp = getelementptr ptr, ptr %arguments, i64 3
  %workspace = load ptr, ptr %wsp
  %end = getelementptr i8, ptr %workspace, i64 {size - 1}
  store volatile i8 7, ptr %end"""
        return build(loop(RIGHT, before=before), size)

    results = measurer.compare([filling(size) for size in (256, 64, 1 << 20, 128)], 3)
    assert [(r.status, r.message) for r in results] == [("ok", "")] * 4


def test_candidates_queue_and_are_told_apart(measurer: LocalMeasurer, right: KernelObject) -> None:
    kernels = [right, build(NOTHING), build(SEGFAULT), right, build(FOREVER), right]
    for ident, kernel in enumerate(kernels):
        measurer.submit(ident, kernel)
    results: dict[Any, str] = {}
    while measurer.pending:
        wait_any([measurer])
        results |= {ident: result.status for ident, result in measurer.poll()}
    assert list(results.items()) == list(enumerate(["ok", "wrong-result", "crash", "ok", "timeout", "ok"]))


def test_constants_are_packed_once_per_layout(measurer: LocalMeasurer, task: MeasureTask, right: KernelObject) -> None:
    """The kernel adds w as it lies in memory: packed by a layout that moves it, the result must be wrong."""
    for block in (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096):
        layout = Layout((Dim(0, 1, block), Dim(0, block)))
        parameters = (PARAMETERS[0], Parameter("w", (COUNT,), "float32", "constant", layout), PARAMETERS[2])
        kernel = dataclasses.replace(right, parameters=parameters)
        for _ in range(2):
            assert measurer.measure(kernel).status == ("ok" if block == COUNT else "wrong-result")
    assert measurer.measure(right).status == "ok"


def test_integers_are_checked_over_two_poisons(tmp_path: Path) -> None:
    """A kernel that writes nothing must fail although the reference is what the first poison left."""
    parameters = (Parameter("y", (8,), "int32", "output"),)
    write_arrays(tmp_path, parameters, (np.full(8, 0x55555555, np.int32),))
    task = MeasureTask(parameters, tmp_path, (0.0,), 0, host_instruments(16))
    with LocalMeasurer(task, FAST) as measurer:
        result = measurer.measure(dataclasses.replace(build(NOTHING), parameters=parameters))
        assert result.status == "wrong-result" and "are wrong: got" in result.message


@pytest.mark.parametrize("error", [OSError("16384 requested and 16352 written"), OSError(errno.ENOSPC, "No space")])
def test_arrays_that_do_not_fit_on_the_disk(error: OSError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def save(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(np, "save", save)
    zeros = np.zeros(COUNT, np.float32)
    with pytest.raises(AutotuneError, match=r"0\.npy \(\d+ bytes\) cannot be written: disk full; TMPDIR may name"):
        write_arrays(tmp_path, PARAMETERS, [zeros] * len(PARAMETERS))


def test_scratch_folders_go_with_their_owners(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "autotune-of-somebody-else").mkdir()
    with scratch_folder() as mine:
        (mine / "file").touch()
        with scratch_folder() as another:
            assert another != mine and (mine / "file").exists()
    code = (
        "import os, signal; from autotune.measure.scratch import scratch_folder\n"
        "with scratch_folder() as folder: print(folder, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    for _ in range(2):
        left = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment).stdout
    (tmp_path / "autotune-link").symlink_to(left.strip())
    assert Path(left.strip()).exists() and len(list(tmp_path.iterdir())) == 3
    with scratch_folder():
        assert not Path(left.strip()).exists()
    assert {path.name for path in tmp_path.iterdir()} == {"autotune-of-somebody-else", "autotune-link"}


def test_the_check_knows_infinities_and_large_integers() -> None:
    reference = np.array([np.inf, np.nan, 1, -2], np.float32)
    check = Check(reference)
    assert check.compare(reference.copy(), 1e-6)[1] is None
    assert check.compare(np.array([np.inf, np.nan, 1, -2.1], np.float32), 1e-6)[1] is not None
    assert check.compare(np.array([-np.inf, np.nan, 1, -2], np.float32), 1e-6)[1] is not None
    big = np.array([2**60], np.int64)
    assert Check(big).compare(big + 1, 0.0)[1] is not None
    half = np.array([1.0, 2.0], np.float16)
    assert Check(half).compare(half, 1e-2)[0] == 0.0


def test_missing_arrays_are_no_candidates_fault(task: MeasureTask, right: KernelObject, tmp_path: Path) -> None:
    with (
        LocalMeasurer(dataclasses.replace(task, directory=tmp_path), FAST) as measurer,
        pytest.raises(AutotuneError, match="could not prepare: FileNotFoundError"),
    ):
        measurer.measure(right)


def test_the_worker_stays_light() -> None:
    code = "import sys, autotune.measure.worker; print(sorted(m for m in sys.modules if m.count('.') == 0))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for heavy in ("llvmlite", "xgboost", "sqlite3", "click", "rich", "asyncio"):
        assert f"'{heavy}'" not in modules


def test_parallel_kernels_are_measured(task: MeasureTask) -> None:
    """Both threads of the region compute all of the output."""
    text = (
        loop(RIGHT).replace("define void @kernel", "define internal void @body")
        + """
    define void @kernel(ptr %arguments) {
      %slot = getelementptr ptr, ptr %arguments, i64 4
      %runtime = load ptr, ptr %slot
      %parallel = load ptr, ptr %runtime
      call void %parallel(ptr @body, ptr %arguments, i32 2, i32 0)
      ret void
    }"""
    )
    with LocalMeasurer(dataclasses.replace(task, threads=2), FAST, cores=plan_cores(2).measuring) as measurer:
        result = measurer.measure(build(text, threads=2))
    assert result.status == "ok" and result.verified, result


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_workers_die_with_their_driver(task: MeasureTask) -> None:
    """The measurer runs an endless kernel, the builder sleeps, when their driver is killed."""
    driver = textwrap.dedent(f"""
        import sys, time
        sys.path.insert(0, {os.path.dirname(__file__)!r})
        from pathlib import Path
        import test_measure as t
        task = t.MeasureTask(t.PARAMETERS, Path({str(task.directory)!r}), (1e-6,), 0, t.host_instruments(16))
        measurer = t.LocalMeasurer(task, t.MeasureOptions(timeout_seconds=600))
        pool = t.BuilderPool(t.BuildOptions(function="test_measure:fake_build"))
        measurer.submit(0, t.build(t.FOREVER))
        pool.submit(0, {{"do": "sleep"}})
        while not (measurer._worker._ready and pool._builders[0].process._ready):
            measurer.poll(), pool.poll()
        print(measurer._worker._process.pid, pool._builders[0].process._process.pid, flush=True)
        time.sleep(600)
    """)
    process = subprocess.Popen([sys.executable, "-c", driver], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    children = [int(pid) for pid in process.stdout.readline().split()]
    assert len(children) == 2 and all(alive(child) for child in children)
    process.kill()
    process.wait()
    process.stdout.close()
    assert eventually(lambda: not any(alive(child) for child in children))


def test_ctrl_c_does_not_reach_workers(measurer: LocalMeasurer, right: KernelObject) -> None:
    measurer.measure(right)
    process = measurer._worker._process
    assert process is not None and os.getsid(process.pid) == process.pid != os.getsid(0)


def test_a_worker_that_cannot_start_says_why() -> None:
    worker = WorkerProcess("no_such_module")
    with pytest.raises(AutotuneError, match=r"no_such_module did not start: .* code 1; it printed: .*No module named"):
        worker.request({}, timeout=1)
    worker.close()


def test_a_worker_killed_while_it_starts_is_started_again() -> None:
    deaths = 2

    def start() -> bool:
        nonlocal deaths
        started = WorkerProcess.start(worker)
        if started and deaths:
            deaths -= 1
            assert worker._process is not None
            worker._process.kill()
            worker._process.wait()
        return started

    worker = WorkerProcess("autotune.measure.builder", ("--function", "test_measure:fake_build"))
    worker.start = start  # type: ignore[method-assign]
    try:
        assert isinstance(worker.request({"request": {"do": "right"}}, timeout=5), Reply)
        assert worker.starts == 3
        worker.close()
        deaths = 3
        with pytest.raises(AutotuneError, match="did not start: the worker was killed by signal 9"):
            worker.request({"request": {"do": "right"}}, timeout=5)
        assert worker.starts == 6
        assert isinstance(worker.request({"request": {"do": "right"}}, timeout=5), Reply)
    finally:
        worker.close()


def test_what_a_starting_worker_was_told_is_told_again(task: MeasureTask, right: KernelObject) -> None:
    with LocalMeasurer(task, FAST) as measurer:
        measurer.submit("right", right)
        process = measurer._worker._process
        assert process is not None
        process.kill()
        while not (results := measurer.poll()):
            wait_any([measurer])
    assert [(ident, result.status) for ident, result in results] == [("right", "ok")]


def fake_build(request: dict[str, Any]) -> KernelObject:
    """Stands in for the code generator in a builder process."""
    match request["do"]:
        case "usage":
            raise UsageError("no such axis")
        case "bug":
            raise KeyError("oops")
        case "sleep":
            time.sleep(60)
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            os._exit(3)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "killed once":
            if not Path(request["mark"]).exists():
                Path(request["mark"]).touch()
                os.kill(os.getpid(), signal.SIGKILL)
        case "memory":
            bytearray(1 << 40)
        case "abort":
            os.write(2, b"LLVM ERROR: out of memory\n")
            os.abort()
        case "print":
            print("x" * 1_000_000, flush=True)
    return build(NOTHING)


def test_builders_survive_what_they_build() -> None:
    options = BuildOptions(2, plan_cores(1).building, timeout_seconds=1.5, function="test_measure:fake_build")
    wanted = {
        "usage": ("build-error", "no such axis"), "bug": ("build-error", "KeyError: 'oops'"),
        "sleep": ("timeout", "stopped after 1.5 seconds"), "crash": ("build-error", "SIGSEGV"),
        "exit": ("build-error", "exited with code 3"), "memory": ("memory", "needs more memory"),
        "abort": ("memory", "LLVM ERROR: out of memory"), "print": ("ok", ""), "right": ("ok", ""),
    }  # fmt: skip
    with BuilderPool(options) as pool:
        for name in wanted:
            pool.submit(name, {"do": name})
        results: dict[Any, BuildResult] = {}
        while pool.pending:
            wait_any([pool])
            results |= {result.ident: result for result in pool.poll()}
    assert {name: result.status for name, result in results.items()} == {name: s for name, (s, _) in wanted.items()}
    for name, (status, message) in wanted.items():
        assert message in results[name].message
        assert (results[name].kernel is not None) == (status == "ok")
    kernel = results["right"].kernel
    assert kernel is not None and kernel == build(NOTHING)


def test_a_killed_builder_costs_no_candidate_but_the_one_that_kills_again(tmp_path: Path) -> None:
    with BuilderPool(BuildOptions(1, function="test_measure:fake_build")) as pool:
        pool.submit("once", {"do": "killed once", "mark": str(tmp_path / "mark")})
        pool.submit("always", {"do": "killed"})
        pool.submit("right", {"do": "right"})
        results: dict[Any, BuildResult] = {}
        while pool.pending:
            wait_any([pool])
            results |= {result.ident: result for result in pool.poll()}
    assert {name: result.status for name, result in results.items()} == {
        "once": "ok", "always": "build-error", "right": "ok",
    }  # fmt: skip
    assert "SIGKILL" in results["always"].message


def test_messages_cross_the_channel_whole() -> None:
    ours, theirs = channel_pair()
    other = Channel(theirs.detach())
    ours.send({"a": [1, None, "ü"]}, b"", b"\0" * 1000)
    assert other.receive(1) == ({"a": [1, None, "ü"]}, [b"", b"\0" * 1000])
    with pytest.raises(TimeoutError):
        other.receive(0)
    ours.connection.send_bytes(b"[1")
    with pytest.raises(ChannelClosed, match="no message"):
        other.receive(1)
    ours.close()
    with pytest.raises(ChannelClosed, match="closed"):
        other.receive(1)
    with pytest.raises(ChannelClosed):
        other.send({})
    other.close()


def test_requests_to_a_process() -> None:
    worker = WorkerProcess("autotune.measure.builder", ("--function", "test_measure:fake_build"))
    try:
        for _ in range(2):
            outcome = worker.request({"request": {"do": "right"}}, timeout=5)
            assert isinstance(outcome, Reply) and outcome.blobs
        assert worker.starts == 1
        outcome = worker.request({"request": {"do": "crash"}}, timeout=5)
        assert isinstance(outcome, Failure) and outcome.kind == "crash"
        assert isinstance(worker.request({"request": {"do": "right"}}, timeout=5), Reply)
        assert worker.starts == 2
    finally:
        worker.close()
    assert not worker.connections()


def test_cores_for_measuring_and_building() -> None:
    def alone(core: int) -> list[int]:
        return [core]

    def twins(core: int) -> list[int]:
        return [core & ~1, core | 1]

    endless = float("inf")
    assert plan([0, 1], 1, endless, alone) == CorePlan((1,), (0,), 1, True)
    assert plan([0, 1, 2, 3], 1, endless, alone) == CorePlan((3,), (0, 1, 2), 3, True)
    assert plan([0, 1, 2, 3], 1, endless, twins) == CorePlan((3,), (0, 1), 2, True)
    assert plan([0, 1], 1, endless, twins) == CorePlan((1,), (0,), 1, True)
    assert plan([0, 1], 2, endless, alone) == CorePlan((0, 1), (0, 1), 1, False)
    assert plan([5], 1, endless, alone) == CorePlan((5,), (5,), 1, False)
    assert plan([0, 1, 2, 3], 1, 2.0, alone) == CorePlan((3,), (0, 1, 2), 1, True)
    assert plan([0, 1, 2, 3], 1, 1.5, alone).overlap is False


def test_threads_are_measured_on_cores_of_their_own() -> None:
    adjacent = {core: (core & ~1, core | 1) for core in range(8)}.__getitem__  # hyper-threads are neighbours
    assert plan(list(range(8)), 2, math.inf, adjacent).measuring == (5, 7)
    assert plan(list(range(8)), 2, math.inf, adjacent).building == (0, 1, 2, 3)
    assert plan(list(range(8)), 6, math.inf, adjacent).measuring == (1, 3, 4, 5, 6, 7)
    assert kept_off_here((max(os.sched_getaffinity(0)),)) == os.sched_getaffinity(0) - {max(os.sched_getaffinity(0))}


def kept_off_here(measuring: tuple[int, ...]) -> set[int]:
    before = os.sched_getaffinity(0)
    with kept_off(measuring):
        inside = os.sched_getaffinity(0)
    assert os.sched_getaffinity(0) == before
    return inside


def test_the_quota_is_the_least_of_all_groups_above(tmp_path: Path) -> None:
    membership, inner = tmp_path / "cgroup", tmp_path / "root" / "pod" / "task"
    inner.mkdir(parents=True)
    assert math.isinf(quota(membership, tmp_path / "root"))
    membership.write_text("0::/pod/task\n")
    assert math.isinf(quota(membership, tmp_path / "root"))
    (inner / "cpu.max").write_text("max 100000\n")
    (inner.parent / "cpu.max").write_text("150000 100000\n")
    assert quota(membership, tmp_path / "root") == 1.5
    older = tmp_path / "root" / "cpu" / "box"
    older.mkdir(parents=True)
    membership.write_text("0::/\n4:cpu,cpuacct:/box\n")
    for name, value in (("quota", -1), ("period", 100000)):
        (older / f"cpu.cfs_{name}_us").write_text(f"{value}\n")
    assert math.isinf(quota(membership, tmp_path / "root"))
    (older / "cpu.cfs_quota_us").write_text("250000\n")
    assert quota(membership, tmp_path / "root") == 2.5


def test_median_intervals() -> None:
    assert median_interval([3.0, 1.0, 2.0]) == (1.0, 3.0)
    assert median_interval([float(i) for i in range(10)]) == (1.0, 8.0)
    assert median_interval([]) == (math.inf, math.inf)


def test_the_memory_probe_is_the_baseline_of_what_memory_bounds(task: MeasureTask, right: KernelObject) -> None:
    """The kernel adds two arrays: no faster than reading as many bytes and writing as many; cold is slower."""
    moved = (8 * COUNT, 4 * COUNT)
    bound = dataclasses.replace(task, instruments=host_instruments(16, moved=moved), floor=0.0)
    with LocalMeasurer(bound, FAST) as measurer:
        warm = measurer.measure(right)
        assert warm.status == "ok" and 0.5 < warm.seconds / warm.baseline < 100
        assert [r.baseline for r in measurer.compare([right], 3)] == [pytest.approx(warm.baseline, rel=2)]
    with LocalMeasurer(bound, dataclasses.replace(FAST, cache="cold")) as measurer:
        cold = measurer.measure(right)
        assert cold.status == "ok" and cold.seconds > 1.2 * warm.seconds and cold.baseline > warm.baseline


def test_what_moves_less_than_it_must_is_no_winner(task: MeasureTask, right: KernelObject) -> None:
    bound = dataclasses.replace(task, instruments=host_instruments(16, moved=(1 << 24, 1 << 24)), floor=0.5)
    with LocalMeasurer(bound, FAST) as measurer:
        assert measurer.measure(right).status == "above-peak"
