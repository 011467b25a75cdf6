"""Loops of stages whose elements are computed in one of a few ways, by where they lie: Winograd's transforms.

An element of ``select(u == 0, .., select(u == 1, .., ..))`` costs all of its alternatives where ``u`` is a loop; with
``u`` unrolled it costs one, and the alternatives share what they read ::

    for u, c, z: ..          ->    for c, z.0: unroll u: vectorize z.1: ..
    for i, j: .. i % 4 ..    ->    for i.0, j.0: unroll i.1, j.2: vectorize j.1: ..
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from autotune.schedules.sketches.draft import Draft
from autotune.schedules.state import Stage
from autotune.tensor_expr.expr import Axis, Binary, Compare, Const, Expr, Select, walk
from autotune.tensor_expr.tensor import Tensor

MOST = 8  # ways that are written out


def choosing_axes(stage: Stage) -> dict[str, int]:
    """The axes that decide how an element is computed, and after how many steps each decides so again."""
    return dict(_choosing(stage.tensor))


@lru_cache(maxsize=1024)
def _choosing(tensor: Tensor) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for node in walk(tensor.bodies):
        if isinstance(node, Select) and isinstance(node.condition, Compare) and node.condition.op == "eq":
            axis, period = _periodic(node.condition.a)
            if axis is not None and 1 < period <= MOST:
                found[axis.name] = period
    return found


def _periodic(index: Expr) -> tuple[Axis | None, int]:
    if isinstance(index, Axis):
        return index, index.extent
    if isinstance(index, Binary) and index.op == "mod" and isinstance(index.a, Axis):
        return index.a, int(index.b.value) if isinstance(index.b, Const) else 0
    return None, 0


def choosing_loops(draft: Draft, name: str, axes: dict[str, int]) -> tuple[Draft, list[str]]:
    """The stage with its choices unrolled around a vector loop; and the loops that are left outside, in order."""
    stage = draft.state.stages[name]
    *_, last = stage.tensor.axes
    outer: list[str] = []
    unrolled: list[str] = []
    for axis in stage.tensor.axes:
        period = axes.get(axis.name, 0)
        if axis is last:
            factors = [draft.lanes(name), period] if period else [draft.lanes(name)]
            draft = draft.step("split", name, axis.name, factors)
            outer.append(f"{axis.name}.0")
            unrolled += [f"{axis.name}.2"] if period else []
        elif period and period < axis.extent:
            draft = draft.step("split", name, axis.name, [period])
            outer.append(f"{axis.name}.0")
            unrolled.append(f"{axis.name}.1")
        else:
            (unrolled if period else outer).append(axis.name)
    vector = f"{last.name}.1"
    draft = draft.step("reorder", name, [*outer, *unrolled, vector])
    for loop in unrolled:
        draft = draft.step("unroll", name, loop)
    return draft.step("vectorize", name, vector), outer
