"""A tuning database on a server: records are kept here first and sent when it is there; questions go to it."""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from autotune.tuning_logs.accept import VERIFIED, Accept
from autotune.tuning_logs.database import WITHIN, Database, Neighbour
from autotune.tuning_logs.opening import DatabaseError
from autotune.tuning_logs.records import DeviceInfo, Forecast, Record, Run, Task, Workload
from autotune.tuning_logs.sharing.outbox import MOST_RECORDS, Outbox
from autotune.tuning_logs.sharing.transport import Away, NoAccess, Refused, Transport

_SEND_SECONDS = 2.0  # between two batches of a tuner that asks nothing
_REST_SECONDS = (1.0, 60.0)  # without another attempt after a failed one: the first time, and at most

T = TypeVar("T")


class SharingWarning(UserWarning):
    """A shared database does not do now what it does when its server is there."""


@dataclass(slots=True)
class Pushed:
    """How many records were sent since it was opened: ``new`` ones, and those that the server had ``already``."""

    new: int = 0
    already: int = 0


class SharedDatabase:
    """A ``TuningDatabase`` at a URL, used by the thread that opened it.

    While the server is away, or lets us in no more, records queue up in a file of this machine, and questions are
    answered from what this machine itself has recorded; a SharingWarning says so.
    """

    def __init__(self, transport: Transport, local: Database) -> None:
        self.name = transport.url
        self.local = local
        self.outbox = Outbox(local)
        self.pushed = Pushed()
        self._transport = transport
        self._rest_until, self._rest, self._reason = 0.0, 0.0, ""
        self._told = False  # that the server is away
        self._send_at = 0.0
        self._insists = False

    @classmethod
    def open(
        cls, url: str, folder: Path, token: str | None = None, ca_file: Path | None = None, readonly: bool = False
    ) -> SharedDatabase:
        """Opens the database of a server; this machine's own records of it are kept in a file of the folder.

        Unless ``readonly``, the token must allow to append. Raises UsageError for a URL that is none, and
        DatabaseError where what is there is no such server, or does not let us in.
        """
        transport = Transport(url.rstrip("/"), token, ca_file)
        try:
            found = cls(transport, Database.open(folder / file_name(transport.url)))
        except BaseException:
            transport.close()
            raise
        try:
            found._begin(readonly)
        except BaseException:
            found.local.close()
            transport.close()
            raise
        return found

    def _begin(self, readonly: bool) -> None:
        try:
            scope = self._contact(self._transport.hello).get("scope")
        except Away as error:
            self._warn_away(error)
            return
        if not readonly and scope != "append":
            raise NoAccess(f"the token for {self.name} may only read")
        self._send_or_warn()

    def close(self) -> None:
        """Sends what is queued, if the server is there; what is not sent stays queued."""
        try:
            self._rest_until = 0.0  # a last attempt
            self._send_or_warn()
            if waiting := self.outbox.waiting:
                self._warn(f"{waiting} records for {self.name} wait in {self.local.path}; autotune db push sends them")
        finally:
            self._transport.close()
            self.local.close()

    def __enter__(self) -> SharedDatabase:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- writing -----------------------------------------------------------------------------------------------

    def start_run(self, run: Run, task: Task) -> None:
        """Keeps the run here; it is sent with its first record."""
        self.local.start_run(run, task)

    def add(self, record: Record, task: Task) -> None:
        """Keeps a record for good before it returns: here, and soon on the server."""
        self.add_all([(record, task)])

    def add_all(self, records: Iterable[tuple[Record, Task]]) -> int:
        """Keeps many records, all or none; how many were new to this machine."""
        new = self.outbox.add_all(records)
        if time.monotonic() >= self._send_at:
            self._send_or_warn()
        return new

    def add_round(self, run_id: str, batch: int, figures: Mapping[str, float | None]) -> None:
        """Keeps here how well a batch was foretold; it is sent after the records."""
        self.outbox.add_round(Forecast(run_id, batch, figures))

    def insist(self) -> None:
        """From now on a server that is away makes questions raise Away, where all that there is must be known."""
        self._insists = True

    def reach(self) -> None:
        """Raises Away where the server is, and NoAccess where it lets us in no more."""
        self._contact(self._transport.hello)

    def push(self) -> None:
        """Sends all that is queued. Raises Away and NoAccess, after which what is not sent stays queued."""
        most = MOST_RECORDS
        while (batch := self.outbox.next_batch(most)) is not None:
            try:
                new, already = self._contact(partial(self._transport.append, batch.lines))
            except Refused as error:
                if len(batch.trials) == 1:
                    self.outbox.refuse(batch.trials[0], str(error))
                    self._warn(f"trial {batch.trials[0]} stays in {self.local.path}: {error}")
                most = max(len(batch.trials) // 2, 1)  # to find the one that is meant
                continue
            if new + already != len(batch.trials):
                raise NoAccess(f"{self.name} does not say that it keeps what was sent")
            self.outbox.drop(batch.trials)
            self.pushed.new += new
            self.pushed.already += already
        self._push_rounds()
        self._send_at = time.monotonic() + _SEND_SECONDS

    def _push_rounds(self) -> None:
        """Apart from records, which nothing may hold up."""
        while (waiting := self.outbox.next_rounds()) is not None:
            try:
                self._contact(partial(self._transport.append, waiting.lines))
            except Refused as error:
                self._warn(f"how well batches were foretold stays in {self.local.path}: {error}")
            self.outbox.drop_rounds(waiting.batches)

    def _send_or_warn(self) -> None:
        try:
            self.push()
        except (Away, NoAccess) as error:
            self._send_at = time.monotonic() + _SEND_SECONDS
            self._warn_away(error)

    # -- questions ---------------------------------------------------------------------------------------------

    def records(self, task: Task, phase: str | None = None, until: str | None = None) -> list[Record]:
        def own() -> list[Record]:
            known = until if until is None or not until or self.local.find(until) else None
            return self.local.records(task, phase, known)

        return self._ask("records", own, task=task, phase=phase, until=until)

    def last_trial(self) -> str:
        return self._ask("last_trial", self.local.last_trial)

    def count(self, task: Task | None = None, phase: str | None = None, status: str | None = None) -> int:
        return self._ask("count", lambda: self.local.count(task, phase, status), task=task, phase=phase, status=status)

    def tasks(self, workload_key: str | None = None) -> list[Task]:
        return self._ask("tasks", lambda: self.local.tasks(workload_key), workload_key=workload_key)

    def find(self, trial: str) -> tuple[Record, Task] | None:
        return self._ask("find", lambda: self.local.find(trial), trial=trial)

    def rounds(self, run_id: str) -> list[dict[str, Any]]:
        return self._ask("rounds", lambda: self.local.rounds(run_id), run_id=run_id)

    def run(self, run_id: str) -> Run | None:
        return self._ask("run", lambda: self.local.run(run_id), run_id=run_id)

    def best(
        self,
        workload_key: str,
        target_key: str | None = None,
        device_key: str | None = None,
        threads: int | None = None,
        accept: Accept = VERIFIED,
    ) -> tuple[Record, Task] | None:
        return self._ask(
            "best", lambda: self.local.best(workload_key, target_key, device_key, threads, accept),
            workload_key=workload_key, target_key=target_key, device_key=device_key, threads=threads, accept=accept,
        )  # fmt: skip

    def top(
        self,
        count: int,
        workload_key: str,
        target_key: str | None = None,
        device_key: str | None = None,
        threads: int | None = None,
        accept: Accept = VERIFIED,
    ) -> list[tuple[Record, Task]]:
        return self._ask(
            "top", lambda: self.local.top(count, workload_key, target_key, device_key, threads, accept), count=count,
            workload_key=workload_key, target_key=target_key, device_key=device_key, threads=threads, accept=accept,
        )  # fmt: skip

    def near(
        self,
        workload: Workload,
        target_key: str | None = None,
        device: DeviceInfo | None = None,
        threads: int | None = None,
        accept: Accept = VERIFIED,
        count: int = 4,
        within: float = WITHIN,
    ) -> list[Neighbour]:
        return self._ask(
            "near", lambda: self.local.near(workload, target_key, device, threads, accept, count, within),
            workload=workload, target_key=target_key, device=device, threads=threads, accept=accept, count=count,
            within=float(within),
        )  # fmt: skip

    def report(self, question: Callable[..., T], **arguments: Any) -> T:
        return self._ask(question.__name__, lambda: question(self.local, **arguments), **arguments)

    def _ask(self, question: str, own: Callable[[], T], **arguments: Any) -> T:
        """The server's answer, after it was sent what it lacks; while it is away, this machine's ``own``."""
        self._send_or_warn()
        try:
            answer: T = self._contact(lambda: self._transport.ask(question, arguments, self.local.run))
        except (Away, NoAccess) as error:
            if self._insists:
                raise
            self._warn_away(error)
            return own()
        return answer

    # -- the server's absence ----------------------------------------------------------------------------------

    def _contact(self, request: Callable[[], T]) -> T:
        """Makes a request, unless the last one failed just now: a tuner must not wait again and again."""
        if time.monotonic() < self._rest_until:
            raise Away(self._reason)
        try:
            answer = request()
        except Away as error:
            first, most = _REST_SECONDS
            self._rest, self._reason = min(max(2 * self._rest, first), most), str(error)
            self._rest_until = time.monotonic() + self._rest
            raise
        self._rest, self._told = 0.0, False
        return answer

    def _warn_away(self, error: DatabaseError) -> None:
        """Once in each of the server's absences."""
        if not self._told:
            self._told = True
            self._warn(
                f"{error}; until that changes, questions are answered from this machine's own records, and new ones "
                f"queue up in {self.local.path}"
            )

    def _warn(self, sentence: str) -> None:
        warnings.warn(SharingWarning(sentence), stacklevel=3)


def file_name(url: str) -> str:
    """The name of the file with this machine's own records of a URL."""
    parts = urlsplit(url)
    host = "".join(c if c.isalnum() or c in ".-" else "_" for c in f"{parts.hostname}-{parts.port or parts.scheme}")
    return f"{host}-{hashlib.sha256(url.encode()).hexdigest()[:12]}.db"
