"""Tensors that primitives make from a stage's tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from autotune.tensor_expr.expr import Axis, Expr, Read, Reduce, Select, const, substitute
from autotune.tensor_expr.tensor import Tensor


def renamed(tensor: Tensor, name: str, sizes: Mapping[str, int] | None = None) -> Tensor:
    """The same compute under another name, over axes of its own, some of which may have other sizes."""
    fresh: dict[Expr, Axis] = {}
    for axis in (*tensor.axes, *tensor.reduce_axes):
        fresh[axis] = replace(axis, extent=(sizes or {}).get(axis.name, axis.extent))
    axes = tuple(fresh[axis] for axis in tensor.axes)
    body = tensor.body
    assert body is not None
    if isinstance(body, Reduce):
        operand = substitute(body.body, dict(fresh))
        body = replace(body, axes=tuple(fresh[axis] for axis in body.axes), body=operand)
    else:
        body = substitute(body, dict(fresh))
    return replace(tensor, name=name, shape=tuple(axis.extent for axis in axes), axes=axes, body=body)


def copied_from(tensor: Tensor, source: Tensor) -> Tensor:
    """``tensor`` as a copy of another of at least its shape."""
    return replace(tensor, body=Read(tensor.dtype, source, tensor.axes))


def guarded(body: Expr, condition: Expr) -> Expr:
    """The body where the condition holds; elsewhere 0, or what changes nothing in a reduction."""
    if isinstance(body, Reduce):
        return replace(body, body=Select(body.dtype, condition, body.body, body.identity))
    return Select(body.dtype, condition, body, const(0, body.dtype))


def factored(
    tensor: Tensor,
    name: str,
    values: Mapping[Expr, Expr],
    spatial: tuple[Axis, ...],
    reducing: tuple[Axis, ...],
    condition: Expr | None,
) -> Tensor:
    """The reduction of ``tensor`` over ``reducing`` axes only, for each point of ``spatial`` axes.

    ``values`` are its own axes in terms of these; where the ``condition`` does not hold, nothing is added.
    """
    body = tensor.body
    assert isinstance(body, Reduce)
    operand = substitute(body.body, dict(values))
    if condition is not None:
        operand = Select(body.dtype, condition, operand, body.identity)
    return Tensor(
        name,
        tuple(axis.extent for axis in spatial),
        tensor.dtype,
        spatial,
        replace(body, axes=reducing, body=operand) if reducing else operand,
    )


def reduced_from(tensor: Tensor, source: Tensor, indices: tuple[Expr, ...], axis: Axis) -> Tensor:
    """``tensor`` as the reduction, over one axis, of what ``source`` holds at ``indices``."""
    assert isinstance(tensor.body, Reduce)
    return replace(tensor, body=replace(tensor.body, axes=(axis,), body=Read(tensor.dtype, source, indices)))
