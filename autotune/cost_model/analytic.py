"""The analytic cost model: how many cycles a candidate takes, from ports, latencies, registers, caches and bandwidths.

A roofline (Williams, Waterman and Patterson, CACM 52(4), 2009) with one roof per cache level, the compute roof refined
by the register tile: multiply-adds per port, loads per port, the latency of each accumulator's chain, and spills. What
a cache level must deliver is found from footprints: the outermost loop whose data fits the level above is where reuse
ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np

from autotune.cost_model.nest import LINE, Column, Nest
from autotune.schedules.tape import columnwise, stacked
from autotune.targets.facts import Target

MAX_BODY = 256  # multiply-adds in straight-line code: more of them build slowly and ran no faster where tried
WAYS = (12, 16)  # associativity of L1 and L2; the L3 hashes addresses, so that its sets fill evenly
MAX_CODE = 640  # instructions of all copies, stores included, that peeled tails make
GATHER = 4.0  # cycles for an element that is read across rows, most of which share few sets of the L1
LARGE = 1.5  # outputs in units of the L2 beyond which streaming pays
FETCHED, STREAMED = 0.06, 0.085  # cycles a byte: lines fetched to be written, and small outputs streamed to memory
JUMP = (2.0, 12.0, 12.0)  # cycles for a line that comes from the L2, the L3 or memory and that nothing fetched ahead
USABLE = 0.75  # of a cache: the rest holds what else is touched

# In cycles, fitted to some 4,000 trials of 13 workloads on an AVX-512 server, and rounded by hand.
CROSSING = 2.0  # loads that a load across two cache lines costs beside itself
RELOAD = 1.0  # an accumulator that did not stay in its register
LINE_WRITTEN = 2.5
RESUMED = 2.0  # a vector of a tile, loaded and stored between two blocks of the reduction
LINE_COPIED = 7.0
ROW_COPIED = 1.0
# A vector of a tile that is stored across the output's rows, per lane: shuffled in registers, and through memory.
TRANSPOSED, THROUGH_MEMORY = 1.0, 2.5
MEMORY = 4.0  # bytes per cycle that one core gets from memory, typical for servers
HIDDEN = 0.75  # of what is not the slowest part runs beside it


@dataclass(frozen=True, slots=True)
class Cost:
    """Cycles of the whole run on one core's share, and their parts; all columns."""

    cycles: Column
    compute: Column
    levels: tuple[Column, ...]  # of the transfers from L2, L3 and memory
    copies: Column
    overhead: Column
    legal: np.ndarray
    blocks: tuple[Column, ...]  # how often the L1, L2 and L3 are filled anew


