"""Which roof of the roofline (Williams, Waterman and Patterson, CACM 52(4), 2009) a workload stands under."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from autotune.targets.facts import Target
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.workload import Workload


@dataclass(frozen=True, slots=True)
class Roof:
    """``kind`` is ``compute`` or ``memory``; ``read`` and ``written`` are the bytes of all inputs and outputs.

    ``floor`` is the share of the roof's time that every kernel must take. A memory-bound kernel need not read all of
    its inputs, so there it is the share of what it must write; zero where the caches hold that.
    """

    kind: str
    read: int
    written: int
    floor: float


def roof(workload: Workload, target: Target) -> Roof:
    """Which limit binds, by the target's facts: multiply-adds on all ports, or the bytes at the rate of the smallest
    cache that holds them."""
    read = sum(prod(tensor.shape) * dtypes.itemsize(tensor.dtype) for tensor in workload.placeholders)
    written = workload.bytes - read
    lanes = target.lanes(dtypes.itemsize(workload.output.dtype))
    compute = workload.flops / (2 * lanes * target.fma_ports)
    caches = (target.caches.l1, target.caches.l2, target.caches.l3, workload.bytes)
    # Bytes per cycle that one core gets from L1, L2, L3 and memory, as is typical for servers.
    rates = (target.load_ports * target.vector_bytes, 0.4 * target.vector_bytes, 8.0, 4.0)
    rate = next(rate for size, rate in zip(caches, rates, strict=True) if workload.bytes <= size)
    if workload.bytes / rate <= compute:
        return Roof("compute", read, written, 1.0)
    return Roof("memory", read, written, written / workload.bytes if written > target.caches.l2 else 0.0)
