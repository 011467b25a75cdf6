"""What a population of candidates of one sketch does: trip counts, footprints and traffic, in columns.

Everything is NumPy over one column per knob; nothing here runs once per candidate. Products of extents count the last,
partial tile as a full one, so trip counts and footprints are upper bounds where tiles do not divide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from autotune.schedules.bounds import Bounds, product
from autotune.schedules.dependences import producers
from autotune.schedules.sketches.choosing import choosing_axes
from autotune.schedules.sketches.draft import axes_of, crosses_rows, find_anchor, lane_step
from autotune.schedules.sketches.staging import COLUMNS
from autotune.schedules.state import Number, Stage, State, reads
from autotune.schedules.tape import Traced, stacked
from autotune.schedules.tensor_intrinsics import get_tensor_intrinsic
from autotune.schedules.windows import moved_axis
from autotune.targets.facts import Target
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.affine import interval_length
from autotune.tensor_expr.expr import Axis, Binary, Read, walk
from autotune.tensor_expr.tensor import Tensor

Column = np.ndarray
LINE = 64  # bytes of a cache line
PAGE = 64  # cache lines
TURNED = 1 / 8  # of what it costs to gather an element: rows that are turned into columns in registers
STREAMS = 32  # pages at a time that hardware fetches ahead in
ACROSS = 4  # lanes that lie a row apart are loaded one by one, though each load serves some neighbouring columns


@dataclass(frozen=True, slots=True)
class Operand:
    """One operand of the anchor, per loop of the chain: how much one iteration of that loop touches.

    ``lines`` [loops x candidates] counts cache lines, ``jumps`` likewise those that nothing fetches ahead, and
    ``spans`` says how all of them lie: (how many [loops x candidates], how many lines apart), innermost first.
    ``loads`` counts load instructions of one body, ``step_loads`` those of one reduction step alone; ``unaligned`` says
    that they are vectors which begin anywhere in a cache line.
    """

    name: str
    lines: Column
    jumps: Column
    spans: list[tuple[Column, Number]]
    loads: Column
    step_loads: Column
    unaligned: bool

    def occupancy(self, sets: int) -> Column:
        """Bytes of a cache with so many sets, a power of two, that the operand takes up per loop, conflicts included:
        rows at a distance that shares factors with the number of sets crowd into few of them."""
        reached: Column = np.float64(1)  # type: ignore[assignment]
        for count, distance in self.spans:  # innermost first
            # The greatest common divisor with a power of two is the lowest bit; zero lines apart is one place.
            places = np.where(distance >= 1, sets / np.minimum(np.maximum(distance & -distance, 1), sets), 1.0)
            reached = np.minimum(reached * np.minimum(count, places), sets)
        return LINE * np.where(self.lines > reached, self.lines / reached * sets, self.lines)


@dataclass(frozen=True, slots=True)
class Nest:
    """The anchor's loops from the outermost in (``extents``, ``iterations`` up to and including each), of which those
    at the first ``positions`` are loops in the code, and its operands.

    ``accumulators`` and ``unrolled`` describe the register tile: vectors that accumulate, and reduction steps written
    out. ``tiles`` counts register tiles, once for each block of the reduction, ``steps`` unrolled bodies per tile, on
    average; ``resumed`` says that tiles begin with what an earlier block left in memory. ``copied`` is bytes moved by
    stages that feed the anchor, ``gathered`` those of their elements that are read across the rows of their source,
    ``operations`` what they compute. ``transposed`` says that the tile is stored across its vectors, ``through_memory``
    that it is copied on the way, ``written`` counts cache lines of the output per tile, ``last`` is the tile's extent
    along the output's innermost dimension, ``fill`` is the share of its vectors' lanes that do work, ``waste`` the
    share by which full tiles cover more points than there are, ``whole`` is the bytes of all operands, ``copies`` how
    often peeled tails repeat the body, ``reused`` the loads of one reduction step that unrolled steps share: they stay
    in registers. ``stored`` is the bytes of the output, ``streamed`` says that its stores pass the caches by,
    ``reduces`` that there is a reduction at all.
    """

    extents: list[Column]
    iterations: list[Column]
    positions: int
    operands: list[Operand]
    accumulators: Column
    vectors: Column
    unrolled: Column
    tiles: Column
    steps: Column
    copied: Column
    gathered: Column
    operations: Column
    parallel: Column
    transposed: bool
    through_memory: bool
    written: Column
    lanes: int
    row: Column
    last: Column
    copies: Column
    whole: Column
    reused: Column
    fill: Column
    waste: Column
    stored: int
    streamed: bool
    reduces: bool
    resumed: bool

    @property
    def registers(self) -> Column:
        """Vector registers that one reduction step needs: accumulators, a row of the other operand, a broadcast."""
        return self.accumulators + self.vectors + 1 + self.reused


def describe(state: State, target: Target, count: int | tuple[()]) -> Nest:
    """The nest of a state whose factors are columns of ``count`` candidates.

    Its anchor is the largest reduction. Without one it is the output, whose register tile is what stands in its
    innermost loop, and which is an operand as well: memory is what limits it.
    """
    name = find_anchor(state) or state.output
    bounds = Bounds(state)
    anchor = state.stages[name]
    chain = loop_chain(state, anchor)
    lanes = target.lanes(dtypes.computed_size(anchor.tensor.dtype))

    def column(value: Any) -> Column:
        return value if isinstance(value, (np.ndarray, Traced)) else np.full(count, value, np.float64)  # type: ignore[return-value]

    extents = [column(bounds.stages[stage].extents[loop]) for stage, loop in chain]
    iterations: list[Column] = []
    total = column(1)
    for extent in extents:
        total = total * extent
        iterations.append(total)
    body = _body_position(state, anchor, chain)
    vector = _vector_axis(anchor)
    covers = [bounds.covers(name, *loop) for loop in chain[: body + 1]]
    if body < 0:  # straight-line code is one iteration of a loop around it
        covers, extents, iterations = [bounds.stages[name].axes], [column(1), *extents], [column(1), *iterations]
    inside = {axis: stacked(*(cover[axis] for cover in covers)) for axis in covers[0]}
    tile = {axis: column(extent) for axis, extent in _tile(bounds, anchor).items()}
    touched = _distinct(anchor)
    if not anchor.tensor.reduce_axes:
        touched.append(Read(anchor.tensor.dtype, anchor.tensor, anchor.tensor.axes, 0))
    around = min(max(len(chain) - len(anchor.loops) + _first_step(anchor) - 1, 0), len(covers) - 1)  # the tile
    operands = [_operand(bounds, anchor, read, covers, inside, around, vector, lanes, tile, column) for read in touched]
    output = state.stages[state.output]
    vectors = np.ceil(tile[vector] / lanes) if vector else column(1)
    accumulators = vectors * product([tile[axis.name] for axis in anchor.tensor.axes if axis.name != vector])  # type: ignore[misc]
    reducing = {axis.name for axis in anchor.tensor.reduce_axes}
    inner = covers[-1] if body >= 0 else {r: 1 for r in reducing}
    blocks = _reduction_blocks(anchor)
    entered = column(product([bounds.stages[name].extents[loop] for loop in blocks]))
    grouped = _grouped(anchor) / _slots(anchor)
    unrolled = column(product([inner[axis] for axis in reducing])) / grouped
    full = prod(axis.extent for axis in anchor.tensor.reduce_axes) / grouped
    tiles, copies, covered = entered, column(1), column(1)
    for axis in anchor.tensor.axes:
        at_once = bounds.stages[name].axes[axis.name]
        count_along = np.ceil(axis.extent / at_once) * np.ceil(at_once / tile[axis.name])
        tiles = tiles * count_along
        covered = covered * (count_along * tile[axis.name] / axis.extent)
        copies = copies * np.where(axis.extent % tile[axis.name], 2.0, 1.0)
    for axis in anchor.tensor.reduce_axes:
        copies = copies * np.where(axis.extent % column(inner[axis.name]), 2.0, 1.0)
    copied, row, gathered, operations = _copied(state, bounds, anchor, column)
    first = state.stages[chain[0][0]] if chain else anchor
    parallel = extents[0] if chain and first.kind(chain[0][1]) == "parallel" else column(1)
    transposed = vector is not None and vector != anchor.tensor.axes[-1].name
    through_memory = anchor.attach is not None and any(s.attach == anchor.attach for s in state.consumers(name))
    *rows, last = (tile[axis.name] for axis in anchor.tensor.axes)
    written = product(rows) * np.ceil(last * dtypes.itemsize(anchor.tensor.dtype) / LINE)  # type: ignore[arg-type]
    return Nest(
        extents, iterations, len(covers), operands, accumulators, vectors, unrolled, tiles,
        np.ceil(full / unrolled) / entered, copied, gathered, operations, parallel, transposed, through_memory,
        column(written), lanes, row, last,
        copies, column(sum(_bytes(bounds, state.stages[operand.name]) for operand in operands)),
        sum((np.where(o.loads < o.step_loads * unrolled, o.step_loads, 0.0) for o in operands), start=column(0)),
        tile[vector] / (vectors * lanes) if vector else column(1), covered - 1,
        prod(output.tensor.shape) * dtypes.itemsize(output.tensor.dtype), output.details.streamed, bool(reducing),
        bool(blocks),
    )  # fmt: skip


def loop_chain(state: State, anchor: Stage) -> list[tuple[str, str]]:
    """(stage, loop) around the anchor's body, outermost first."""
    chain = [(anchor.name, loop) for loop in anchor.loops]
    current = anchor
    while current.attach is not None:
        parent = state.stages[current.attach[0]]
        position = parent.loops.index(current.attach[1])
        chain = [*((parent.name, loop) for loop in parent.loops[: position + 1]), *chain]
        current = parent
    return chain


