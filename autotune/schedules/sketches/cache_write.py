"""Rule: the anchor accumulates in a tile of its own, which is then copied, or consumed, into the output."""

from __future__ import annotations

from dataclasses import replace

from autotune.schedules.sketches.draft import Draft, find_anchor, is_pointwise
from autotune.schedules.state import State, reads
from autotune.tensor_expr.expr import Axis


def cache_write(draft: Draft) -> list[Draft]:
    """Choose the anchor, and the stage in whose loops it is computed.

    That is the anchor's only reader where it reads the anchor element by element (a fused epilogue), else a copy.
    """
    anchor = find_anchor(draft.state)
    if anchor is None or draft.anchor is not None:
        return [draft]
    reader = fused_reader(draft.state, anchor)
    if reader is not None:
        return [replace(draft, anchor=anchor, out=reader)]
    return [replace(draft.step("cache_write", anchor), anchor=f"{anchor}.tile", out=anchor)]


def fused_reader(state: State, anchor: str) -> str | None:
    """The anchor's only reader where it reads the anchor element by element, else None."""
    readers = state.consumers(anchor)
    if len(readers) != 1 or not is_pointwise(readers[0]):
        return None
    axes = readers[0].tensor.axes
    found = [read for read in reads(readers[0].tensor) if read.tensor.name == anchor]
    exact = all(len(read.indices) == len(axes) and all(map(_same, read.indices, axes)) for read in found)
    return readers[0].name if exact else None


def _same(index: object, axis: Axis) -> bool:
    return index is axis
