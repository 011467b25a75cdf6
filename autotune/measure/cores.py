"""Which cores measure and which build, so that building does not slow what is being measured."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CorePlan:
    """Core numbers (empty where the system cannot pin processes) and how many builders to run.

    Where ``overlap`` is false, builders share cores or quota with the measurer: build and measure in turns.
    """

    measuring: tuple[int, ...]
    building: tuple[int, ...]
    builders: int
    overlap: bool


def plan_cores(threads: int) -> CorePlan:
    """The plan for kernels of ``threads`` threads, within this process's affinity and its cgroup's quota."""
    if not hasattr(os, "sched_getaffinity"):
        count = os.cpu_count() or 1
        return CorePlan((), (), max(1, count - threads), count > threads)
    return plan(sorted(os.sched_getaffinity(0)), threads, quota(), _siblings)


def plan(cores: list[int], threads: int, quota: float, siblings: Callable[[int], Iterable[int]]) -> CorePlan:
    """``plan_cores`` for given facts: ``quota`` in cores, ``siblings(core)`` the cores that share its units.

    The last cores measure, since the first ones serve more interrupts.
    """
    measuring = _apart(cores, threads, siblings)
    shared = {other for core in measuring for other in siblings(core)}
    others = [core for core in cores if core not in measuring]
    # A hyper-thread beside the measured one takes half of its units, so it builds only where there is nothing else.
    building = [core for core in others if core not in shared] or others
    spare = min(len(building), int(min(quota, len(cores))) - threads)
    return CorePlan(measuring, tuple(building or cores), max(1, spare), spare >= 1)


def _apart(cores: list[int], threads: int, siblings: Callable[[int], Iterable[int]]) -> tuple[int, ...]:
    """The last cores that share no units with each other, then, where these are too few, the last of the others."""
    chosen: list[int] = []
    for core in reversed(cores):
        if len(chosen) < threads and not set(siblings(core)) & set(chosen):
            chosen.append(core)
    others = [core for core in reversed(cores) if core not in chosen]
    return tuple(sorted([*chosen, *others][:threads]))


@contextmanager
def kept_off(measuring: Iterable[int]) -> Iterator[None]:
    """Keeps the calling thread off the measuring cores, where it may use others."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, allowed - set(measuring) or allowed)
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def quota(membership: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> float:
    """The cores that the cgroups of this process and those above them grant; infinite where none limits."""
    try:
        lines = [line.split(":", 2) for line in membership.read_text().splitlines()]
    except OSError:
        return float("inf")
    least = float("inf")
    for number, controllers, inner in lines:
        if number == "0" or "cpu" in controllers.split(","):  # version 2, version 1
            top = root if number == "0" else root / "cpu"
            folder = top / inner.strip("/")
            least = min(least, *map(_granted, (folder, *folder.parents)))
    return least


def _granted(folder: Path) -> float:
    """The cores that one cgroup grants."""
    try:
        granted, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            granted, period = ((folder / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        except OSError:
            return float("inf")
    return int(granted) / int(period) if granted not in ("max", "-1") else float("inf")


def _siblings(core: int) -> list[int]:
    """The hyper-threads of a core, itself among them."""
    try:
        text = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text()
    except OSError:
        return [core]
    found: list[int] = []
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found
