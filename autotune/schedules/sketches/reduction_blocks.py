"""Rule: a long reduction in blocks, outside the tiles, so that a block's part of each operand stays in a cache.

Between two blocks of the reduction, register tiles are written to memory and loaded again ::

    blocks of one operand's axes ..
      blocks of the reduction ..            (the part of the vectors' operand that this block reads, packed)
        blocks of the other's axes ..       (likewise)
          tiles of a block .. (those along the vectors outside)
            the reduction's steps, the innermost of them unrolled
              register tile, unrolled and vectorised
      what is computed of the result, element by element

Goto and van de Geijn: Anatomy of high-performance matrix multiplication, ACM TOMS 34(3), 2008.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from autotune.schedules.sketches.cache_write import fused_reader
from autotune.schedules.sketches.draft import Draft, block_choices, find_anchor, knob
from autotune.schedules.sketches.tiling import axis_groups, register_choices
from autotune.schedules.sketches.vector_axis import vector_axis
from autotune.schedules.state import Stage, reads
from autotune.tensor_expr import dtypes

STEPS = (1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256)  # of a block, each of them unrolled
UNROLL = (2, 4, 8)
VECTORS = 4  # along a register tile


def reduction_blocks(draft: Draft) -> list[Draft]:
    """The draft, and one alternative per operand whose blocks are outermost where the caches do not hold the operands.

    Only where vectors lie along the output's rows.
    """
    anchor = find_anchor(draft.state)
    if anchor is None or not _overflows(draft, draft.state.stages[anchor]):
        return [draft]
    reader = fused_reader(draft.state, anchor)
    if reader is None and anchor != draft.state.output:
        return [draft]
    found = vector_axis(replace(draft, anchor=anchor, out=anchor))
    last = draft.state.stages[anchor].tensor.axes[-1].name
    along = [alternative for alternative in found if alternative.vector == last]
    return [draft, *(_blocked(one, first, reader) for one in along for first in axis_groups(one.anchor_stage)[1])]


def _overflows(draft: Draft, stage: Stage) -> bool:
    """Whether what one row of register tiles reads exceeds the L1, and all that is read exceeds the L2."""
    steps = prod(axis.extent for axis in stage.tensor.reduce_axes)
    sizes = {r.tensor.name: prod(r.tensor.shape) * dtypes.itemsize(r.tensor.dtype) for r in reads(stage.tensor)}
    caches, panel = draft.target.caches, steps * VECTORS * draft.target.vector_bytes
    return len(sizes) > 1 and panel > caches.l1 and sum(sizes.values()) > caches.l2


def _blocked(draft: Draft, first: str, reader: str | None) -> Draft:
    """The tiled reduction, with the blocks of one operand's axes outside those of the reduction."""
    stage, name, vector = draft.anchor_stage, draft.out, draft.vector
    shared, single = axis_groups(stage)
    panels = [axis for axes in single.values() if vector in axes for axis in axes]
    others = [axis for axes in single.values() if vector not in axes for axis in axes]
    leading = [*shared, *single[first]]
    trailing = [axis.name for axis in stage.tensor.axes if axis.name not in leading]
    if reader is not None:
        draft = _around(draft, reader, leading)
    for axis in stage.tensor.axes:
        tiles = register_choices(draft, axis)
        factors = [knob(f"{axis.name}.tile", tiles)]
        if reader is None or axis.name in trailing:
            factors = [knob(f"{axis.name}.block", block_choices(-(-axis.extent // tiles[0]))), *factors]
        draft = draft.step("split", name, axis.name, factors)
    longest = max(stage.tensor.reduce_axes, key=lambda axis: axis.extent)
    steps = tuple(count for count in STEPS if count * UNROLL[0] < longest.extent) or (1,)
    sizes = [knob(f"{longest.name}.block", steps), knob(f"{longest.name}.unroll", UNROLL)]
    draft = draft.step("split", name, longest.name, sizes)

    made = draft.anchor_stage.loops
    outer = [f"{axis}.0" for axis in (*leading, longest.name, *trailing) if f"{axis}.2" in made]
    middle = [_last(made, axis, 2) for axis in (*shared, *panels, *others)]
    reducing = [axis.name for axis in stage.tensor.reduce_axes if axis is not longest]
    *tile, vectors = (_last(made, axis.name, 1) for axis in stage.tensor.axes)
    draft = draft.step("split", name, vectors, [draft.lanes(name)])
    unrolled = [f"{longest.name}.2", *tile, f"{vectors}.0"]
    draft = draft.step("reorder", name, [*outer, *middle, *reducing, f"{longest.name}.1", *unrolled, f"{vectors}.1"])
    for loop in unrolled:
        draft = draft.step("unroll", name, loop)
    draft = draft.step("vectorize", name, f"{vectors}.1")
    return replace(draft, outer=tuple(outer), middle=tuple(middle)).named(
        f"blocks {first} first", "reduction in blocks"
    )


def _around(draft: Draft, reader: str, leading: list[str]) -> Draft:
    """The reduction inside blocks of its reader, which are computed as soon as it is complete there."""
    own, lanes = draft.state.stages[reader].tensor.axes, draft.lanes(reader)
    blocks, inside = [], []
    for axis, mine in zip(draft.anchor_stage.tensor.axes, own, strict=True):
        last = mine is own[-1]
        sizes = [lanes] if last else []
        if axis.name in leading:
            sizes = [knob(f"{axis.name}.block", block_choices(-(-axis.extent // (lanes if last else 1)))), *sizes]
            blocks.append(f"{mine.name}.0")
        if sizes:
            draft = draft.step("split", reader, mine.name, sizes)
        loops = [f"{mine.name}.{number}" for number in range(len(sizes) + 1)] if sizes else [mine.name]
        inside += loops[axis.name in leading :]
    draft = draft.step("reorder", reader, [*blocks, *inside]).step("vectorize", reader, inside[-1])
    return draft.step("compute_at", draft.out, reader, blocks[-1])


def _last(loops: tuple[str, ...], axis: str, place: int) -> str:
    """The last loop but some that an axis was split into."""
    own = [loop for loop in loops if loop.rsplit(".", 1)[0] == axis]
    return own[-place]
