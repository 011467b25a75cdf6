"""The machine code that a measuring worker needs besides the kernels: plain data, so that a worker stays light."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Probe:
    """Object code of ``void fma_probe(void **arguments)``, called and timed like any kernel.

    Its arguments are ``data_bytes`` bytes of finite numbers, read and written, and a pointer to the int64 number of
    iterations (at least 1), each of which does ``flops_per_iteration`` floating-point operations.
    """

    code: bytes
    flops_per_iteration: int
    data_bytes: int


@dataclass(frozen=True, slots=True)
class MemoryProbe:
    """Object code of ``void memory_probe(void **arguments)``, which reads ``read`` bytes from its first argument and
    writes ``written`` bytes to its second, a little of each in turn.

    ``scale`` times its seconds is what the whole of a workload's bytes take.
    """

    code: bytes
    read: int
    written: int
    scale: float


@dataclass(frozen=True, slots=True)
class Instruments:
    """The timing loop's object code (``time_kernel``, see targets/llvm/timer.py), the code that empties caches
    (``flush``), the peak probe and, for a task that is bound by memory, the probe of its bandwidth."""

    timer: bytes
    flush: bytes
    probe: Probe
    memory: MemoryProbe | None = None
