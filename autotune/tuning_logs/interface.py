"""What a tuning database can be asked and told, wherever it is: a file, or a server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Protocol, TypeVar, runtime_checkable

from autotune.tuning_logs.accept import VERIFIED, Accept
from autotune.tuning_logs.database import WITHIN, Neighbour
from autotune.tuning_logs.records import DeviceInfo, Record, Run, Task, Workload

Self = TypeVar("Self")
T = TypeVar("T")


@runtime_checkable
class TuningDatabase(Protocol):
    """``Database`` documents each method. All that ``add`` and ``add_all`` returned from is kept for good."""

    @property
    def name(self) -> str:
        """What messages call it: the file's path, or the server's URL."""
        ...

    def close(self) -> None: ...

    def __enter__(self: Self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def start_run(self, run: Run, task: Task) -> None: ...

    def add(self, record: Record, task: Task) -> None: ...

    def add_all(self, records: Iterable[tuple[Record, Task]]) -> int: ...

    def add_round(self, run_id: str, batch: int, figures: Mapping[str, float | None]) -> None: ...

    def rounds(self, run_id: str) -> list[dict[str, Any]]: ...

    def records(self, task: Task, phase: str | None = None, until: str | None = None) -> list[Record]: ...

    def last_trial(self) -> str: ...

    def count(self, task: Task | None = None, phase: str | None = None, status: str | None = None) -> int: ...

    def tasks(self, workload_key: str | None = None) -> list[Task]: ...

    def find(self, trial: str) -> tuple[Record, Task] | None: ...

    def run(self, run_id: str) -> Run | None: ...

    def report(self, question: Callable[..., T], **arguments: Any) -> T:
        """What a function of ``summary`` says of the database, called where its file is."""
        ...

    def best(
        self,
        workload_key: str,
        target_key: str | None = None,
        device_key: str | None = None,
        threads: int | None = None,
        accept: Accept = VERIFIED,
    ) -> tuple[Record, Task] | None: ...

    def top(
        self,
        count: int,
        workload_key: str,
        target_key: str | None = None,
        device_key: str | None = None,
        threads: int | None = None,
        accept: Accept = VERIFIED,
    ) -> list[tuple[Record, Task]]: ...

    def near(
        self,
        workload: Workload,
        target_key: str | None = None,
        device: DeviceInfo | None = None,
        threads: int | None = None,
        accept: Accept = VERIFIED,
        count: int = 4,
        within: float = WITHIN,
    ) -> list[Neighbour]: ...
