"""Reshape, Flatten, Squeeze and Unsqueeze of ONNX: the same elements in the same order under another shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import Expr, ExprLike, as_expr
from autotune.tensor_expr.operators import registry
from autotune.tensor_expr.operators.registry import Param, Value, integers, one_of, register, text
from autotune.tensor_expr.tensor import compute, placeholder
from autotune.tensor_expr.workload import Workload

_DTYPE = Param("dtype", "float32", f"one of {', '.join(dtypes.DTYPES)}")
_SHAPE = Param("shape", "1,64,56,56", "shape of the input")
_FAMILY = "data movement"


@register(
    "reshape",
    "a tensor's elements under another shape",
    (_SHAPE, Param("to", "0,-1,49", "the new shape; 0 keeps the input's size, one -1 takes what is left"), _DTYPE),
    family=_FAMILY,
)
def reshape(shape: Any, to: Any, dtype: str) -> Workload:
    """``y`` has the elements of ``x`` in row-major order under the shape ``to``.

    x: shape. Raises ``UsageError`` for a shape with another number of elements.
    """
    extents, wanted = registry.shape("shape", shape), list(integers("to", to))
    for dim, size in enumerate(wanted):
        if size < -1 or (size == 0 and dim >= len(extents)):
            raise UsageError(f"to has {size} for axis {dim}; sizes are positive, 0 for the input's own, or -1 once")
        wanted[dim] = extents[dim] if size == 0 else size
    known = prod(size for size in wanted if size > 0)
    if wanted.count(-1) == 1 and prod(extents) % known == 0:
        wanted[wanted.index(-1)] = prod(extents) // known
    if -1 in wanted or prod(wanted) != prod(extents):
        raise UsageError(f"{prod(extents)} elements of the shape {text(extents)} do not fit the shape {to}")
    return _reshaped("reshape", extents, tuple(wanted) or (1,), {"to": text(wanted)}, dtype)


@register(
    "flatten",
    "a tensor as a matrix: the axes before one, and the rest",
    (
        _SHAPE,
        Param("axis", 1, "the first axis of the columns, from 0 to the rank; negative ones count from the end"),
        _DTYPE,
    ),
    family=_FAMILY,
)
def flatten(shape: Any, axis: Any, dtype: str) -> Workload:
    """``y[i, j]`` has the elements of ``x`` in row-major order, a row for each index of the axes before ``axis``.

    x: shape. Raises ``UsageError`` for an axis outside of [-rank, rank].
    """
    extents = registry.shape("shape", shape)
    first = registry.size("axis", axis, -registry.MAX_SIZE)
    if not -len(extents) <= first <= len(extents):
        raise UsageError(
            f"axis is {first}; with {len(extents)} dimensions it is from {-len(extents)} to {len(extents)}"
        )
    first += len(extents) if first < 0 else 0
    return _reshaped("flatten", extents, (prod(extents[:first]), prod(extents[first:])), {"axis": first}, dtype)


@register(
    "squeeze",
    "a tensor without axes of one element",
    (
        Param("shape", "1,512,1,1", "shape of the input"),
        Param("axes", "2,3", "the axes that vanish; empty for all of one element"),
        _DTYPE,
    ),
    family=_FAMILY,
)
def squeeze(shape: Any, axes: Any, dtype: str) -> Workload:
    """``y[..] = x[.., 0, ..]`` with the axes left out; a single value keeps the shape (1,).

    x: shape. Raises ``UsageError`` for an axis with more than one element.
    """
    extents = registry.shape("shape", shape)
    ones = tuple(dim for dim, size in enumerate(extents) if size == 1)
    gone = registry.axes("axes", axes, len(extents)) or ones
    for dim in gone:
        if dim not in ones:
            raise UsageError(f"axis {dim} has {extents[dim]} elements; only axes of one element can vanish")
    left = tuple(size for dim, size in enumerate(extents) if dim not in gone) or (1,)
    return _reshaped("squeeze", extents, left, {"axes": text(gone)}, dtype)


@register(
    "unsqueeze",
    "a tensor with new axes of one element",
    (
        Param("shape", "64,56,56", "shape of the input"),
        Param("axes", "0", "where the new axes are in the result; negative ones count from its end"),
        _DTYPE,
    ),
    family=_FAMILY,
)
def unsqueeze(shape: Any, axes: Any, dtype: str) -> Workload:
    """``y[.., 0, ..] = x[..]`` with an axis of one element at each of the places.

    x: shape. Raises ``UsageError`` for a place outside of the result.
    """
    extents = registry.shape("shape", shape)
    rank = len(extents) + len(integers("axes", axes))
    added = registry.axes("axes", axes, rank)
    sizes = iter(extents)
    return _reshaped(
        "unsqueeze",
        extents,
        tuple(1 if dim in added else next(sizes) for dim in range(rank)),
        {"axes": text(added)},
        dtype,
    )


def _reshaped(
    name: str, old: tuple[int, ...], new: tuple[int, ...], params: Mapping[str, Value], dtype: str
) -> Workload:
    one_of("dtype", dtype, dtypes.DTYPES)
    x = placeholder(old, dtype, "x")
    y = compute(new, lambda *i: x[tuple(_indices(old, new, i))], name="y")

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return inputs["x"].reshape(new)

    return Workload(y, name, {"shape": text(old), **params, "dtype": dtype}, reference, 0)


def _indices(old: Sequence[int], new: Sequence[int], index: Sequence[Expr]) -> Iterator[ExprLike]:
    """The old indices of an element, without divisions where an axis stays what it was."""
    for old_dims, new_dims in _groups(old, new):
        flat: Expr = as_expr(0)
        for dim in new_dims:
            flat = flat * new[dim] + index[dim] if new[dim] > 1 else flat
        for position, dim in enumerate(old_dims):
            inner = prod(old[other] for other in old_dims[position + 1 :])
            place = flat // inner if inner > 1 else flat
            yield place % old[dim] if position else place


def _groups(old: Sequence[int], new: Sequence[int]) -> Iterator[tuple[range, range]]:
    """Runs of old and of new axes that hold equally many elements, as short as possible."""
    a = b = 0
    while a < len(old) or b < len(new):
        first, second = a, b
        left = right = 1
        while (first == a and second == b) or left != right:
            if (left <= right and a < len(old)) or b == len(new):
                left, a = left * old[a], a + 1
            else:
                right, b = right * new[b], b + 1
        yield range(first, a), range(second, b)