def _tile(bounds: Bounds, anchor: Stage) -> Mapping[str, Any]:
    """How much of each axis the anchor's loops cover from its first reduction loop inside all loops over tiles: what
    accumulates at once.

    Of an anchor that reduces nothing, what its innermost loop covers.
    """
    kinds = [anchor.kind(loop) for loop in anchor.loops]
    first = max((at + 1 for at, kind in enumerate(kinds) if kind in ("serial", "parallel")), default=0)
    if anchor.tensor.reduce_axes:
        first = _first_step(anchor)
    return bounds.stages[anchor.name].covers(frozenset(anchor.loops[first:]))


def _first_step(anchor: Stage) -> int:
    """The position of the first reduction loop inside all serial loops that move the tile."""
    reducing = anchor.reduce_loops
    tiles = [at for at, loop in enumerate(anchor.loops) if loop not in reducing and anchor.kind(loop) == "serial"]
    inside = max(tiles, default=-1)
    return min((at for at, loop in enumerate(anchor.loops) if at > inside and loop in reducing), default=inside + 1)


def _reduction_blocks(anchor: Stage) -> list[str]:
    """The reduction loops outside loops over tiles."""
    return [loop for loop in anchor.loops[: _first_step(anchor)] if loop in anchor.reduce_loops]


