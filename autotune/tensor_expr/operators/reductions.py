"""Reductions over some axes, each an operator of its own, as ONNX defines them: a table and one declaration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod as product
from typing import Any

import numpy as np

from autotune.tensor_expr import dtypes
from autotune.tensor_expr import functions as fn
from autotune.tensor_expr.expr import Expr
from autotune.tensor_expr.operators import registry
from autotune.tensor_expr.operators.registry import Param, Value, one_of, register, text
from autotune.tensor_expr.operators.shared.element_types import widened
from autotune.tensor_expr.reducers import max, min, prod, sum
from autotune.tensor_expr.tensor import Tensor, compute, placeholder, reduce_axis
from autotune.tensor_expr.workload import Workload

Reducing = Callable[..., Expr]
_SUMMED = (*dtypes.FLOATS, "int32", "int64")


@dataclass(frozen=True, slots=True)
class _Over:
    """What is reduced: ``x`` over ``dims``; the result has one element along those, or no such axes."""

    x: Tensor
    dims: tuple[int, ...]
    keepdims: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """The result's; a single value has the shape (1,)."""
        sizes = enumerate(self.x.shape)
        if self.keepdims:
            return tuple(1 if dim in self.dims else size for dim, size in sizes)
        return tuple(size for dim, size in sizes if dim not in self.dims) or (1,)

    @property
    def count(self) -> int:
        """How many elements one result is made of."""
        return product(self.x.shape[dim] for dim in self.dims)

    def reduced(self, reducer: Reducing, value: Callable[[Expr, tuple[Expr, ...]], Expr], name: str) -> Tensor:
        """``reducer(value(x[..], where))`` where ``where`` is the result's index."""
        inner = {dim: reduce_axis(self.x.shape[dim], f"r{dim}") for dim in self.dims}

        def body(*where: Expr) -> Expr:
            kept = iter(i for dim, i in enumerate(where) if not (self.keepdims and dim in inner))
            index = tuple(inner[dim] if dim in inner else next(kept) for dim in range(len(self.x.shape)))
            return reducer(value(self.x[index], where), axis=tuple(inner.values()))

        return compute(self.shape, body, name=name)

    def simple(self, reducer: Reducing, value: Callable[[Expr], Expr] = lambda x: x, name: str = "y") -> Tensor:
        """The reduction of a function of each element."""
        return self.reduced(reducer, lambda x, where: value(x), name)

    def finished(self, total: Tensor, value: Callable[[Expr], Expr]) -> Tensor:
        """A function of each result."""
        return compute(self.shape, lambda *where: value(total[where]), name="y")


def _log_sum_exp(over: _Over) -> Tensor:
    """The largest element is taken out of the exponentials, which would overflow otherwise."""
    largest = over.simple(max, name="largest")
    total = over.reduced(sum, lambda x, where: fn.exp(x - largest[where]), "total")
    return compute(over.shape, lambda *where: fn.log(total[where]) + largest[where], name="y")


def _log_sum_exp_array(x: np.ndarray, **over: Any) -> Any:
    return np.logaddexp.reduce(x, **over)


@dataclass(frozen=True, slots=True)
class _Reduction:
    """A reduction: how people write it, as computes, and in NumPy.

    The first of ``dtypes`` is the default; ``domain`` is where floating point operands are drawn from.
    """

    formula: str
    define: Callable[[_Over], Tensor]
    reference: Callable[..., Any]
    dtypes: tuple[str, ...] = dtypes.FLOATS
    domain: tuple[float, float] = (-4.0, 4.0)


_REDUCTIONS: Mapping[str, _Reduction] = {
    "reduce_sum": _Reduction("sum(x)", lambda over: over.simple(sum), np.sum, _SUMMED),
    "reduce_mean": _Reduction(
        "sum(x) / count",
        lambda over: over.finished(over.simple(sum, name="total"), lambda total: total * (1 / over.count)), np.mean,
    ),
    "reduce_max": _Reduction(
        "max(x)", lambda over: over.simple(max), lambda x, dtype, **over: np.max(x, **over),
        (*dtypes.FLOATS, *dtypes.INTEGERS),
    ),
    "reduce_min": _Reduction(
        "min(x)", lambda over: over.simple(min), lambda x, dtype, **over: np.min(x, **over),
        (*dtypes.FLOATS, *dtypes.INTEGERS),
    ),
    "reduce_prod": _Reduction("prod(x)", lambda over: over.simple(prod), np.prod, _SUMMED, (0.9, 1.1)),
    "reduce_l1": _Reduction(
        "sum(|x|)", lambda over: over.simple(sum, fn.absolute), lambda x, **over: np.sum(np.abs(x), **over), _SUMMED
    ),
    "reduce_l2": _Reduction(
        "sqrt(sum(x**2))",
        lambda over: over.finished(over.simple(sum, lambda x: x * x, "total"), fn.sqrt),
        lambda x, **over: np.sqrt(np.sum(x * x, **over)),
    ),
    "reduce_sum_square": _Reduction(
        "sum(x**2)", lambda over: over.simple(sum, lambda x: x * x), lambda x, **over: np.sum(x * x, **over), _SUMMED
    ),
    "reduce_log_sum": _Reduction(
        "log(sum(x))", lambda over: over.finished(over.simple(sum, name="total"), fn.log),
        lambda x, **over: np.log(np.sum(x, **over)), domain=(0.01, 4.0),
    ),
    "reduce_log_sum_exp": _Reduction("log(sum(e ** x))", _log_sum_exp, _log_sum_exp_array),
}  # fmt: skip


def _declare(name: str, reduction: _Reduction) -> None:
    params = (
        Param("shape", "512,1024", "shape of the input"),
        Param("axes", "1", "the axes that are reduced; negative ones count from the end; empty for all"),
        Param("keepdims", False, "the result keeps one element along each of these axes"),
        Param("dtype", reduction.dtypes[0], f"one of {', '.join(reduction.dtypes)}"),
    )

    def declare(shape: Any, axes: Any, keepdims: bool, dtype: str) -> Workload:
        extents = registry.shape("shape", shape)
        dims = tuple(sorted(registry.axes("axes", axes, len(extents)))) or tuple(range(len(extents)))
        one_of("dtype", dtype, reduction.dtypes)
        y = reduction.define(_Over(placeholder(extents, dtype, "x"), dims, bool(keepdims)))

        def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
            x = widened(inputs)["x"]
            return np.asarray(reduction.reference(x, axis=dims, dtype=x.dtype)).reshape(y.shape)

        chosen: dict[str, Value] = {
            "shape": text(extents), "axes": text(dims), "keepdims": bool(keepdims), "dtype": dtype
        }  # fmt: skip
        domains = {"x": reduction.domain} if dtypes.is_float(dtype) else {}
        return Workload(y, name, chosen, reference, domains=domains)

    declare.__doc__ = (
        f"``y[kept..] = {reduction.formula}`` over the elements ``x`` along the axes, as ONNX defines it.\n\n"
        "x: shape; y: the shape without the axes, or with one element along each of them where keepdims is set; a "
        "single value has the shape (1,). Raises ``UsageError`` for an axis that does not exist, or another dtype."
    )
    register(name, f"{reduction.formula} over some axes", params, family="reduction")(declare)


for _name, _reduction in _REDUCTIONS.items():
    _declare(_name, _reduction)
