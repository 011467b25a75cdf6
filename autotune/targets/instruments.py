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
class Instruments:
    """The timing loop's object code (``time_kernel``, see targets/llvm/timer.py) and the peak probe."""

    timer: bytes
    probe: Probe
