"""Lookup of elements by an array of indices, as ONNX Gather and GatherElements define it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import Expr, select
from autotune.tensor_expr.operators import registry
from autotune.tensor_expr.operators.registry import Param, Value, one_of, register, text
from autotune.tensor_expr.operators.shared.indices import replaced
from autotune.tensor_expr.tensor import Tensor, compute, placeholder
from autotune.tensor_expr.workload import Workload

_DTYPE = Param("dtype", "float32", f"one of {', '.join(dtypes.DTYPES)}")
_INDEX_DTYPE = Param("index_dtype", "int64", "int64 or int32")
_FAMILY = "data movement"


@register(
    "gather",
    "slices of a tensor by an array of indices along one axis",
    (
        Param("shape", "30522,768", "shape of the tensor"),
        Param("indices", "1,128", "shape of the array of indices"),
        Param("axis", 0, "the axis that is looked up; negative ones count from the end"),
        _INDEX_DTYPE,
        _DTYPE,
    ),
    family=_FAMILY,
)
def gather(shape: Any, indices: Any, axis: Any, index_dtype: str, dtype: str) -> Workload:
    """``y[a.., i.., b..] = x[a.., indices[i..], b..]``; negative indices count from the end.

    x: shape, indices: their shape, of index_dtype. Indices outside of the axis read its nearest element. Raises
    ``UsageError`` for an axis that does not exist.
    """
    extents, many = registry.shape("shape", shape), registry.shape("indices", indices)
    dim = registry.axis("axis", axis, len(extents))
    x, where = _operands(extents, many, index_dtype, dtype)

    def element(*i: Expr) -> Expr:
        before, index, after = i[:dim], i[dim : dim + len(many)], i[dim + len(many) :]
        found = (*before, _from_end(where[index], extents[dim]), *after)
        return x[found]

    y = compute(replaced(extents, dim, *many), element, name="y")

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        return np.take(inputs["x"], inputs["indices"], axis=dim)

    params: dict[str, Value] = {
        "shape": text(extents), "indices": text(many), "axis": dim, "index_dtype": index_dtype, "dtype": dtype
    }  # fmt: skip
    return Workload(y, "gather", params, reference, 0, {"indices": (-extents[dim], extents[dim])})


@register(
    "gather_elements",
    "elements of a tensor by an index for each along one axis",
    (
        Param("shape", "512,768", "shape of the tensor"),
        Param("indices", "128,768", "shape of the indices and of the result; at most the tensor's but along the axis"),
        Param("axis", 0, "the axis that is looked up; negative ones count from the end"),
        _INDEX_DTYPE,
        _DTYPE,
    ),
    family=_FAMILY,
)
def gather_elements(shape: Any, indices: Any, axis: Any, index_dtype: str, dtype: str) -> Workload:
    """``y[a.., i, b..] = x[a.., indices[a.., i, b..], b..]``; negative indices count from the end.

    x: shape, indices: their shape, of index_dtype. Indices outside of the axis read its nearest element. Raises
    ``UsageError`` for indices of another rank, or larger than the tensor along another axis.
    """
    extents, many = registry.shape("shape", shape), registry.shape("indices", indices)
    dim = registry.axis("axis", axis, len(extents))
    if len(many) != len(extents) or any(m > n for d, (m, n) in enumerate(zip(many, extents, strict=True)) if d != dim):
        raise UsageError(
            f"indices have the shape {text(many)}, which must have the rank of {text(extents)} and fit into it but "
            f"along axis {dim}"
        )
    x, where = _operands(extents, many, index_dtype, dtype)
    y = compute(many, lambda *i: x[replaced(i, dim, _from_end(where[i], extents[dim]))], name="y")

    def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        fitting = inputs["x"][tuple(slice(None if d == dim else size) for d, size in enumerate(many))]
        return np.take_along_axis(fitting, inputs["indices"].astype(np.int64), axis=dim)

    params: dict[str, Value] = {
        "shape": text(extents), "indices": text(many), "axis": dim, "index_dtype": index_dtype, "dtype": dtype
    }  # fmt: skip
    return Workload(y, "gather_elements", params, reference, 0, {"indices": (-extents[dim], extents[dim])})


def _operands(extents: tuple[int, ...], many: tuple[int, ...], index_dtype: str, dtype: str) -> tuple[Tensor, Tensor]:
    one_of("index_dtype", index_dtype, ("int64", "int32"))
    one_of("dtype", dtype, dtypes.DTYPES)
    return placeholder(extents, dtype, "x"), placeholder(many, index_dtype, "indices")


def _from_end(index: Expr, extent: int) -> Expr:
    return select(index < 0, index + extent, index)