def _grouped(anchor: Stage) -> int:
    """Reduction steps that one instruction adds up."""
    if anchor.details.tensorized is None:
        return 1
    declared = get_tensor_intrinsic(anchor.details.tensorized[1])
    return prod(axis.extent for axis in declared.axes if axis.reduce)


def _slots(anchor: Stage) -> int:
    """Multiply-adds that take as long as an instruction that the tile is made of."""
    return 1 if anchor.details.tensorized is None else get_tensor_intrinsic(anchor.details.tensorized[1]).slots


def _body_position(state: State, anchor: Stage, chain: list[tuple[str, str]]) -> int:
    """The innermost loop of the chain that is a loop in the code; what is inside is straight-line."""
    serial = [
        position
        for position, (stage, loop) in enumerate(chain)
        if state.stages[stage].kind(loop) in ("serial", "parallel")
    ]
    return serial[-1] if serial else -1


def _vector_axis(anchor: Stage) -> str | None:
    loops = [loop for loop in anchor.loops if anchor.kind(loop) == "vectorize"]
    return moved_axis(anchor, loops[0]) if loops else None


def _distinct(anchor: Stage) -> list[Read]:
    return list({read.tensor.name: read for read in reads(anchor.tensor)}.values())


def _operand(
    bounds: Bounds,
    anchor: Stage,
    read: Read,
    covers: list[Mapping[str, Any]],
    inside: Mapping[str, Column],
    around: int,
    vector: str | None,
    lanes: int,
    tile: Mapping[str, Column],
    column: Any,
) -> Operand:
    source = bounds.state.stages[read.tensor.name]
    size = dtypes.itemsize(source.tensor.dtype)
    axes = (*anchor.tensor.axes, *anchor.tensor.reduce_axes)

    shape = _shape(bounds, source)
    strides = [product(shape[dim + 1 :]) for dim in range(len(shape))]
    loops = np.ones((len(covers), 1))
    by_axis = {axis: inside[axis.name] for axis in axes}
    parts = [
        loops * np.minimum(interval_length(index, by_axis), extent)
        for index, extent in zip(read.indices, shape, strict=True)  # a block's buffer serves all blocks
    ]
    packed = source.layout is not None
    lines, spans = _lines(parts, shape, size, packed), _spans(parts, shape, strides, size, packed)
    reducing = {axis.name for axis in anchor.tensor.reduce_axes}
    body = {axis: covers[-1][axis.name] for axis in axes}
    one_step = {axis: 1 if axis.name in reducing else tile[axis.name] for axis in axes}
    loads, step = (column(_loads(read, block, vector, lanes)) for block in (body, one_step))
    if vector is not None and source.layout is None and lane_step(read, vector) is None:
        loads, step = (count * lanes / ACROSS for count in (loads, step))
    loads = loads / _grouped(anchor)
    along = axes_of(anchor, read, len(read.indices) - 1)
    unaligned = vector in along and len(along) > 1 and source.layout is None
    jumps = lines * _alone(spans, around)
    return Operand(read.tensor.name, lines, jumps, spans, loads, step, unaligned)


