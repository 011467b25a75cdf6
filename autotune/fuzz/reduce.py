"""Smaller variants of expressions: fewer stages, smaller shapes, simpler bodies.

Each variant is made by the calls that a user has, from its own source, so that one which makes no sense is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from autotune.errors import UsageError
from autotune.fuzz.snippet import tensor_source
from autotune.tensor_expr import Tensor, dtypes, graph
from autotune.tensor_expr.expr import Accumulation, Axis, Const, Expr, Read, Reduce, Scan, const, rewrite_all, walk
from autotune.tensor_expr.tensor import as_output

Sizes = Callable[[int], int]


def smaller(output: Tensor) -> Iterator[Tensor]:
    """Variants of an operator, those that leave out most first."""
    for variant in (*_with_fewer_stages(output), *_with_smaller_sizes(output), *_with_simpler_bodies(output)):
        made = _made(variant)
        if made is not None:
            yield made


def scaled(output: Tensor, least: int, divisor: int) -> Tensor | None:
    """The operator with sizes from ``least`` on divided; None where that makes no sense."""
    return _made(_rebuilt(output, {}, lambda size: max(1, size // divisor) if size >= least else size))


def _made(output: Tensor) -> Tensor | None:
    """The same tensors made by their source; None where that is refused."""
    names: dict[str, Any] = {}
    try:
        exec(tensor_source(output), names)
    except UsageError:
        return None
    return as_output(names["output"])


def _with_fewer_stages(output: Tensor) -> Iterator[Tensor]:
    tensors = graph(output)
    yield from (tensor for tensor in tensors[:-1] if not tensor.is_placeholder)
    for tensor in tensors[:-1]:
        if not tensor.is_placeholder and len(tensor.dtypes) == 1:
            yield _rebuilt(output, {tensor: Tensor(tensor.name, tensor.shape, tensor.dtype)})


def _with_smaller_sizes(output: Tensor) -> Iterator[Tensor]:
    """Each size, wherever it occurs, made smaller, and the constants that go with it."""
    sizes = {size for tensor in graph(output) for size in tensor.shape}
    sizes |= {axis.extent for tensor in graph(output) for axis in tensor.reduce_axes}
    for size in sorted(sizes, reverse=True):
        for less in dict.fromkeys((1, 2, size // 2, size - 1)):
            if 1 <= less < size:
                yield _rebuilt(output, {}, lambda n, size=size, less=less: less if n == size else n)  # type: ignore[misc]


def _with_simpler_bodies(output: Tensor) -> Iterator[Tensor]:
    """One node replaced by one of its operands, or by 1."""
    for tensor in graph(output):
        for node in reversed(list(walk(tensor.bodies))):
            # Conditions stay: what they guard may be out of bounds without them.
            if isinstance(node, Accumulation) or not node.children or node.dtype == "bool":
                continue
            for simple in (*(child for child in node.children if child.dtype == node.dtype), const(1, node.dtype)):
                changed = rewrite_all(tensor.bodies, {node: simple}.get)
                yield _rebuilt(output, {tensor: replace(tensor, bodies=changed)})


def _rebuilt(output: Tensor, replaced: dict[Tensor, Tensor], size: Sizes = lambda n: n) -> Tensor:
    """The output with some tensors replaced, and sizes mapped in shapes, axes and the constants next to them."""
    done: dict[Tensor, Tensor] = {}
    for original in graph(output):
        tensor = replaced.get(original, original)
        shape = tuple(map(size, tensor.shape))
        if tensor.is_placeholder:
            done[original] = replace(tensor, shape=shape)
            continue
        axes = {axis: replace(axis, extent=size(axis.extent)) for axis in (*tensor.axes, *tensor.reduce_axes)}
        bodies = rewrite_all(tensor.bodies, lambda node, axes=axes: _over(node, axes, done, size))  # type: ignore[misc]
        new_axes = tuple(axes[axis] for axis in tensor.axes)
        done[original] = replace(tensor, shape=shape, axes=new_axes, bodies=bodies, dtype=bodies[0].dtype)
    return done[output]


def _over(node: Expr, axes: dict[Axis, Axis], done: dict[Tensor, Tensor], size: Sizes) -> Expr | None:
    """A node over new axes and tensors."""
    if isinstance(node, Axis):
        return axes.get(node)
    if isinstance(node, Reduce):
        return replace(node, axes=tuple(axes[axis] for axis in node.axes))
    if isinstance(node, Scan):
        return replace(node, axis=axes[node.axis])
    if isinstance(node, Read):
        return replace(node, tensor=done[node.tensor])
    if isinstance(node, Const) and node.dtype == dtypes.INDEX:
        value = int(node.value)  # a size, or the last index below one
        return const(size(value) if size(value) != value else size(value + 1) - 1, dtypes.INDEX)
    return None
