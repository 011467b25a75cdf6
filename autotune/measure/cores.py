"""Which cores measure and which build, so that building does not slow what is being measured."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
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
    return plan(sorted(os.sched_getaffinity(0)), threads, _quota(), _siblings)


def plan(cores: list[int], threads: int, quota: float, siblings: Callable[[int], Iterable[int]]) -> CorePlan:
    """``plan_cores`` for given facts: ``quota`` in cores, ``siblings(core)`` the cores that share its units.

    The last cores measure, since the first ones serve more interrupts.
    """
    measuring = tuple(cores[-threads:])
    shared = {other for core in measuring for other in siblings(core)}
    others = [core for core in cores if core not in measuring]
    # A hyper-thread beside the measured one takes half of its units, so it builds only where there is nothing else.
    building = [core for core in others if core not in shared] or others
    spare = min(len(building), int(min(quota, len(cores))) - threads)
    return CorePlan(measuring, tuple(building or cores), max(1, spare), spare >= 1)


def _quota() -> float:
    """The cores that the cgroup (version 2) of this process and those above it grant; infinite where none limits."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return float("inf")
    inner = next((line[3:] for line in lines if line.startswith("0::")), "/")
    quota = float("inf")
    folder = Path("/sys/fs/cgroup") / inner.strip("/")
    for level in (folder, *folder.parents):
        try:
            granted, period = (level / "cpu.max").read_text().split()
        except (OSError, ValueError):
            continue
        if granted != "max":
            quota = min(quota, int(granted) / int(period))
    return quota


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
