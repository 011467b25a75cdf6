"""What this machine can take: refused with a sentence before anything is allocated or started."""

from __future__ import annotations

import os
from math import prod
from pathlib import Path

from autotune.errors import UsageError
from autotune.tensor_expr.dtypes import itemsize
from autotune.tensor_expr.tensor import graph
from autotune.tensor_expr.workload import Workload

# Of the bytes of a workload's arrays: the inputs, the reference in float64 and what NumPy needs to compute it, and the
# copies that the measuring worker makes.
COPIES = 8


def check_threads(threads: int) -> None:
    """Refuse a number of threads that this machine's cores cannot run at once."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not 1 <= threads <= cores:
        raise UsageError(f"threads is {threads}; it must be from 1 to {cores}, the cores that this process may use")


def check_memory(workload: Workload) -> None:
    """Refuse a workload whose measuring would need more memory than there is."""
    arrays = sum(prod(tensor.shape) * itemsize(tensor.dtype) for tensor in graph(workload.output))
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
