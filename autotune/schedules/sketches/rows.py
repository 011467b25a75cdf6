"""Rule: reductions that read each element once run row by row, with all that depends on them.

Such reductions (softmax, layer norm, means, largest elements) do no work that a register tile could save: they are as
fast as memory delivers. So a few rows at a time go through all stages while they are in the cache ::

    blocks of rows ..                    (shared among threads)
      a reduction, for these rows: its loops, then rows, unrolled, and vector lanes
      the lanes' results, combined
      what is computed element by element, for these rows, in vectors
      the output's rows

Where rows are contiguous along the reduction, its lanes accumulate apart from each other (``rfactor``); where they are
contiguous along the output, lanes are elements of the output.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from autotune.schedules.bounds import accesses
from autotune.schedules.dependences import carried
from autotune.schedules.sketches.draft import Draft, axes_of, knob, lane_step, work
from autotune.schedules.state import Stage, State, reads
from autotune.tensor_expr.expr import Reduce, Scan

ROWS = (1, 2, 4, 8)  # at a time
UNROLL = (1, 2, 4)  # vectors
ACCUMULATORS = 4  # of a row that is summed on its own: what covers the latency of an addition, for loads from the L2


def rows(draft: Draft) -> list[Draft]:
    """The operator row by row, with one accumulator for each row and with several, where that applies.

    The other rules make what they can of a single reduction, too, where its operands can be packed along vectors.
    """
    stages = draft.state.stages
    names = [name for name, stage in stages.items() if isinstance(stage.tensor.body, Reduce)]
    if not names or not all(streams(stages[name]) for name in names):
        return [draft]
    axes = _row_axes(draft.state)
    if axes is None:
        return [draft]
    along = {name: axis for name in names if (axis := contiguous_axis(stages[name])) is not None}
    if len(names) == 1 and not along:  # a register tile along the output does as well
        return [draft]
    ways = (1, ACCUMULATORS) if along else (1,)
    others = [draft] if len(names) == 1 and _constants(draft.state) else []
    return [*others, *(_by_rows(draft, axes, along, count) for count in ways)]


def streams(stage: Stage) -> bool:
    """Whether the reduction reads no element twice, so that there is nothing to keep in registers."""
    return work(stage) <= max((prod(read.tensor.shape) for read in reads(stage.tensor)), default=0)


def _constants(state: State) -> bool:
    """Whether a reduction reads constants, which may be packed ahead of time as a register tile wants them."""
    stages = [stage for stage in state.stages.values() if isinstance(stage.tensor.body, Reduce)]
    return any(read.tensor.constant for stage in stages for read in reads(stage.tensor))


def contiguous_axis(stage: Stage) -> str | None:
    """The axis of a reduction along which what it reads is contiguous."""
    largest = max(reads(stage.tensor), key=lambda read: prod(read.tensor.shape))
    found = (axis for axis in stage.tensor.reduce_axes if axis.extent > 1 and lane_step(largest, axis.name) == 1)
    return next((axis.name for axis in found), None)


def _origins(state: State) -> dict[str, list[set[str]]] | None:
    """Per stage and dimension, the output's axes that choose what is read there; None where they do not say it."""
    output = state.stages[state.output]
    found: dict[str, list[set[str]]] = {output.name: [{axis.name} for axis in output.tensor.axes]}
    for name, stage in reversed(list(state.stages.items())):
        if stage.tensor.is_placeholder:
            continue
        if name not in found or isinstance(stage.tensor.body, Scan):
            return None
        own = dict(zip((axis.name for axis in stage.tensor.axes), found[name], strict=True))
        for read in reads(stage.tensor):
            source = state.stages[read.tensor.name]
            if not source.tensor.is_placeholder and None in accesses(stage, source):
                return None
            for dim, origin in enumerate(found.setdefault(source.name, [set() for _ in read.indices])):
                origin.update(*(own.get(axis, ()) for axis in axes_of(stage, read, dim)))
    return found


