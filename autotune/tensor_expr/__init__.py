"""Tensor expressions: what an operator computes, and nothing of how."""

from autotune.tensor_expr.borders import if_in_bounds, padded
from autotune.tensor_expr.expr import Axis, Expr, all_of, call, cast, saturating_cast, select
from autotune.tensor_expr.functions import (
    absolute,
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atanh,
    ceil,
    cos,
    cosh,
    erf,
    exp,
    exp2,
    expm1,
    floor,
    fmod,
    isfinite,
    isinf,
    isnan,
    log,
    log1p,
    log2,
    pow,
    reciprocal,
    round,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sinh,
    sqrt,
    tan,
    tanh,
    trunc,
)
from autotune.tensor_expr.reducers import all, any, argmax, argmin, cumulative, prod, reducer
from autotune.tensor_expr.tensor import Component, Tensor, compute, graph, max, min, placeholder, reduce_axis, sum
from autotune.tensor_expr.workload import Workload

__all__ = [
    "Axis", "Component", "Expr", "Tensor", "Workload", "absolute", "acos", "acosh", "all", "all_of", "any", "argmax",
    "argmin", "asin", "asinh", "atan", "atanh", "call", "cast", "ceil", "compute", "cos", "cosh", "cumulative", "erf",
    "exp", "exp2", "expm1", "floor", "fmod", "graph", "if_in_bounds", "isfinite", "isinf", "isnan", "log", "log1p",
    "log2", "max", "min", "padded", "placeholder", "pow", "prod", "reciprocal", "reduce_axis", "reducer", "round",
    "rsqrt", "saturating_cast", "select", "sigmoid", "sign", "sin", "sinh", "sqrt", "sum", "tan", "tanh", "trunc",
]  # fmt: skip
