"""Rule: an output that accumulates nothing runs some vectors at a time, or in blocks with what it reads inside.

Where there is no anchor, memory is the limit, and what matters is how many vectors are in flight and how long what one
stage writes stays in the cache of the next. The alternatives are ::

    rows ..                            rows ..
      columns by vectors                 blocks of columns            (pipelines)
        some vectors, unrolled             stages that the output reads, for this block
                                           rows of the block, then its columns by vectors
"""

from __future__ import annotations

from autotune.schedules.bounds import accesses
from autotune.schedules.sketches.draft import Draft, block_choices, knob
from autotune.schedules.sketches.staging import simple_loops
from autotune.tensor_expr.expr import Accumulation

UNROLL = (1, 2, 4, 8)


def element_blocks(draft: Draft) -> list[Draft]:
    """The output's loops where no rule for an anchor cuts them."""
    output = draft.state.stages[draft.out]
    if draft.anchor is not None or isinstance(output.tensor.body, Accumulation) or output.tensor.axes[-1].extent == 1:
        return [draft]
    producers = _local_producers(draft) if len(output.tensor.axes) > 1 else []
    return [_rows(draft), *([_blocks(draft, producers)] if producers else [])]


def _rows(draft: Draft) -> Draft:
    *outer, last = (axis.name for axis in draft.state.stages[draft.out].tensor.axes)
    extent, lanes = draft.state.stages[draft.out].tensor.axes[-1].extent, draft.lanes(draft.out)
    choices = tuple(count for count in UNROLL if (count - 1) * lanes < extent)
    draft = draft.step("split", draft.out, last, [knob(f"{last}.unroll", choices), lanes])
    draft = draft.step("unroll", draft.out, f"{last}.1").step("vectorize", draft.out, f"{last}.2")
    return _parallel(draft, outer or [f"{last}.0"]).named("by rows")


def _blocks(draft: Draft, producers: list[str]) -> Draft:
    """Blocks of the last two dimensions, with the producers computed for one block at a time."""
    stage, lanes = draft.state.stages[draft.out], draft.lanes(draft.out)
    *outer, row, column = (axis.name for axis in stage.tensor.axes)
    rows, columns = (axis.extent for axis in stage.tensor.axes[-2:])
    draft = draft.step("split", draft.out, row, [knob(f"{row}.block", block_choices(rows))])
    draft = draft.step(
        "split", draft.out, column, [knob(f"{column}.block", block_choices(-(-columns // lanes))), lanes]
    )
    order = [f"{row}.0", f"{column}.0", f"{row}.1", f"{column}.1", f"{column}.2"]
    draft = draft.step("reorder", draft.out, [*outer, *order]).step("vectorize", draft.out, f"{column}.2")
    for name in producers:
        draft = simple_loops(draft.step("compute_at", name, draft.out, f"{column}.0"), name, parallel=False)
    return _parallel(draft, [*outer, f"{row}.0"]).named("in blocks")


def _parallel(draft: Draft, loops: list[str]) -> Draft:
    if draft.threads == 1:
        return draft
    if len(loops) > 1:
        draft = draft.step("fuse", draft.out, loops, "blocks")
    return draft.step("parallel", draft.out, "blocks" if len(loops) > 1 else loops[0])


def _local_producers(draft: Draft) -> list[str]:
    """The stages of which a block of the output needs a region that is known, consumers first."""
    stages, found = draft.state.stages, [draft.out]
    for name, stage in reversed(list(stages.items())):
        readers = draft.state.consumers(name)
        if stage.tensor.is_placeholder or stage.attach is not None or isinstance(stage.tensor.body, Accumulation):
            continue
        if readers and all(r.name in found and None not in accesses(r, stage) for r in readers):
            found.append(name)
    return found[1:]
