"""A worker process that may crash, hang or eat memory without taking the driver down."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from autotune.errors import AutotuneError
from autotune.rpc.channel import Channel, ChannelClosed, channel_pair

_START_SECONDS = 60.0
_STARTS = 3  # attempts, where a signal ends the worker before it is ready
_TAIL_BYTES = 1000  # of the worker's log, quoted in a failure's message


@dataclass(frozen=True, slots=True)
class Reply:
    """A worker's answer."""

    header: dict[str, Any]
    blobs: list[bytes]


@dataclass(frozen=True, slots=True)
class Failure:
    """A worker that died or was stopped: ``kind`` is ``crash``, ``timeout`` or ``memory``. ``killed`` says that
    somebody else's SIGKILL ended it, which may have nothing to do with the request."""

    kind: str
    message: str
    killed: bool = False


class WorkerProcess:
    """Runs ``python -m module`` and exchanges messages with it, one request at a time.

    The process starts with the first request and again with the first request after its death. It is a session of
    its own, which Ctrl-C does not reach, ends with the driver, is pinned to ``cpus`` (where not empty and the system
    can), and may allocate ``memory_bytes`` (0: no limit) beyond what it holds at its start. For one thread.
    """

    def __init__(
        self, module: str, arguments: Sequence[str] = (), *, cpus: Sequence[int] = (), memory_bytes: int = 0
    ) -> None:
        self._command = [sys.executable, "-m", module, *arguments, "--memory", str(memory_bytes)]
        self._module, self._cpus = module, cpus
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as this object, leaves nothing behind)
        self._ready = False
        self._timeout: float | None = None  # of the request in flight
        self.deadline: float | None = None  # on time.monotonic's clock; None without a request in flight
        self.starts = 0
        self._attempts = 0  # starts since a worker was ready
        self._early: list[tuple[dict[str, Any], tuple[bytes, ...]]] = []  # messages to one that is not ready yet

    @property
    def busy(self) -> bool:
        """Whether a request waits for its reply."""
        return self._timeout is not None

    @property
    def connection(self) -> Connection | None:
        """What becomes readable when the worker replies or dies; None while it does not run."""
        return self._channel.connection if self._channel else None

    def start(self) -> bool:
        """Start the process unless it runs; returns whether it was started."""
        if self._process is not None and self._process.poll() is None:
            return False
        self.close()
        self._log.truncate(0)
        self._log.seek(0)
        self._channel, theirs = channel_pair()
        with theirs:
            self._process = subprocess.Popen(
                [*self._command, "--channel", str(theirs.fileno())],
                stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, pass_fds=[theirs.fileno()],
                env=_environment(), cwd="/", start_new_session=True,
            )  # fmt: skip
        if self._cpus and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(self._process.pid, self._cpus)
        self._ready = False
        self.starts += 1
        self._attempts += 1
        return True

    def send(self, header: dict[str, Any], *blobs: bytes) -> None:
        """Send a message that has no reply. A worker that is gone shows at the next request."""
        if self._early and self._process is not None and self._process.poll() is not None:
            self._start_again()
        else:
            self.start()
        if not self._ready:
            self._early.append((header, blobs))
        self._deliver(header, *blobs)

    def submit(self, header: dict[str, Any], *blobs: bytes, timeout: float) -> None:
        """Send a request; ``poll`` tells its outcome. It may take ``timeout`` seconds once the worker runs."""
        assert not self.busy, "a worker takes one request at a time"
        self.send(header, *blobs)
        self._timeout = timeout
        self.deadline = time.monotonic() + (timeout if self._ready else _START_SECONDS)

    def poll(self) -> Reply | Failure | None:
        """The outcome of the request in flight, None while there is none. Never waits.

        Raises AutotuneError where the worker cannot even start.
        """
        if self._channel is None or not self.busy:
            return None
        try:
            header, blobs = self._channel.receive(timeout=0)
            if not self._ready:  # the first message only says so
                self._ready, self._attempts = True, 0
                self._early.clear()
                assert self._timeout is not None
                self.deadline = time.monotonic() + self._timeout
                header, blobs = self._channel.receive(timeout=0)
        except TimeoutError:
            assert self.deadline is not None
            return self._overdue() if time.monotonic() >= self.deadline else None
        except ChannelClosed as error:
            return self._died(str(error))
        self._timeout = self.deadline = None
        return Reply(header, blobs)

    def request(self, header: dict[str, Any], *blobs: bytes, timeout: float) -> Reply | Failure:
        """Send a request and wait for its outcome."""
        self.submit(header, *blobs, timeout=timeout)
        while True:
            outcome = self.poll()
            if outcome is not None:
                return outcome
            wait_any([self])

    def connections(self) -> list[Connection]:
        """What to wait on while a request is in flight."""
        return [self.connection] if self.busy and self.connection is not None else []

    def close(self) -> None:
        """Kill the process and all that it started."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS refuses where only zombies are left
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        self._timeout = self.deadline = None
        self._early.clear()

    def _deliver(self, header: dict[str, Any], *blobs: bytes) -> None:
        assert self._channel is not None
        with contextlib.suppress(ChannelClosed):
            self._channel.send(header, *blobs)

    def _start_again(self) -> None:
        """Start once more, and say again what the one that did not get ready was told."""
        timeout, early = self._timeout, self._early.copy()
        self.start()
        self._timeout, self._early = timeout, early
        self.deadline = None if timeout is None else time.monotonic() + _START_SECONDS
        for header, blobs in early:
            self._deliver(header, *blobs)

    def _overdue(self) -> Failure:
        allowed, ready = self._timeout, self._ready
        self.close()
        if not ready:
            raise AutotuneError(f"{self._module} did not start within {_START_SECONDS:g} s{self._tail()}")
        return Failure("timeout", f"it was stopped after {allowed:g} seconds")

    def _died(self, reason: str) -> Failure | None:
        assert self._process is not None
        try:
            code = self._process.wait(1)  # the channel closes a moment before the process is gone
        except subprocess.TimeoutExpired:
            code = None
        ready = self._ready
        if not ready and code is not None and code < 0 and self._attempts < _STARTS:
            self._start_again()
            return None
        self._attempts = 0
        self.close()
        tail = self._tail()
        if code is None:
            how = f"the worker broke the channel ({reason})"
        elif code < 0:
            how = f"the worker was killed by signal {-code} ({signal.Signals(-code).name})"
        else:
            how = f"the worker exited with code {code}"
        if not ready:
            raise AutotuneError(f"{self._module} did not start: {how}{tail}")
        # LLVM and the C++ runtime abort when memory ends, and say so.
        memory = any(sign in tail for sign in ("bad_alloc", "out of memory", "MemoryError"))
        return Failure("memory" if memory else "crash", how + tail, code == -signal.SIGKILL)

    def _tail(self) -> str:
        """The end of what the process printed, to add to a message."""
        size = os.fstat(self._log.fileno()).st_size
        text = os.pread(self._log.fileno(), _TAIL_BYTES, max(0, size - _TAIL_BYTES))
        words = text.decode(errors="replace").strip()
        return f"; it printed: {words}" if words else ""


class Source(Protocol):
    """What the driver can wait on: connections that become readable, and a moment when to look anyway."""

    @property
    def deadline(self) -> float | None:
        """On time.monotonic's clock; None for never."""

    def connections(self) -> list[Connection]:
        """What becomes readable when there is something to poll."""


def wait_any(sources: Iterable[Source], timeout: float | None = None) -> None:
    """Wait until one of the sources has something to poll, for at most ``timeout`` seconds (None: no limit).

    Returns at once where nothing is under way and no timeout is given.
    """
    sources = list(sources)
    connections = [connection for source in sources for connection in source.connections()]
    moments = [source.deadline for source in sources if source.deadline is not None]
    left = [max(0.0, min(moments) - time.monotonic())] if moments else []
    if timeout is not None:
        left.append(timeout)
    if connections:
        wait(connections, min(left, default=None))
    elif left:
        time.sleep(min(left))


def _working_directory() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "/nonexistent"


def _environment() -> dict[str, str]:
    """The driver's environment, made so that the worker imports what the driver would and keeps to one thread."""
    # "" stands for the working directory, which may be gone
    paths = [path if os.path.isabs(path) else os.path.join(_working_directory(), path) for path in sys.path]
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **threads}
