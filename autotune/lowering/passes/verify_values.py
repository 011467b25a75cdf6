"""What the verifier asks of expressions: that every node is one of loop IR, and that dtypes agree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import (
    ARITHMETIC,
    BITWISE,
    COMPARISONS,
    INTRINSICS,
    SHIFTS,
    Axis,
    Binary,
    Call,
    Cast,
    Compare,
    Const,
    Expr,
    Load,
    Not,
    Select,
    Var,
)


def value_problem(node: Expr) -> str:
    """What is wrong with one node, its operands aside; empty where nothing is."""
    for kind, check in _CHECKS.items():
        if isinstance(node, kind):
            return str(check(node))
    return f"{type(node).__name__} is no expression of loop IR"


def _differs(what: str, expected: str, *got: str) -> str:
    wrong = [dtype for dtype in got if dtype != expected]
    return f"{what} should be {expected}, but is {wrong[0]}" if wrong else ""


def _const(node: Const) -> str:
    if node.dtype in dtypes.INTEGERS:
        info = np.iinfo(node.dtype)
        return "" if info.min <= node.value <= info.max else f"the constant {node.value} is no {node.dtype}"
    return "" if node.dtype in dtypes.DTYPES else _differs("a constant", "of a known dtype", node.dtype)


def _var(node: Var) -> str:
    if isinstance(node, Axis):
        return f"axis {node.name!r} has not been lowered"
    return _differs(f"variable {node.name!r}", dtypes.INDEX, node.dtype)


def _binary(node: Binary) -> str:
    if node.op not in ARITHMETIC:
        return f"{node.op} is no operation"
    if node.op in (*BITWISE, *SHIFTS) and dtypes.is_float(node.dtype):
        return f"{node.op} is of {node.dtype}, which has no bits"
    if node.op == "div" and not dtypes.is_float(node.dtype):
        return f"div is of {node.dtype}, which is no floating point"
    same = _differs(f"the operands of {node.op}", node.a.dtype, node.b.dtype)
    return same or _differs(f"the result of {node.op}", node.a.dtype, node.dtype)


def _compare(node: Compare) -> str:
    if node.op not in COMPARISONS:
        return f"{node.op} is no comparison"
    same = _differs(f"the operands of {node.op}", node.a.dtype, node.b.dtype)
    return same or _differs(f"the result of {node.op}", "bool", node.dtype)


def _select(node: Select) -> str:
    wrong = _differs("a condition", "bool", node.condition.dtype)
    return wrong or _differs("an operand of a select", node.dtype, node.a.dtype, node.b.dtype)


def _call(node: Call) -> str:
    if node.name not in INTRINSICS:
        return f"{node.name} is no intrinsic"
    return _differs(f"the operand of {node.name}", node.dtype, *(arg.dtype for arg in node.args))


def _load(node: Load) -> str:
    wrong = _differs(f"a load of {node.buffer.name}", node.buffer.dtype, node.dtype)
    return wrong or indices_problem(f"of a load of {node.buffer.name}", node.indices)


def indices_problem(what: str, indices: tuple[Expr, ...]) -> str:
    """Which index has a dtype that indices do not have; empty where none."""
    return _differs(f"an index {what}", dtypes.INDEX, *(index.dtype for index in indices))


_CHECKS: dict[type[Expr], Callable[[Any], str]] = {
    Const: _const,
    Var: _var,
    Binary: _binary,
    Compare: _compare,
    Not: lambda node: _differs("the operand of not", "bool", node.a.dtype, node.dtype),
    Select: _select,
    Cast: lambda node: "" if node.dtype in dtypes.DTYPES else f"a cast to {node.dtype}, which is no dtype",
    Call: _call,
    Load: _load,
}
