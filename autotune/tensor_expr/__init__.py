"""Tensor expressions: what an operator computes, and nothing of how."""

from autotune.tensor_expr.expr import Axis, Expr, all_of, call, cast, select
from autotune.tensor_expr.tensor import Tensor, compute, graph, max, min, placeholder, reduce_axis, sum
from autotune.tensor_expr.workload import Workload


def sqrt(a: Expr) -> Expr:
    """Square root."""
    return call("sqrt", a)


def absolute(a: Expr) -> Expr:
    """Absolute value."""
    return call("abs", a)


def floor(a: Expr) -> Expr:
    """The largest whole number not above the value."""
    return call("floor", a)


def exp(a: Expr) -> Expr:
    """The exponential."""
    return call("exp", a)


def log(a: Expr) -> Expr:
    """The natural logarithm."""
    return call("log", a)


def tanh(a: Expr) -> Expr:
    """The hyperbolic tangent."""
    return call("tanh", a)


__all__ = [
    "Axis", "Expr", "Tensor", "Workload", "absolute", "all_of", "call", "cast", "compute", "exp", "floor",
    "graph", "log", "max", "min", "placeholder", "reduce_axis", "select", "sqrt", "sum", "tanh",
]  # fmt: skip
