"""The reference meaning of tensor expressions, in NumPy: what every generated kernel is compared with.

Each compute is evaluated over the whole index grid at once, in float64 where it is a floating point compute, in slices
along the first axis so that a reduction's grid stays below ``GRID_ELEMENTS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    Select,
    walk,
)
from autotune.tensor_expr.tensor import Tensor, graph

GRID_ELEMENTS = 1 << 22
_REDUCE: dict[str, Callable[..., Any]] = {"sum": np.sum, "max": np.max, "min": np.min}


def evaluate(output: Tensor, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """The output's array for the placeholders' arrays by name; float results are float64."""
    arrays: dict[Tensor, np.ndarray] = {}
    for tensor in graph(output):
        if tensor.is_placeholder:
            array = np.asarray(inputs[tensor.name])
            arrays[tensor] = array.astype(np.float64) if dtypes.is_float(tensor.dtype) else array
        else:
            arrays[tensor] = _evaluate_compute(tensor, arrays)
    return arrays[output]


def _evaluate_compute(tensor: Tensor, arrays: Mapping[Tensor, np.ndarray]) -> np.ndarray:
    axes = (*tensor.axes, *tensor.reduce_axes)
    wide = np.dtype(np.float64 if dtypes.is_float(tensor.dtype) else tensor.dtype)
    result = np.empty(tensor.shape, wide)
    row = int(np.prod([axis.extent for axis in axes[1:]], dtype=np.int64))
    step = max(1, GRID_ELEMENTS // max(1, row))
    first = axes[0].extent if tensor.axes else 1
    for start in range(0, first, step):
        stop = min(first, start + step)
        grids: dict[Expr, np.ndarray] = {}
        for position, axis in enumerate(axes):
            values = np.arange(start, stop) if position == 0 and tensor.axes else np.arange(axis.extent)
            grids[axis] = values.reshape([-1 if dim == position else 1 for dim in range(len(axes))])
        assert tensor.body is not None
        value = _evaluate_expr(tensor.body, grids, arrays, len(tensor.axes))
        extent = (stop - start, *tensor.shape[1:]) if tensor.axes else ()
        result[start:stop if tensor.axes else None] = np.broadcast_to(value, extent)  # fmt: skip
    return result


def _evaluate_expr(
    root: Expr, grids: Mapping[Expr, np.ndarray], arrays: Mapping[Tensor, np.ndarray], dims: int
) -> np.ndarray:
    done: dict[int, np.ndarray] = {}
    reduce_extents = {axis: axis.extent for axis in grids if isinstance(axis, Axis) and axis.reduce}
    for node in walk([root]):
        v = [done[id(child)] for child in node.children]
        result: np.ndarray
        with np.errstate(all="ignore"):
            if isinstance(node, Const):
                result = np.asarray(node.value, np.float64 if dtypes.is_float(node.dtype) else node.dtype)
            elif isinstance(node, Axis):
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
                result = v[0].astype(np.float64 if dtypes.is_float(node.dtype) else node.dtype)
            elif isinstance(node, Call):
                result = INTRINSICS[node.name](*v)
            elif isinstance(node, Read):
                # What a select does not choose may index outside; clip, since its value is dropped.
                clipped = tuple(np.clip(i, 0, n - 1) for i, n in zip(v, node.tensor.shape, strict=True))
                result = arrays[node.tensor][clipped]
            elif isinstance(node, Reduce):
                full = list(np.broadcast_shapes(*(g.shape for g in grids.values())))
                for position, axis in enumerate(grids):
                    if axis not in reduce_extents and v[0].ndim:
                        full[position] = v[0].shape[position]
                body = np.broadcast_to(v[0], full)
                result = _REDUCE[node.kind](body, axis=tuple(range(dims, len(grids))))
            else:
                raise AssertionError(f"no NumPy meaning for {type(node).__name__}")
        done[id(node)] = result
    return done[id(root)]