def _loads(read: Read, by_axis: Mapping[Axis, Any], vector: str | None, lanes: int) -> Column:
    """Load instructions of a block: along the vector axis one per vector, wherever other axes of its index move it."""
    total: Column = 1  # type: ignore[assignment]
    for index in read.indices:
        moving = {node: by_axis[node] for node in walk([index]) if isinstance(node, Axis)}
        crossing = next((axis for axis in moving if axis.name == vector), None)
        if crossing is not None:
            total = total * np.ceil(moving[crossing] / lanes)
            moving[crossing] = 1
        # Places may be the same for several values of the axes, or lie apart.
        total = total * np.minimum(interval_length(index, moving), product(list(moving.values())))
    return total


def _bytes(bounds: Bounds, source: Stage) -> Number:
    return product(_shape(bounds, source)) * dtypes.itemsize(source.tensor.dtype)


def _shape(bounds: Bounds, source: Stage) -> list[Number]:
    """The logical shape of the buffer that holds a tensor, or the part of it that is computed at a time."""
    computed = bounds.stages.get(source.name)
    sizes = computed.axes.values() if computed is not None else source.tensor.shape
    return list(sizes)[: len(source.tensor.shape)]


def _runs(parts: list[Column], shape: list[Number]) -> tuple[Column, list[tuple[Column, int]]]:
    """The length of a block's contiguous runs, and (how many, dimension) of what is not contiguous, innermost first.

    A dimension that is covered whole joins the run of the next one.
    """
    run, whole = parts[-1], parts[-1] >= shape[-1]
    rows: list[tuple[Column, int]] = []
    for dim in range(len(parts) - 2, -1, -1):
        run = np.where(whole, run * parts[dim], run)
        rows.append((np.where(whole, 1.0, parts[dim]), dim))
        whole = whole & (parts[dim] >= shape[dim])
    return run, rows


