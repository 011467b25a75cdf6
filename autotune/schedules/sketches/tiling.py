"""Rule: multi-level tiling of the output's loops around a register tile of the anchor.

The output's axes are cut into outer blocks, tiles of a block, and a register tile; the anchor is computed for one
register tile at a time, its reduction loops inside::

    outer blocks ..            (data axes first, or weight axes first)
      tiles of a block ..      (likewise)
        anchor: reduction loops, the innermost of them partly unrolled
                  register tile, unrolled and vectorised
        copy of the tile to the output

Where the output's rows run across the vectors, the tile is transposed in registers, which runs 1 or 2% faster, or goes
through memory, which builds in half the time: generators load it back by blocks of columns, in a loop.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from autotune.schedules.sketches.draft import Draft, axes_of, block_choices, knob, tile_choices
from autotune.schedules.state import Stage, reads
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import Axis

BLOCK_BYTES = 16  # of neighbouring columns, which interleaving instructions turn into rows


def tiling(draft: Draft) -> list[Draft]:
    """One alternative per order of the blocks, of the tiles, and of the reduction loops."""
    if draft.anchor is None or draft.outer:
        return [draft]
    drafts = []
    orders = axis_orders(draft)
    reduce_axes = tuple(axis.name for axis in draft.anchor_stage.tensor.reduce_axes)
    moving = [axis for axis in draft.anchor_stage.tensor.reduce_axes if axis.extent > 1]
    reduce_orders = [reduce_axes] if len(moving) < 2 else [reduce_axes, (*reduce_axes[1:], reduce_axes[0])]
    crossing = _crossing(draft)
    ways = [("", None)] if crossing is None else [("transposed in registers", None), ("through memory", crossing)]
    for (a, outer), (b, middle), reducing, (way, crossing) in product(
        orders.items(), orders.items(), reduce_orders, ways
    ):
        words = (f"blocks {a}", f"tiles {b}", f"reduce {','.join(reducing)}", *([way] if way else []))
        drafts.append(_tile(draft, outer, middle, reducing, crossing).named(*words))
    return drafts


def axis_groups(stage: Stage) -> tuple[list[str], dict[str, list[str]]]:
    """The axes that several operands depend on, or none, and those of one operand alone, by its name."""
    groups: dict[frozenset[str], list[str]] = {}
    for axis in stage.tensor.axes:
        operands = frozenset(read.tensor.name for read in reads(stage.tensor) if axis.name in axes_of(stage, read))
        groups.setdefault(operands, []).append(axis.name)
    shared = [axis for operands, axes in groups.items() if len(operands) != 1 for axis in axes]
    return shared, {next(iter(operands)): axes for operands, axes in groups.items() if len(operands) == 1}


def axis_orders(draft: Draft) -> dict[str, tuple[str, ...]]:
    """The output's axes with those of one operand before those of the other, and the other way round, by name."""
    shared, single = axis_groups(draft.anchor_stage)
    orders: dict[str, tuple[str, ...]] = {}
    for first in single:
        rest = [axis for name, axes in single.items() if name != first for axis in axes]
        orders[f"{first} first"] = (*shared, *single[first], *rest)
    return orders or {"in order": tuple(shared)}


