"""Tensors that primitives make from a stage's tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from autotune.tensor_expr.affine import structural_key
from autotune.tensor_expr.expr import Accumulation, Axis, Expr, Read, Reduce, Scan, Select, const, rewrite_all
from autotune.tensor_expr.tensor import Tensor


def renamed(tensor: Tensor, name: str, sizes: Mapping[str, int] | None = None) -> Tensor:
    """The same compute under another name, over axes of its own, some of which may have other sizes."""
    fresh: dict[Expr, Axis] = {}
    for axis in (*tensor.axes, *tensor.reduce_axes):
        fresh[axis] = replace(axis, extent=(sizes or {}).get(axis.name, axis.extent))

    def over(node: Expr) -> Expr | None:
        if isinstance(node, Reduce):
            return replace(node, axes=tuple(fresh[axis] for axis in node.axes))
        if isinstance(node, Scan):
            return replace(node, axis=fresh[node.axis])
        return fresh.get(node)

    axes = tuple(fresh[axis] for axis in tensor.axes)
    shape = tuple(axis.extent for axis in axes)
    return replace(tensor, name=name, shape=shape, axes=axes, bodies=rewrite_all(tensor.bodies, over))


def copied_from(tensor: Tensor, source: Tensor) -> Tensor:
    """``tensor`` as a copy of another of at least its shape."""
    return tensor.with_bodies([Read(part.dtype, source, tensor.axes, part.number) for part in source.components])


def guarded(body: Expr, condition: Expr) -> Expr:
    """The body where the condition holds; elsewhere 0, or what changes nothing in a reduction or scan."""
    if isinstance(body, Accumulation):
        return body.with_children(_operands(body, body.operands, condition))
    return Select(body.dtype, condition, body, const(0, body.dtype))


def _operands(body: Accumulation, operands: Sequence[Expr], condition: Expr | None) -> tuple[Expr, ...]:
    """A reducer's operands where the condition holds, elsewhere what changes nothing."""
    if condition is None:
        return tuple(operands)
    pairs = zip(operands, body.reducer.identity, strict=True)
    return tuple(Select(operand.dtype, condition, operand, identity) for operand, identity in pairs)


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
    bodies: list[Expr] = []
    for body in rewrite_all(tensor.bodies, values.get):
        assert isinstance(body, Reduce)
        operands = _operands(body, body.operands, condition)
        bodies.append(replace(body, axes=reducing, operands=operands) if reducing else operands[body.component])
    return Tensor(name, tuple(axis.extent for axis in spatial), tensor.dtype, spatial, tuple(bodies))


def reduced_from(tensor: Tensor, source: Tensor, indices: tuple[Expr, ...], axis: Axis) -> Tensor:
    """``tensor`` as the reduction, over one axis, of what ``source`` holds at ``indices``."""
    reads = [Read(part.dtype, source, indices, part.number) for part in source.components]
    bodies: list[Expr] = []
    for number, body in enumerate(tensor.bodies):
        assert isinstance(body, Reduce)
        own = reads[number - body.component :][: len(body.operands)]
        bodies.append(replace(body, axes=(axis,), operands=tuple(own)))
    return tensor.with_bodies(bodies)


def expanded(tensor: Tensor, inlined: Mapping[str, Tensor]) -> Tensor:
    """``tensor`` with the expressions of other computes in place of every read of them, however often they nest.

    Each is expanded once per place that it is read at, so that what is read twice is not computed twice; without
    recursion, since a thousand computes may read each other in a row.
    """
    frames: dict[Any, dict[int, Expr]] = {}  # per compute and place: what its axes and nodes have become
    outermost: dict[int, Expr] = {}
    stack = [(outermost, body, False) for body in reversed(tensor.bodies)]
    while stack:
        done, node, ready = stack.pop()
        if id(node) in done:
            continue
        if not ready:
            stack.append((done, node, True))
            stack.extend((done, child, False) for child in reversed(node.children) if id(child) not in done)
            continue
        operands = [done[id(child)] for child in node.children]
        source = inlined.get(node.tensor.name) if isinstance(node, Read) else None
        if source is None:
            same = all(a is b for a, b in zip(operands, node.children, strict=True))
            done[id(node)] = node if same else node.with_children(operands)
            continue
        assert isinstance(node, Read)
        place = (source.name, *map(structural_key, operands))
        frame = frames.setdefault(place, dict(zip(map(id, source.axes), operands, strict=True)))
        body = source.bodies[node.component]
        if id(body) in frame:
            done[id(node)] = frame[id(body)]
        else:
            stack += [(done, node, True), (frame, body, False)]
    return tensor.with_bodies([outermost[id(body)] for body in tensor.bodies])
