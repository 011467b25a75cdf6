"""Reductions of a tensor over some of its dimensions, which normalisations are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from autotune.tensor_expr.expr import Expr, ExprLike
from autotune.tensor_expr.operators.shared.axes import named
from autotune.tensor_expr.tensor import Tensor, compute, reduce_axis

Value = Callable[[tuple[Any, ...]], Expr]


def axis_names(rank: int) -> tuple[str, ...]:
    """``i0, i1, ...``"""
    return tuple(f"i{dim}" for dim in range(rank))


def elementwise(shape: Sequence[int], value: Value, name: str) -> Tensor:
    """A compute whose element at ``index``, a tuple, is ``value(index)``."""
    return compute(shape, named(axis_names(len(shape)), lambda *index: value(index)), name=name)


def reduce_over(shape: Sequence[int], dims: Sequence[int], reduction: Any, value: Value, name: str) -> Tensor:
    """``reduction(value(index))`` over the dimensions ``dims`` of all indices in ``shape``.

    The other dimensions remain; [1] where there is none.
    """
    remaining = tuple(size for dim, size in enumerate(shape) if dim not in dims) or (1,)
    inner = {dim: reduce_axis(shape[dim], f"r{dim}") for dim in dims}

    def body(*axes: Expr) -> ExprLike:
        outer = iter(axes)
        index = tuple(inner[dim] if dim in inner else next(outer) for dim in range(len(shape)))
        found: Expr = reduction(value(index), axis=tuple(inner.values()))
        return found

    names = [f"i{dim}" for dim in range(len(shape)) if dim not in inner] or ["i"]
    return compute(remaining, named(names, body), name=name)


def row(index: Sequence[Any], dims: Sequence[int]) -> tuple[Any, ...]:
    """Where what ``reduce_over`` made holds the value for an index."""
    return tuple(place for dim, place in enumerate(index) if dim not in dims) or (0,)
