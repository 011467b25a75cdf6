"""Compute two stages in one loop nest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

import numpy as np

from autotune.errors import ScheduleError
from autotune.schedules.bounds import Bounds, accesses
from autotune.schedules.dependences import carried, producers
from autotune.schedules.primitives.step import Step, invariant, primitive
from autotune.schedules.state import Number, Split, Stage, State, produced
from autotune.tensor_expr.affine import affine
from autotune.tensor_expr.expr import Expr


@primitive("compute_with")
@dataclass(frozen=True, slots=True)
class ComputeWith(Step):
    """Compute ``stage`` in the loops of ``sibling``, down to its own loop ``axis``; what is inside follows.

    ``compute_with("b", "a", "i")`` ::

        for i in 0..8:                          for i in 0..8:
            for j in 0..4:                          for j in 0..4:
                a[i, j] = x[i, j] + 1     ->            a[i, j] = x[i, j] + 1
        for i in 0..8:                              for j in 0..6:
            for j in 0..6:                              b[i, j] = x[i, j] * 2
                b[i, j] = x[i, j] * 2

    Neither may depend on the other. Both are computed at the same place, and the loops that they share must be made
    from their axes in the same way, with the same extents, and outside of reductions.
    """

    stage: str
    sibling: str
    axis: str

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        state.compute_stage(self.sibling)
        stage.require_loop(self.axis)
        if stage.name == self.sibling:
            raise ScheduleError(f"stage {stage.name!r} cannot be computed with itself")
        return state.with_stage(stage.with_details(shared=(self.sibling, self.axis)))


@invariant
def _loops_can_be_shared(state: State, stage: Stage) -> None:
    if stage.details.shared is None:
        return
    sibling = state.compute_stage(stage.details.shared[0])
    problem = _place_problem(state, stage, sibling) or _loop_problem(state, stage, sibling)
    if problem:
        raise ScheduleError(f"stage {stage.name!r} cannot be computed with {sibling.name!r}: {problem}")


def _place_problem(state: State, stage: Stage, sibling: Stage) -> str:
    for one, other in ((stage, sibling), (sibling, stage)):
        if one.name in producers(state, other.name):
            return f"{other.name!r} depends on {one.name!r}"
    if stage.attach != sibling.attach:
        places = [f"at {s.attach[0]!r} axis {s.attach[1]!r}" if s.attach else "at the root" for s in (stage, sibling)]
        return f"one is computed {places[0]}, the other {places[1]}"
    leads = [s.name for s in state.stages.values() if s.details.shared and s.details.shared[0] == stage.name]
    if sibling.details.shared or leads:
        return f"{sibling.name if sibling.details.shared else stage.name!r} shares loops with another stage already"
    for one in (stage, sibling):
        if one.details.is_kept or one.details.specialized:
            return f"{one.name!r} has copies of its loops (fold_storage, double_buffer or specialize)"
    circle = _circle(state, stage, sibling)
    return (
        f"through {circle!r}, which shares its loops as well, each would have to wait for the other" if circle else ""
    )


def _circle(state: State, stage: Stage, sibling: Stage) -> str:
    """A stage that one of the pair depends on, and whose own partner depends on the other; empty where none does."""
    partners: dict[str, list[str]] = {}
    for one in state.stages.values():
        if one.details.shared is not None and one.name != stage.name:
            partners.setdefault(one.name, []).append(one.details.shared[0])
            partners.setdefault(one.details.shared[0], []).append(one.name)
    pair = {stage.name, sibling.name}
    reached, todo = set[str](), [*producers(state, stage.name), *producers(state, sibling.name)]
    while todo:
        name = todo.pop()
        if name in reached:
            continue
        reached.add(name)
        for partner in partners.get(name, ()):
            above = producers(state, partner)
            if pair & {partner, *above}:
                return name
            todo += above
    return ""


def _loop_problem(state: State, stage: Stage, sibling: Stage) -> str:
    assert stage.details.shared is not None
    depth = stage.require_loop(stage.details.shared[1]) + 1
    if depth > len(sibling.loops):
        return f"it would share {depth} loops, and {sibling.name!r} has {', '.join(sibling.loops)}"
    bounds = Bounds(state)
    names: tuple[dict[str, int], dict[str, int]] = ({}, {})
    for loop, other in zip(stage.loops[:depth], sibling.loops[:depth], strict=True):
        for one, own in ((stage, loop), (sibling, other)):
            if own in carried(one):
                return f"axis {own!r} of {one.name!r} is a reduction, or runs in order"
            if one.init_at == own:
                return f"{one.name!r} is initialised before axis {own!r}"
        if stage.kind(loop) != sibling.kind(other):
            return (
                f"axis {loop!r} is {stage.kind(loop)}, and {other!r} of {sibling.name!r} is {sibling.kind(other)}; "
                "annotate both alike before compute_with"
            )
        if loop in stage.details.asking:
            return (
                f"axis {loop!r} is partitioned, prefetches or has a pragma; let {other!r} of {sibling.name!r} do that"
            )
        for one, own in ((stage, loop), (sibling, other)):
            if one.details.tensorized is not None and one.details.tensorized[0] == own:
                return f"axis {own!r} of {one.name!r} begins an instruction"
        made = [
            _origin(one, own, named, bounds.stages[one.name].extents)
            for one, own, named in zip((stage, sibling), (loop, other), names, strict=True)
        ]
        if made[0] != made[1]:
            return (
                f"axis {loop!r} ({bounds.stages[stage.name].extents[loop]} iterations) and {other!r} of "
                f"{sibling.name!r} ({bounds.stages[sibling.name].extents[other]}) are not made in the same way from "
                f"axes of the same extents"
            )
    return _region_problem(bounds, (stage, sibling), names)


def _region_problem(bounds: Bounds, pair: tuple[Stage, Stage], names: tuple[dict[str, int], dict[str, int]]) -> str:
    """Whether readers of stages that are computed in a loop may need different parts of the axes that are shared."""
    if pair[0].attach is None:
        return ""
    holder, loop = pair[0].attach
    needed = []
    for stage, named in zip(pair, names, strict=True):
        dims = {axis.name: dim for dim, axis in enumerate(stage.tensor.axes)}
        order = [dims[name] for name in sorted(named, key=named.__getitem__)]
        for reader in bounds.readers(stage.name, holder, loop):
            found = accesses(reader, stage)
            needed.append([(reader.name, stage.tensor.shape[dim], found[dim]) for dim in order])
    half = len(needed) // 2
    for one, other in zip_longest(chain(*needed[:half]), chain(*needed[half:])):
        if one is None or other is None or one[:2] != other[:2] or not _same(one[2], other[2]):
            return f"at {holder!r} axis {loop!r}, their readers may need different parts of them"
    return ""


def _same(one: tuple[Expr, int] | None, other: tuple[Expr, int] | None) -> bool:
    if one is None or other is None:
        return one is other
    difference = affine(one[0]) - affine(other[0])
    return difference.is_const and difference.const == 0 and one[1] == other[1]


def _origin(stage: Stage, loop: str, names: dict[str, int], extents: Mapping[str, Number]) -> Any:
    """How a loop is made from axes, which have numbers in the order in which they occur, as plain data."""
    own = np.asarray(extents[loop]).tolist()
    for relation in stage.relations:
        if loop not in produced(relation):
            continue
        if isinstance(relation, Split):
            parts = [np.asarray(extents[child]).tolist() for child in relation.children]
            return ["part", relation.children.index(loop), parts, _origin(stage, relation.parent, names, extents)]
        fused = [getattr(relation, side) for side in ("outer", "inner") if hasattr(relation, side)]
        return ["whole", own, [_origin(stage, part, names, extents) for part in fused]]
    return ["axis", own, names.setdefault(loop, len(names))]
