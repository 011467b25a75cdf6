"""Stages in which the value of an input is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autotune.schedules.state import Stage, State
from autotune.tensor_expr.expr import (
    ARITHMETIC,
    COMPARISONS,
    Binary,
    Cast,
    Compare,
    Const,
    Expr,
    Read,
    Select,
    cast,
    const,
)

_EXACT = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")  # NumPy computes as kernels do


def specialized(state: State, name: str, tensor: str, value: int | float) -> State:
    """The state in which a stage, and what is computed in its loops, knows the only element of an input."""
    for stage in within(state, name):
        state = state.with_stage(_knowing(stage, tensor, value))
    return state


def within(state: State, name: str) -> list[Stage]:
    """A stage and those that are computed inside its loops."""
    loops = state.stages[name].loops
    return [s for s in state.stages.values() if s.name == name or (loops and state.nested_in(s.name, name, loops[0]))]


def _knowing(stage: Stage, tensor: str, value: int | float) -> Stage:
    def folded(node: Expr) -> Expr | None:
        if isinstance(node, Read) and node.tensor.name == tensor:
            return const(value, node.dtype)
        return _folded(node, node.children)

    left = tuple(pair for pair in stage.details.specialized if pair[0] != tensor)
    return replace(stage.with_details(specialized=left), tensor=stage.tensor.map_bodies(folded))


def _folded(node: Expr, operands: Sequence[Expr]) -> Expr | None:
    """What constant operands make of a node; None where they decide nothing."""
    if isinstance(node, Select) and isinstance(operands[0], Const):
        return operands[1] if operands[0].value else operands[2]
    if isinstance(node, Cast) and isinstance(operands[0], Const):
        return cast(operands[0], node.dtype)
    if not isinstance(node, (Binary, Compare)):
        return None
    a, b = operands
    if isinstance(node, Binary) and node.op in ("mul", "div") and isinstance(b, Const) and b.value == 1:
        return a
    if isinstance(node, Binary) and node.op == "mul" and isinstance(a, Const) and a.value == 1:
        return b
    if not isinstance(a, Const) or not isinstance(b, Const) or a.dtype not in _EXACT:
        return None
    table = ARITHMETIC if isinstance(node, Binary) else COMPARISONS
    if node.op not in table or (node.op in ("floordiv", "mod") and b.value == 0):
        return None
    with np.errstate(all="ignore"):
        value = table[node.op](np.asarray(a.value, a.dtype), np.asarray(b.value, b.dtype))
    return const(value.item(), node.dtype)
