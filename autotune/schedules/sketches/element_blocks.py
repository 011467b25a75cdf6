"""Rule: an output that accumulates nothing runs some vectors at a time, or in blocks with what it reads inside.

Where there is no anchor, memory is the limit, and what matters is how many vectors are in flight and how long what one
stage writes stays in the cache of the next. The alternatives are ::

    rows ..                    blocks of rows ..               blocks of rows ..            (the last two: pipelines)
      columns by vectors         blocks of columns ..            strips of columns ..
        some, unrolled             what this block reads           one row after the other
                                   its rows, by vectors              what is new of what this row reads
                                                                     the row, by vectors

In the last one, rows that several rows of the output read stay in a window that slides along. The first and the last
blocks of columns have loops of their own where a border needs tests: the others then have none.
"""

from __future__ import annotations

from autotune.schedules.bounds import Bounds, accesses
from autotune.schedules.sketches.draft import Draft, block_choices, knob
from autotune.schedules.sketches.staging import simple_loops
from autotune.schedules.windows import moving, window
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import Accumulation, Binary, Select, walk

UNROLL = (1, 2, 4, 8)


def element_blocks(draft: Draft) -> list[Draft]:
    """The output's loops where no rule for an anchor cuts them."""
    output = draft.state.stages[draft.out]
    if draft.anchor is not None or isinstance(output.tensor.body, Accumulation) or output.tensor.axes[-1].extent == 1:
        return [draft]
    producers = _local_producers(draft) if len(output.tensor.axes) > 1 else []
    if not producers:
        return [_rows(draft)]
    return [_rows(draft), _blocks(draft, producers), *_sliding(draft, producers)]


def _rows(draft: Draft) -> Draft:
    *outer, last = (axis.name for axis in draft.state.stages[draft.out].tensor.axes)
    extent, lanes = draft.state.stages[draft.out].tensor.axes[-1].extent, draft.lanes(draft.out)
    choices = tuple(count for count in UNROLL if (count - 1) * lanes < extent)
    draft = draft.step("split", draft.out, last, [knob(f"{last}.unroll", choices), lanes])
    draft = draft.step("unroll", draft.out, f"{last}.1").step("vectorize", draft.out, f"{last}.2")
    return _parallel(draft, outer or [f"{last}.0"]).named("by rows")


def _blocks(draft: Draft, producers: list[str]) -> Draft:
    """Blocks of the last two dimensions, with the producers computed for one block at a time."""
    draft, outer, row, column = _cut(draft, producers)
    for name in producers:
        draft = simple_loops(draft.step("compute_at", name, draft.out, f"{column}.0"), name, parallel=False)
    return _parallel(draft, [*outer, f"{row}.0"]).named("in blocks")


def _sliding(draft: Draft, producers: list[str]) -> list[Draft]:
    """Strips of columns, row by row, with windows of what several rows read; nothing where no window slides."""
    draft, outer, row, _ = _cut(draft, producers)
    folded = 0
    for name in producers:
        draft = draft.step("compute_at", name, draft.out, f"{row}.1")
        bounds = Bounds(draft.state)
        slides = moving(bounds, draft.state.stages[name], draft.out, f"{row}.1")
        if list(slides.values()) == [True] and window(draft.state.stages[name], bounds, next(iter(slides))) != 1:
            draft, folded = draft.step("fold_storage", name, next(iter(slides))), folded + 1
        draft = simple_loops(draft, name, parallel=False)
    return [_parallel(draft, [*outer, f"{row}.0"]).named("sliding")] if folded else []


def _cut(draft: Draft, producers: list[str]) -> tuple[Draft, list[str], str, str]:
    """Loops over blocks of the output's last two dimensions, vectors innermost; its outer axes, row and column."""
    stage, lanes = draft.state.stages[draft.out], draft.lanes(draft.out)
    *outer, row, column = (axis.name for axis in stage.tensor.axes)
    rows, columns = (axis.extent for axis in stage.tensor.axes[-2:])
    draft = draft.step("split", draft.out, row, [knob(f"{row}.block", block_choices(rows))])
    draft = draft.step(
        "split", draft.out, column, [knob(f"{column}.block", block_choices(-(-columns // lanes))), lanes]
    )
    order = [f"{row}.0", f"{column}.0", f"{row}.1", f"{column}.1", f"{column}.2"]
    draft = draft.step("reorder", draft.out, [*outer, *order]).step("vectorize", draft.out, f"{column}.2")
    draft = _peeled(draft, producers, f"{column}.0")
    return draft, outer, row, column


def _peeled(draft: Draft, producers: list[str], blocks: str) -> Draft:
    """With the ends of the loop over blocks of columns apart, where some index or value depends on a test."""
    bodies = [body for name in (draft.out, *producers) for body in draft.state.stages[name].tensor.bodies]
    tested = any(isinstance(node, Select) or (isinstance(node, Binary) and _clamps(node)) for node in walk(bodies))
    return draft.step("peel", draft.out, blocks) if tested else draft


def _clamps(node: Binary) -> bool:
    return node.op in ("min", "max") and node.dtype == dtypes.INDEX


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