def _row_axes(state: State) -> list[str] | None:
    """The output's axes that choose among the results of reductions; its first axis where there is one result."""
    origins = _origins(state)
    if origins is None:
        return None
    results = [origins[name] for name, stage in state.stages.items() if isinstance(stage.tensor.body, Reduce)]
    used = {axis for result in results for origin in result for axis in origin}
    axes = [axis.name for axis in state.stages[state.output].tensor.axes]
    return [axis for axis in axes if axis in used] or axes[:1]


def _by_rows(draft: Draft, axes: list[str], along: dict[str, str], accumulators: int) -> Draft:
    draft = draft.named("by rows", *([f"{accumulators} accumulators a row"] if along else []))
    for name, axis in along.items():
        draft = in_lanes(draft, name, axis, accumulators)
    tensor = draft.state.stages[draft.out].tensor
    *outer, last = axes
    extent = next(axis.extent for axis in tensor.axes if axis.name == last)
    least = draft.lanes(draft.out) if last == tensor.axes[-1].name and not along else 1
    sizes = tuple(count * least for count in ROWS if (count - 1) * least < extent)
    draft = draft.step("split", draft.out, last, [knob("rows", sizes)])
    block = [*outer, f"{last}.0"]
    inside = [axis.name for axis in tensor.axes if axis.name not in axes]
    draft = draft.step("reorder", draft.out, [*block, f"{last}.1", *inside])
    at = block[0]
    if len(block) > 1:
        draft, at = draft.step("fuse", draft.out, block, "block"), "block"
    if draft.threads > 1:
        draft = draft.step("parallel", draft.out, at)
    stages = [name for name, stage in draft.state.stages.items() if not stage.tensor.is_placeholder]
    for name in reversed(stages[:-1]):
        draft = draft.step("compute_at", name, draft.out, at)
    origins = _origins(draft.state)
    assert origins is not None
    for name in stages:
        own = draft.state.stages[name].tensor.axes
        short = {axis.name for axis, origin in zip(own, origins[name], strict=True) if origin and origin <= set(axes)}
        draft = row_loops(draft, name, at, short if along else set())
    return replace(draft, complete=True)


def in_lanes(draft: Draft, name: str, axis: str, accumulators: int) -> Draft:
    """The reduction by lanes, each of which may have several accumulators, that are then combined."""
    extent = next(a.extent for a in draft.state.stages[name].tensor.reduce_axes if a.name == axis)
    lanes = min(draft.lanes(name), extent)
    draft = draft.step("split", name, axis, [lanes]).step("rfactor", name, f"{axis}.1")
    count = min(accumulators, extent // lanes)
    if count > 1:
        parts = f"{name}.rf"
        draft = draft.step("split", parts, f"{axis}.0", [count]).step("rfactor", parts, f"{axis}.0.1", True)
    return draft


def row_loops(draft: Draft, name: str, at: str, short: set[str]) -> Draft:
    """One block of rows of a stage: reductions outside, the last axis in vectors unless it is ``short``."""
    stage = draft.state.stages[name]
    free = [loop for loop in stage.loops if loop != at]
    reducing = [loop for loop in free if loop in carried(stage)]
    spatial = [loop for loop in free if loop not in reducing]
    if not spatial:
        return draft
    last = spatial[-1]
    axis = stage.tensor.axes[-1]
    vectors = axis.extent > 1 and axis.name not in short
    if reducing:
        if vectors:
            draft = draft.step("reorder", name, [*reducing, *spatial])
            for loop in spatial[:-1]:
                draft = draft.step("unroll", name, loop)
        else:
            draft = draft.step("unroll", name, reducing[-1])
    if not vectors:
        return draft
    lanes = draft.lanes(name)
    if reducing:
        if axis.extent > lanes:
            draft = draft.step("split", name, last, [lanes]).step("unroll", name, f"{last}.0")
            last = f"{last}.1"
        return draft.step("vectorize", name, last)
    choices = tuple(count for count in UNROLL if (count - 1) * lanes < axis.extent)
    draft = draft.step("split", name, last, [knob(f"unroll.{axis.extent}", choices), lanes])
    return draft.step("unroll", name, f"{last}.1").step("vectorize", name, f"{last}.2")