def estimate(nest: Nest, target: Target, threads: int) -> Cost:
    """The cost of every candidate."""
    caches = (target.caches.l1, target.caches.l2, target.caches.l3)
    # Bytes per cycle that one core gets from L2, L3 and memory. Hardware fetches ahead, and what is reused before it
    # leaves a cache is more than what is counted here, so that the first two are above what caches deliver.
    rates = (2.5 * target.vector_bytes, 32.0, MEMORY)

    multiply_adds = nest.accumulators * nest.unrolled
    crossing = CROSSING * target.vector_bytes / LINE
    loads = sum(o.loads * (1 + crossing) if o.unaligned else o.loads for o in nest.operands)
    spilled = np.maximum(0.0, nest.registers - target.vector_registers)
    latency = nest.unrolled * target.fma_latency if nest.reduces else nest.unrolled
    body = reduce(np.maximum, [multiply_adds / target.fma_ports, loads / target.load_ports, latency])
    body = body + RELOAD * spilled * nest.unrolled + 1.0
    if nest.transposed:  # blocks of lanes x lanes elements go through log2(lanes) rounds of shuffles, however full
        blocks = nest.accumulators / np.minimum(nest.last, nest.lanes)
        stores = blocks * nest.lanes * nest.lanes * (THROUGH_MEMORY if nest.through_memory else TRANSPOSED)
        written = blocks * nest.lanes * (np.log2(nest.lanes) + 1)
    else:
        stores, written = 2.0 * nest.accumulators, nest.accumulators
    # Long bodies are fetched, decoded and built more slowly: all else equal, the shorter wins.
    body = body * (1.0 + 0.01 * np.log2(np.maximum(multiply_adds * nest.copies / 32.0, 1.0)))
    compute = nest.tiles * nest.steps * body
    # What accumulates starts and ends with a wait; iterations that do not depend on each other overlap.
    entering = 2 * target.fma_latency + 10 if nest.reduces else 1
    if nest.resumed:  # tiles do not depend on each other, and the output is still in a cache
        overhead = nest.tiles * (RESUMED * nest.accumulators + nest.written + 1.0)
    else:
        overhead = nest.tiles * (stores + nest.accumulators + LINE_WRITTEN * nest.written + entering)

    levels, blocks = [], []
    # Powers of two, in hardware; smaller caches than those that WAYS are typical of have fewer ways, not fewer sets.
    sets = [1 << ((size - 1) // (LINE * ways)).bit_length() for size, ways in zip(caches, WAYS, strict=False)]
    for size, count, rate, jump in zip(caches, (*sets, None), rates, JUMP, strict=True):
        traffic, jumps, fills = _traffic(nest, USABLE * size, count)
        levels.append(traffic / rate + jump * jumps)
        blocks.append(fills)
    copies = LINE_COPIED * nest.copied / LINE + ROW_COPIED * nest.copied / np.maximum(nest.row, 1.0)
    copies = copies + GATHER * nest.gathered + nest.operations / (nest.lanes * target.fma_ports)
    parts = [compute + overhead, *levels]
    slowest = reduce(np.maximum, parts)
    cycles = slowest + (1 - HIDDEN) * (sum(parts) - slowest) + copies  # type: ignore[operator]
    cycles = cycles + nest.stored * _store_rate(nest, target)
    cycles = cycles * np.ceil(nest.parallel / threads) / nest.parallel
    legal = (
        (nest.registers <= target.vector_registers + 2)
        & (multiply_adds <= MAX_BODY)
        & ((multiply_adds + written) * nest.copies <= MAX_CODE)
    )
    return Cost(cycles, compute, tuple(levels), copies, overhead, legal, tuple(blocks))


def _store_rate(nest: Nest, target: Target) -> float:
    """Cycles that a byte of the output costs beyond its store: what leaves the L2 anyway had better pass it by."""
    large = nest.stored > LARGE * target.caches.l2
    return (0.0 if large else STREAMED) if nest.streamed else (FETCHED if large else 0.0)


def _traffic(nest: Nest, capacity: float, sets: int | None) -> tuple[Column, Column, Column]:
    """Bytes that must come from beyond a cache of the given capacity and number of sets (None: no conflicts), how many
    of their lines nothing fetches ahead, in how many blocks they come: 0 each where all that is read stays there."""
    lines = sum(operand.lines for operand in nest.operands)
    occupied = lines * LINE if sets is None else sum(operand.occupancy(sets) for operand in nest.operands)
    stays = nest.whole <= capacity  # from one run to the next
    fits = occupied <= capacity
    iterations = stacked(*nest.iterations[: nest.positions])
    jumps = sum(operand.jumps for operand in nest.operands)
    found = (_outermost(fits, values * iterations) for values in (lines * LINE, jumps, 1.0))
    traffic, alone, blocks = (np.where(stays, 0.0, column) for column in found)
    return traffic, alone, blocks


@columnwise
def _outermost(fits: Column, values: Column) -> Column:
    """Of each candidate the value [loops x candidates] at the outermost loop that fits, or else at the innermost."""
    fits, values = np.broadcast_arrays(fits, values)
    at = np.where(fits.any(axis=0), fits.argmax(axis=0), len(fits) - 1)
    return values[at, np.arange(len(at))]
