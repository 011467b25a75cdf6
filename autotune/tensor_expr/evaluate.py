"""The reference meaning of tensor expressions, in NumPy: what every generated kernel is compared with.

Each compute is evaluated over the whole index grid at once, in float64 where it is a floating point compute, in slices
along the first axis so that a reduction's grid stays below ``GRID_ELEMENTS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import (
    ARITHMETIC,
    COMPARISONS,
    INTRINSICS,
    Axis,
    Binary,
    Call,
    Cast,
    Compare,
    Const,
    Expr,
    Not,
    Read,
    Reduce,
    Scan,
    Select,
    Var,
    walk,
)
from autotune.tensor_expr.reducers import Reducer, is_built_in
from autotune.tensor_expr.tensor import Tensor, graph

GRID_ELEMENTS = 1 << 22
Arrays = tuple[np.ndarray, ...]


def evaluate(output: Tensor, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """The output's array for the placeholders' arrays by name (the first component's); float results are float64."""
    return evaluate_all(output, inputs)[0]


def evaluate_all(output: Tensor, inputs: Mapping[str, np.ndarray]) -> Arrays:
    """The array of each component of the output."""
    arrays: dict[Tensor, Arrays] = {}
    for tensor in graph(output):
        if tensor.is_placeholder:
            array = np.asarray(inputs[tensor.name])
            arrays[tensor] = (array.astype(np.float64) if dtypes.is_float(tensor.dtype) else array,)
        else:
            arrays[tensor] = _evaluate_compute(tensor, arrays)
    return arrays[output]


def _evaluate_compute(tensor: Tensor, arrays: Mapping[Tensor, Arrays]) -> Arrays:
    axes = (*tensor.axes, *tensor.reduce_axes)
    results = tuple(np.empty(tensor.shape, _wide(dtype)) for dtype in tensor.dtypes)
    row = int(np.prod([axis.extent for axis in axes[1:]], dtype=np.int64))
    first = axes[0].extent if tensor.axes else 1
    step = first if tensor.scan_dim == 0 else max(1, GRID_ELEMENTS // max(1, row))
    for start in range(0, first, step):
        stop = min(first, start + step)
        grids: dict[Expr, np.ndarray] = {}
        for position, axis in enumerate(axes):
            values = np.arange(start, stop) if position == 0 and tensor.axes else np.arange(axis.extent)
            grids[axis] = values.reshape([-1 if dim == position else 1 for dim in range(len(axes))])
        extent = (stop - start, *tensor.shape[1:]) if tensor.axes else ()
        values_of = _evaluate_exprs(tensor.bodies, grids, arrays, len(tensor.axes))
        for result, value in zip(results, values_of, strict=True):
            result[start : stop if tensor.axes else None] = np.broadcast_to(value, extent)
    return results


def _wide(dtype: str) -> np.dtype[Any]:
    return np.dtype(np.float64 if dtypes.is_float(dtype) else dtype)


def _evaluate_exprs(
    roots: Sequence[Expr], grids: Mapping[Expr, np.ndarray], arrays: Mapping[Tensor, Arrays], dims: int
) -> list[np.ndarray]:
    """The values of several expressions over a grid, of which the dimensions from ``dims`` on are reduced."""
    done: dict[int, np.ndarray] = {}
    for node in walk(roots):
        operands = [done[id(child)] for child in node.children]
        with np.errstate(all="ignore"):
            if isinstance(node, Reduce):
                extents = [np.broadcast_to(operand, _grid(grids, operand)) for operand in operands]
                done[id(node)] = reduced(node.reducer, extents, dims)[node.component]
            elif isinstance(node, Scan):
                whole = np.broadcast_shapes(*(operand.shape for operand in operands), grids[node.axis].shape)
                extents = [np.broadcast_to(operand, whole) for operand in operands]
                done[id(node)] = accumulated(node.reducer, extents, list(map(id, grids)).index(id(node.axis)))[
                    node.component
                ]
            else:
                done[id(node)] = _evaluate_node(node, operands, grids, arrays)
    return [done[id(root)] for root in roots]


def _grid(grids: Mapping[Expr, np.ndarray], operand: np.ndarray) -> list[int]:
    """The grid with all of its reduction dimensions, and of the others what the operand has."""
    full = list(np.broadcast_shapes(*(grid.shape for grid in grids.values())))
    for position, axis in enumerate(grids):
        if isinstance(axis, Axis) and not axis.reduce and operand.ndim:
            full[position] = operand.shape[position]
    return full


def reduced(reducer: Reducer, operands: Sequence[np.ndarray], dims: int) -> list[np.ndarray]:
    """All components of a reduction over the dimensions from ``dims`` on.

    NumPy's own function where it has one; else neighbours are combined, then neighbours of these, until one is left.
    """
    if reducer.name in _OWN and is_built_in(reducer):
        return [_OWN[reducer.name](operands[0], axis=tuple(range(dims, operands[0].ndim)))]
    shape = np.broadcast_shapes(*(operand.shape for operand in operands))
    values = [
        np.broadcast_to(operand, shape).reshape(*shape[:dims], int(np.prod(shape[dims:]))) for operand in operands
    ]
    while (count := values[0].shape[-1]) > 1:
        odd = [value[..., count - count % 2 :] for value in values]
        merged = combined(reducer, [v[..., : count - 1 : 2] for v in values], [v[..., 1::2] for v in values])
        values = [np.concatenate(pair, axis=-1) for pair in zip(merged, odd, strict=True)]
    return [value[..., 0] for value in values]


def accumulated(reducer: Reducer, operands: Sequence[np.ndarray], dim: int) -> list[np.ndarray]:
    """All components of a scan along a dimension, one step after the other."""
    steps = [np.moveaxis(operand, dim, 0) for operand in operands]
    results = [step.copy() for step in steps]
    for place in range(1, len(steps[0])):
        following = combined(reducer, [result[place - 1] for result in results], [step[place] for step in steps])
        for result, value in zip(results, following, strict=True):
            result[place] = value
    return [np.moveaxis(result, 0, dim) for result in results]


def combined(reducer: Reducer, left: Sequence[np.ndarray], right: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What the reducer makes of two values, in arrays of them."""
    known: dict[Expr, np.ndarray] = dict(zip((*reducer.left, *reducer.right), (*left, *right), strict=True))
    values = _evaluate_exprs(reducer.results, known, {}, 0)
    return [np.broadcast_to(value, left[0].shape) for value in values]


_OWN: dict[str, Callable[..., Any]] = {
    "sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min, "any": np.any, "all": np.all,
}  # fmt: skip


def _evaluate_node(
    node: Expr, v: list[np.ndarray], grids: Mapping[Expr, np.ndarray], arrays: Mapping[Tensor, Arrays]
) -> np.ndarray:
    result: np.ndarray
    if isinstance(node, Const):
        result = np.asarray(node.value, _wide(node.dtype))
    elif isinstance(node, Var):
        result = grids[node]
    elif isinstance(node, Binary):
        result = ARITHMETIC[node.op](v[0], v[1])
    elif isinstance(node, Compare):
        result = COMPARISONS[node.op](v[0], v[1])
    elif isinstance(node, Not):
        result = np.logical_not(v[0])
    elif isinstance(node, Select):
        result = np.where(v[0], v[1], v[2])
    elif isinstance(node, Cast):
        result = dtypes.converted(v[0], node.dtype)
    elif isinstance(node, Call):
        result = INTRINSICS[node.name](*v)
    elif isinstance(node, Read):
        # What a select does not choose may index outside; clip, since its value is dropped.
        clipped = tuple(np.clip(i, 0, n - 1) for i, n in zip(v, node.tensor.shape, strict=True))
        result = arrays[node.tensor][node.component][clipped]
    else:
        raise AssertionError(f"no NumPy meaning for {type(node).__name__}")
    return result