def _lines(parts: list[Column], shape: list[Number], size: int, packed: bool) -> Column:
    """Cache lines of a block of these lengths: of one run where it is packed, else of each of its runs."""
    if packed:
        return np.ceil(product(parts) * size / LINE)  # type: ignore[arg-type]
    run, rows = _runs(parts, shape)
    return np.ceil(run * size / LINE) * product([count for count, _ in rows])


def _spans(
    parts: list[Column], shape: list[Number], strides: list[Number], size: int, packed: bool
) -> list[tuple[Column, Number]]:
    """(how many, how many lines apart) of a block's lines, runs, planes, ...; innermost first."""
    if packed:
        total = product(parts) * size / LINE  # type: ignore[arg-type]
        return [(np.ceil(total), 1)]
    run, rows = _runs(parts, shape)
    inner = np.ceil(run * size / LINE)
    return [(inner, 1), *((count, strides[dim] * size // LINE) for count, dim in rows)]


def _alone(spans: list[tuple[Column, Number]], position: int) -> Column:
    """Whether one iteration of a loop goes through more pages at a time than hardware follows."""
    pages = np.float64(1)
    for count, distance in spans:
        pages = pages * np.where(distance < PAGE, 1.0, count[position])
    return pages > STREAMS  # type: ignore[return-value]


def copying(state: State, anchor: Stage) -> list[Stage]:
    """The stages before and after the anchor's, whose bytes are ``copied``; not the one that it is computed in."""
    feeding = producers(state, anchor.name)
    inside = None if anchor.attach is None or _reduction_blocks(anchor) else anchor.attach[0]
    own = (anchor.name, inside)
    return [
        stage
        for name, stage in state.stages.items()
        if not stage.tensor.is_placeholder and (name in feeding or (stage.attach is None and name not in own))
    ]


def _copied(state: State, bounds: Bounds, anchor: Stage, column: Any) -> tuple[Column, Column, Column, Column]:
    """Bytes written by the stages before and after the anchor's, over the whole run, the length of the rows of the last
    one before it, how many of their elements are gathered, and the arithmetic operations that all of them take."""
    total, row, gathered, operations = column(0), column(1), column(0), column(0)
    feeding = producers(state, anchor.name)
    peeled = bool(state.stages[state.output].details.partitions)  # what borders test is known inside of blocks
    for stage in copying(state, anchor):
        name = stage.name
        axes = bounds.stages[stage.name].axes
        times = column(1)
        for outer, loop in loop_chain(state, stage)[: -len(stage.loops)]:
            times = times * column(bounds.stages[outer].extents[loop])
        sizes = [column(axes[axis.name]) for axis in stage.tensor.axes]
        if stage.details.folded is not None:  # each iteration computes what is new
            sizes[stage.details.folded[0]] = column(1)
        elements = times * column(product(sizes))  # type: ignore[arg-type]
        total = total + elements * dtypes.itemsize(stage.tensor.dtype)
        ways = prod(choosing_axes(stage).values()) if stage.attach is None else 1  # of which each element takes one
        operations = operations + elements * (_operations(stage.tensor) / ways)
        row, vector = sizes[-1] if name in feeding else row, _vector_axis(stage)
        if not peeled:
            gathered = gathered + elements * _gathered(stage, vector)
    return total, row, gathered, operations


def _gathered(stage: Stage, vector: str | None) -> float:
    """The share of a stage's elements that are gathered one by one; blocks of columns count as what they cost."""
    across = [read for read in reads(stage.tensor) if vector is not None and lane_step(read, vector) not in (0, 1)]
    if across and crosses_rows(stage) and not any(read.tensor.shape[-1] % COLUMNS for read in across):
        return TURNED
    return float(bool(across))


@lru_cache(maxsize=1024)
def _operations(tensor: Tensor) -> int:
    """Arithmetic operations for one element, those of a reduction times its steps."""
    found = sum(isinstance(node, Binary) and node.dtype != dtypes.INDEX for node in walk(tensor.bodies))
    return found * prod(axis.extent for axis in tensor.reduce_axes)
