"""Kills a server and its clients again and again, and counts: ``python tests/kill_sharing.py FOLDER KILLS SEED``.

Server and clients are forked from this process, which has no threads. A client names each record in its pipe right
after ``add`` returned, and sends at every ``add``. Between it and the server stands a proxy that cuts answers off. In
the end every client's file is opened once more, with the server there: what was named must be on the server, once.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import select
import signal
import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from kill_writers import TASK, Writer, kill, record
from serving import free_port

from autotune.tuning_logs import Database, Run
from autotune.tuning_logs.sharing import client
from autotune.tuning_logs.sharing.client import SharedDatabase
from autotune.tuning_logs.sharing.serving import Access, listen, serve

CLIENTS = 2


def fork(work: Callable[[], None]) -> int:
    process = os.fork()
    if process == 0:
        try:
            work()
        finally:
            os._exit(0)
    return process


def start_server(path: Path, port: int) -> int:
    return fork(lambda: serve(path, listen("127.0.0.1", port, Access()), Access()))


def start_client(folder: Path, url: str, name: str) -> Writer:
    """It adds records until it is killed; clients of one folder share the file of what is queued."""
    reading, writing = os.pipe()

    def work() -> None:
        os.close(reading)
        warnings.simplefilter("ignore")
        client._SEND_SECONDS, client._REST_SECONDS = 0.0, (0.01, 0.05)
        with SharedDatabase.open(url, folder) as database:
            database.start_run(Run(run_id=name, seed=0, package_version="", llvm_version=""), TASK)
            for number in itertools.count():
                database.add(record(name, number), TASK)
                os.write(writing, f"{name}-{number}\n".encode())

    process = fork(work)
    os.close(writing)
    return Writer(name, process, reading)


def start_proxy(port: int, to: int, cuts: Iterator[int]) -> int:
    """Forwards connections, each in a process of its own, and cuts each off instead of that many answers later."""
    listening = socket.create_server(("127.0.0.1", port))
    process = fork(lambda: _forward(listening, to, cuts))
    listening.close()
    return process


def _forward(listening: socket.socket, to: int, cuts: Iterator[int]) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for cut in cuts:
        near, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            pump(near, to, cut)
            os._exit(0)
        near.close()


def pump(near: socket.socket, to: int, answers: int) -> None:
    """Forwards a connection until either side ends it, or instead of that many answers."""
    try:
        far = socket.create_connection(("127.0.0.1", to))
        while True:
            for ready in select.select([near, far], [], [])[0]:
                data = ready.recv(2**16)
                answers -= ready is far and data.startswith(b"HTTP/")
                if not data or answers == 0:
                    return
                (near if ready is far else far).sendall(data)
    except OSError:
        return


def main(folder: Path, kills: int, seed: int) -> dict[str, int]:
    draw = random.Random(seed)
    path, port, proxy_port = folder / "server.db", free_port(), free_port()
    Database.open(path).close()
    folders = [folder / f"client{number}" for number in range(CLIENTS)]
    url = f"http://127.0.0.1:{proxy_port}"
    server, proxy = (
        start_server(path, port),
        start_proxy(proxy_port, port, (draw.randrange(1, 40) for _ in itertools.count())),
    )
    acknowledged: list[str] = []
    writers = [start_client(folders[number], url, f"w{number}") for number in range(CLIENTS)]
    for number in range(kills):
        time.sleep(draw.uniform(0, 1))
        if number % 2:
            end(server)
            time.sleep(draw.uniform(0, 0.2))
            server = start_server(path, port)
        else:
            place = draw.randrange(CLIENTS)
            acknowledged += kill(writers[place])
            writers[place] = start_client(folders[place], url, f"w{CLIENTS + number}")
    for writer in writers:
        acknowledged += kill(writer)
    end(proxy)
    proxy = start_proxy(proxy_port, port, itertools.repeat(-1))
    deadline = time.monotonic() + 60
    for place in folders:
        with SharedDatabase.open(url, place) as database:
            while database.outbox.waiting and time.monotonic() < deadline:
                database.count()
            assert not database.outbox.waiting and not database.outbox.refused()
    end(proxy)
    end(server)
    with Database.open(path) as stored:
        trials = [one.trial for one in stored.records(TASK)]
        (audit,) = stored.query("SELECT sum(new) AS new, sum(records) AS sent FROM audit")
    return {
        "kills": kills + CLIENTS, "acknowledged": len(acknowledged), "stored": len(trials),
        "lost": len(set(acknowledged) - set(trials)), "doubled": len(trials) - len(set(trials)),
        "sent twice": audit["sent"] - audit["new"], "audited": audit["new"],
    }  # fmt: skip


def end(process: int) -> None:
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
