"""Shapes and indices that several operators change in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from autotune.errors import UsageError
from autotune.tensor_expr.expr import Expr, ExprLike, binary
from autotune.tensor_expr.operators.registry import text

T = TypeVar("T")


def replaced(items: Sequence[T], dim: int, *others: T) -> tuple[T, ...]:
    """The items with others, or nothing, in the place of one."""
    return (*items[:dim], *others, *items[dim + 1 :])


def clamped(index: ExprLike, extent: int) -> Expr:
    """The index, or the nearest one in [0, extent)."""
    return binary("max", binary("min", index, extent - 1), 0)


def broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that all broadcast to by NumPy's rules, or ``UsageError`` naming them."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(each)) + each for each in shapes]
    result = tuple(max(column) for column in zip(*padded, strict=True))
    if any(size not in (1, total) for each in padded for size, total in zip(each, result, strict=True)):
        raise UsageError(f"the shapes {' and '.join(map(text, shapes))} do not broadcast to one shape")
    return result


def aligned(own: tuple[int, ...], index: Sequence[Expr]) -> tuple[ExprLike, ...]:
    """The indices, of a broadcast result's axes, for a tensor of the shape ``own``: 0 where it has one element."""
    return tuple(0 if size == 1 else i for size, i in zip(own, index[len(index) - len(own) :], strict=True))
