"""What this machine can take: refused with a sentence before anything is allocated or started."""

from __future__ import annotations

import os
from math import prod
from numbers import Integral
from pathlib import Path

from autotune.errors import UsageError
from autotune.tensor_expr.dtypes import itemsize
from autotune.tensor_expr.tensor import graph
from autotune.tensor_expr.workload import Workload

# Of the bytes of a workload's arrays: the inputs, the reference in float64 and what NumPy needs to compute it, and the
# copies that the measuring worker makes.
COPIES = 8
MAX_THREADS = 4096  # of a kernel for any machine


def check_count(name: str, value: object, least: int = 1, most: int = MAX_THREADS) -> int:
    """The value as a plain ``int``; refused unless it is a whole number within the bounds."""
    number = int(value) if isinstance(value, Integral) and not isinstance(value, bool) else None
    if number is None or not least <= number <= most:
        shown = repr(value) if number is None else number
        raise UsageError(f"{name} is {shown}; it must be a whole number from {least} to {most}")
    return number


def check_threads(threads: object) -> int:
    """The number of threads; refused where this machine's cores cannot run them at once."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        return check_count("threads", threads, 1, cores)
    except UsageError as error:
        raise UsageError(f"{error}, the cores that this process may use") from None


def check_memory(workload: Workload) -> None:
    """Refuse a workload whose measuring would need more memory than there is."""
    arrays = sum(prod(t.shape) * itemsize(dtype) for t in graph(workload.output) for dtype in t.dtypes)
    needed, there = COPIES * arrays, _memory_bytes()
    if needed > there:
        raise UsageError(
            f"{workload.text} has arrays of {_size(arrays)}; measuring it needs about {_size(needed)}, "
            f"and this machine has {_size(there)}"
        )


def _memory_bytes() -> int:
    """What this process may use: the machine's memory, or less where its cgroup (version 2) says so."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 1 << 40
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total


def _size(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB"
