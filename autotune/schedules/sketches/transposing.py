"""Rule: an output that reads a tensor across its rows runs in small blocks, which are transposed in registers.

Vectors lie along the output's rows, where what they read lies a row apart in its source. Blocks of neighbouring columns
of the source are loaded for all lanes at once, and some of them unrolled, so that generators turn the rows into columns
between loading and storing; blocks of those stay in the cache, so that each line of the source is loaded once ::

    other axes ..
      blocks of columns          the axis along which the source is contiguous
        blocks of rows           the output's last axis
          columns of the block, by as many as are unrolled
            vectors of the block
              columns, unrolled
                lanes
"""

from __future__ import annotations

from dataclasses import replace

from autotune.schedules.sketches.draft import Draft, knob, lane_step
from autotune.schedules.state import Stage, reads
from autotune.tensor_expr.expr import Accumulation

COLUMNS = (4, 8, 16)  # unrolled: blocks of 16 bytes are what interleaving instructions work on
BLOCKS = (1, 2, 4, 8)  # of the unrolled columns, or of vectors


def transposing(draft: Draft) -> list[Draft]:
    """Blocks of the output's last axis and of the axis along which most of its operands are contiguous."""
    stage = draft.state.stages[draft.out]
    if isinstance(stage.tensor.body, Accumulation) or len(draft.state.stages) != 1 + len(_sources(stage)):
        return [draft]
    last, lanes = stage.tensor.axes[-1], draft.lanes(draft.out)
    column = _column(stage)
    if column is None or last.extent == 1:
        return [draft]
    extent = next(axis.extent for axis in stage.tensor.axes if axis.name == column)
    unrolled = tuple(count for count in COLUMNS if count <= extent) or (extent,)
    blocks = tuple(count for count in BLOCKS if (count - 1) * COLUMNS[-1] < extent)
    vectors = tuple(count for count in BLOCKS if (count - 1) * lanes < last.extent)
    draft = draft.step("split", draft.out, column, [knob("columns", blocks), knob("unrolled", unrolled)])
    draft = draft.step("split", draft.out, last.name, [knob("vectors", vectors), lanes])
    outer = [axis.name for axis in stage.tensor.axes if axis.name not in (column, last.name)]
    block = [*outer, f"{column}.0"]
    inside = [f"{last.name}.0", f"{column}.1", f"{last.name}.1", f"{column}.2", f"{last.name}.2"]
    draft = draft.step("reorder", draft.out, [*block, *inside]).step("unroll", draft.out, f"{column}.2")
    draft = draft.step("vectorize", draft.out, f"{last.name}.2")
    if draft.threads > 1:
        if len(block) > 1:
            draft = draft.step("fuse", draft.out, block, "block")
        draft = draft.step("parallel", draft.out, "block" if len(block) > 1 else block[0])
    return [replace(draft, complete=True).named("transposed in blocks")]


def _sources(stage: Stage) -> set[str]:
    return {read.tensor.name for read in reads(stage.tensor)}


def _column(stage: Stage) -> str | None:
    """The axis along which an operand is contiguous that the output's last axis moves by more than an element."""
    last = stage.tensor.axes[-1].name
    for read in reads(stage.tensor):
        if lane_step(read, last) is None:
            found = [axis.name for axis in stage.tensor.axes if axis.extent > 1 and lane_step(read, axis.name) == 1]
            if found:
                return found[0]
    return None
