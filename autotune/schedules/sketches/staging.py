"""Rule: where operands that are computed (padding) or copied next to the anchor are produced."""

from __future__ import annotations

from itertools import takewhile

from autotune.schedules.dependences import carried
from autotune.schedules.sketches.choosing import choosing_axes, choosing_loops
from autotune.schedules.sketches.draft import Draft, axes_of, crosses_rows, lane_step, tile_factor
from autotune.schedules.sketches.vector_axis import lies_along
from autotune.schedules.state import Stage, reads
from autotune.tensor_expr.expr import Read

COLUMNS = 4  # that generators turn into rows together: 16 bytes of float32


def stage_operands(draft: Draft) -> list[Draft]:
    """Produce a computed operand at the root or per block; copy a plain one per block, or read it where it lies."""
    if draft.anchor is None:
        return [draft]
    drafts = [draft]
    for name in dict.fromkeys(read.tensor.name for read in reads(draft.anchor_stage.tensor)):
        drafts = [following for current in drafts for following in _stage(current, name)]
    return drafts


def _stage(draft: Draft, name: str) -> list[Draft]:
    source = draft.state.stages[name]
    if source.tensor.constant or source.attach is not None or len(draft.state.consumers(name)) > 1:
        return [draft]
    place = _block_loop(draft, name)
    if not source.tensor.is_placeholder:
        if carried(source):
            return [draft]
        root = simple_loops(draft, name, parallel=True).named(f"{name} at the root")
        # A block's worth of what is chosen among ways would be computed in all of them.
        if place is None or choosing_axes(source):
            return [root]
        inner = simple_loops(draft.step("compute_at", name, draft.out, place), name, parallel=False)
        return [root, inner.named(f"{name} per block")]
    if place is None or len(_reads_of(draft, name)) > 1:  # several regions of one tensor share no packed copy
        return [draft.named(f"{name} in place")]
    copied = draft.step("cache_read", name, draft.anchor)
    copy = f"{name}.{draft.anchor}"
    copied = copied.step("compute_at", copy, draft.out, place)
    packed = _pack_copy(copied, copy).named(f"{name} copied per block")
    if draft.vector is not None and not all(lies_along(read, draft.vector) for read in _reads_of(draft, name)):
        return [packed]
    return [draft.named(f"{name} in place"), packed]


def _reads_of(draft: Draft, name: str) -> list[Read]:
    return [read for read in reads(draft.anchor_stage.tensor) if read.tensor.name == name]


def _block_loop(draft: Draft, name: str) -> str | None:
    """The innermost block loop that the operand depends on."""
    stage = draft.anchor_stage
    used = {axis for read in _reads_of(draft, name) for axis in axes_of(stage, read)}
    own = dict(
        zip(
            (a.name for a in draft.state.stages[draft.out].tensor.axes),
            (a.name for a in stage.tensor.axes),
            strict=True,
        )
    )
    own.update((axis.name, axis.name) for axis in stage.tensor.reduce_axes)  # blocks of the reduction
    inside = [loop for loop in draft.outer if own[loop.rsplit(".", 1)[0]] in used]
    return inside[-1] if inside else None


def _pack_copy(draft: Draft, copy: str) -> Draft:
    """Lay a copy out as register tiles read it: one panel per tile where it runs along the vector axis."""
    stage = draft.anchor_stage
    (read,) = _reads_of(draft, copy)
    rank = len(read.indices)
    along = [dim for dim in range(rank) if draft.vector is not None and axes_of(stage, read, dim) == {draft.vector}]
    if not along or draft.vector is None:
        return simple_loops(draft, copy, parallel=False)
    panel = tile_factor(draft, draft.vector)
    dim, rest = along[0], [other for other in range(rank) if other != along[0]]
    draft = draft.step("transform_layout", copy, [[dim, panel]], [f"{dim}.outer", *map(str, rest), f"{dim}.inner"])
    draft = draft.step("split", copy, f"d{dim}", [panel, draft.lanes(copy)])
    draft = draft.step("reorder", copy, [f"d{dim}.0", *(f"d{other}" for other in rest), f"d{dim}.1", f"d{dim}.2"])
    return draft.step("unroll", copy, f"d{dim}.1").step("vectorize", copy, f"d{dim}.2")


def simple_loops(draft: Draft, name: str, parallel: bool) -> Draft:
    """A stage's innermost axis in vectors, and the outermost loops, fused, on all threads; a scan's axis in order."""
    stage: Stage = draft.state.stages[name]
    if not stage.tensor.reduce_axes and not stage.scan_loops and (deciding := choosing_axes(stage)):
        draft, outer = choosing_loops(draft, name, deciding)
        return _threaded(draft, name, outer[:-1]) if parallel else draft
    spatial = [axis.name for axis in stage.tensor.axes]
    if not stage.tensor.reduce_axes and not stage.scan_loops and crosses_rows(stage):
        draft, outer = _crossing_loops(draft, name)
        return _threaded(draft, name, outer) if parallel else draft
    if stage.tensor.reduce_axes:
        inner = spatial[-1:]
        draft = draft.step("reorder", name, [*spatial[:-1], *(a.name for a in stage.tensor.reduce_axes), *inner])
    lanes = draft.lanes(name)
    last = spatial[-1]
    if stage.tensor.axes[-1].extent > 1 and last not in stage.scan_loops:
        draft = draft.step("split", name, last, [lanes]).step("vectorize", name, f"{last}.1")
    outer = list(takewhile(lambda axis: axis not in stage.scan_loops, spatial[:-1]))
    return _threaded(draft, name, outer) if parallel else draft


def _crossing_loops(draft: Draft, name: str) -> tuple[Draft, list[str]]:
    """Vectors across the rows of what is read, for some neighbouring columns at once; the loops left outside, in order.

    ::

        for x, y, c: ..      ->      for y, x.0, c.0: unroll x.1: vectorize c.1: ..
    """
    stage = draft.state.stages[name]
    *others, last = (axis.name for axis in stage.tensor.axes)
    column = next(axis for read in reads(stage.tensor) for axis in others if lane_step(read, axis) == 1)
    draft = draft.step("split", name, column, [COLUMNS]).step("split", name, last, [draft.lanes(name)])
    outer = [*(axis for axis in others if axis != column), f"{column}.0"]
    draft = draft.step("reorder", name, [*outer, f"{last}.0", f"{column}.1", f"{last}.1"])
    return draft.step("unroll", name, f"{column}.1").step("vectorize", name, f"{last}.1"), outer


def _threaded(draft: Draft, name: str, outer: list[str]) -> Draft:
    """The loops, fused, on all threads."""
    if draft.threads > 1 and outer:
        if len(outer) > 1:
            draft = draft.step("fuse", name, outer, "all")
        draft = draft.step("parallel", name, "all" if len(outer) > 1 else outer[0])
    return draft