def _tile(
    draft: Draft, outer: tuple[str, ...], middle: tuple[str, ...], reducing: tuple[str, ...], crossing: str | None
) -> Draft:
    anchor, out = draft.anchor, draft.out
    assert anchor is not None
    if crossing:
        draft = draft.step("cache_read", anchor, out)
    names = dict(
        zip(
            (a.name for a in draft.anchor_stage.tensor.axes),
            (a.name for a in draft.state.stages[out].tensor.axes),
            strict=True,
        )
    )
    for axis in draft.anchor_stage.tensor.axes:
        register = register_choices(draft, axis)
        blocks = block_choices(-(-axis.extent // max(1, register[0])))
        own = names[axis.name]
        draft = draft.step("split", out, own, [knob(f"{own}.block", blocks), knob(f"{own}.tile", register)])
    loops = [names[axis] for axis in outer], [names[axis] for axis in middle]
    order = [f"{axis}.0" for axis in loops[0]] + [f"{axis}.1" for axis in loops[1]]
    tile = [f"{axis}.2" for axis in names.values()]
    draft = draft.step("reorder", out, [*order, *tile])
    if crossing:
        draft = _through_memory(_transposed_copy(draft, order, tile, names[crossing]), crossing, order[-1])
    else:
        draft = _copy(draft, tile)
    draft = draft.step("compute_at", anchor, out, order[-1])
    draft = replace(draft, outer=tuple(order[: len(names)]), middle=tuple(order[len(names) :]))
    return _register_tile(draft, reducing)


def register_choices(draft: Draft, axis: Axis) -> tuple[int, ...]:
    """Extents of a register tile along one of the anchor's axes."""
    if axis.name in _batches(draft):
        return (1,)
    if axis.name != draft.vector:
        return tile_choices(axis.extent, 30)
    lanes = draft.lanes(draft.anchor_stage.name)
    return tuple(lanes * count for count in range(1, 5) if (count - 1) * lanes < axis.extent)


def _batches(draft: Draft) -> set[str]:
    """Axes of several matrix products next to each other, which share nothing that a register tile could keep."""
    stage = draft.anchor_stage
    used = {
        axis.name: {read.tensor.name for read in reads(stage.tensor) if axis.name in axes_of(stage, read)}
        for axis in stage.tensor.axes
    }
    alone = {next(iter(names)) for names in used.values() if len(names) == 1}
    return {axis for axis, names in used.items() if len(names) > 1 and len(alone) > 1} - {draft.vector}


def _crossing(draft: Draft) -> str | None:
    """The anchor's vector axis where vectors lie across the output's rows and blocks of columns can be loaded."""
    tensor = draft.anchor_stage.tensor
    crosses = draft.vector != tensor.axes[-1].name and dtypes.itemsize(tensor.dtype) in (4, 8)
    return draft.vector if crosses else None


def _through_memory(draft: Draft, crossing: str, at: str) -> Draft:
    """The copy of the tile in memory, written vector by vector."""
    name, axes = f"{draft.anchor}.{draft.out}", draft.anchor_stage.tensor.axes
    dims = [f"d{dim}" for dim in range(len(axes))]
    across = dims[[axis.name for axis in axes].index(crossing)]
    rest = [dim for dim in dims if dim != across]
    draft = draft.step("compute_at", name, draft.out, at).step("split", name, across, [draft.lanes(name)])
    draft = draft.step("reorder", name, [*rest, f"{across}.0", f"{across}.1"])
    for loop in (*rest, f"{across}.0"):
        draft = draft.step("unroll", name, loop)
    return draft.step("vectorize", name, f"{across}.1")


def _transposed_copy(draft: Draft, order: list[str], tile: list[str], across: str) -> Draft:
    """The output's loops over one register tile: a loop over blocks of columns, the block unrolled, rows vectorised."""
    columns = BLOCK_BYTES // dtypes.itemsize(draft.anchor_stage.tensor.dtype)
    crossing = f"{across}.2"
    draft = draft.step("split", draft.out, crossing, [columns])
    inner = [loop for loop in tile[:-1] if loop != crossing] + [f"{crossing}.1"]
    draft = draft.step("reorder", draft.out, [*order, f"{crossing}.0", *inner, tile[-1]])
    for loop in inner:
        draft = draft.step("unroll", draft.out, loop)
    return draft.step("vectorize", draft.out, tile[-1])


def _register_tile(draft: Draft, reducing: tuple[str, ...]) -> Draft:
    """The anchor's own loops: reductions, their unrolled part, then the register tile, the vector axis innermost."""
    anchor, vector = draft.anchor_stage, draft.vector
    name = anchor.name
    spatial = [axis.name for axis in anchor.tensor.axes if axis.name != vector]
    unrolled: list[str] = []
    for axis in anchor.tensor.reduce_axes:
        choices = (1, 2, 4, 8) if axis.extent >= 8 else tuple(sorted({1, axis.extent}))
        steps = [draft.grouped.steps] if draft.grouped is not None and draft.grouped.axis == axis.name else []
        draft = draft.step("split", name, axis.name, [knob(f"{axis.name}.unroll", choices), *steps])
        unrolled.append(f"{axis.name}.1")
    if vector is not None:
        draft = draft.step("split", name, vector, [draft.lanes(name)])
    inner = [*spatial, *([f"{vector}.0", f"{vector}.1"] if vector is not None else [])]
    inner += [f"{draft.grouped.axis}.2"] if draft.grouped is not None else []
    draft = draft.step("reorder", name, [*(f"{axis}.0" for axis in reducing), *unrolled, *inner])
    for loop in [*unrolled, *spatial, *([f"{vector}.0"] if vector is not None else [])]:
        draft = draft.step("unroll", name, loop)
    if draft.grouped is not None:
        return draft.step("tensorize", name, f"{vector}.1", draft.grouped.instruction)
    return draft.step("vectorize", name, f"{vector}.1") if vector is not None else draft


def _copy(draft: Draft, tile: list[str]) -> Draft:
    """The output's loops over one register tile: vectors along its innermost dimension, the rest unrolled."""
    last = tile[-1]
    for loop in tile[:-1]:
        draft = draft.step("unroll", draft.out, loop)
    return draft.step("vectorize", draft.out, last)
