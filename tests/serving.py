"""A real server in a process of its own, for tests."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Served:
    """The file that is served, where, and the file with what the server complained about."""

    path: Path
    url: str
    log: Path


@contextmanager
def served(path: Path, *options: object, before: Callable[[], None] | None = None) -> Iterator[Served]:
    """``autotune db serve`` until the block ends; ``before`` runs in its process first."""
    words = [sys.executable, "-m", "autotune", "db", "serve", str(path), "--port", "0", *map(str, options)]
    log = path.with_suffix(".log")
    with (
        log.open("a") as complaints,
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=complaints, text=True, preexec_fn=before) as process,
    ):
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            assert said.endswith("(Ctrl-C ends it)\n"), log.read_text()
            yield Served(path, said.split(" is served at ")[1].split(" ")[0], log)
        finally:
            process.terminate()


def free_port() -> int:
    """A port of this machine that nobody has, for now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])
