"""Functions of one element, each an operator of its own, as ONNX defines them: a table and one declaration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import erf, pi, prod, sqrt
from typing import Any

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr import dtypes
from autotune.tensor_expr import functions as fn
from autotune.tensor_expr.expr import Expr, all_of, binary, const, select
from autotune.tensor_expr.operators import registry
from autotune.tensor_expr.operators.registry import Param, Value, number, one_of, register, text
from autotune.tensor_expr.operators.shared.element_types import widened
from autotune.tensor_expr.tensor import compute, placeholder
from autotune.tensor_expr.workload import Workload

_SIGNED = (*dtypes.FLOATS, *(dtype for dtype in dtypes.INTEGERS if dtype not in dtypes.UNSIGNED))
_NUMBERS = (*dtypes.FLOATS, *dtypes.INTEGERS)
_SELU = (1.67326319217681884765625, 1.05070102214813232421875)  # alpha and gamma of Klambauer et al. (2017)
_erf = np.vectorize(erf, [np.float64])


@dataclass(frozen=True, slots=True)
class _Function:
    """A function of ``x`` and parameters: how people write it, as an expression, and in NumPy.

    The first of ``dtypes`` is the default. ``domain`` is where its operand is drawn from; ``result`` its dtype where
    that is not the operand's.
    """

    formula: str
    expression: Callable[..., Expr]
    reference: Callable[..., Any]
    params: tuple[Param, ...] = ()
    dtypes: tuple[str, ...] = dtypes.FLOATS
    domain: tuple[float, float] = (-4.0, 4.0)
    result: str | None = None


def _least(x: Expr, low: float) -> Expr:
    return binary("max", x, low)


def _clipped(x: Expr, low: float, high: float) -> Expr:
    return binary("min", binary("max", x, low), high)


def _softplus(x: Expr) -> Expr:
    return _least(x, 0.0) + fn.log1p(fn.exp(-fn.absolute(x)))


def _elu(x: Expr, alpha: float) -> Expr:
    return select(x > 0, x, fn.expm1(x) * alpha)


def _celu(x: Expr, alpha: float) -> Expr:
    if alpha == 0:
        raise UsageError("alpha is 0; celu divides by it")
    return _least(x, 0.0) + binary("min", fn.expm1(x * (1 / alpha)) * alpha, 0.0)


def _gelu(x: Expr, approximate: bool) -> Expr:
    if approximate:
        return x * 0.5 * (1 + fn.tanh((x + x * x * x * 0.044715) * sqrt(2 / pi)))
    return x * 0.5 * (1 + fn.erf(x * sqrt(0.5)))


def _gelu_array(x: np.ndarray, approximate: bool) -> np.ndarray:
    inner = np.tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)) if approximate else _erf(x / sqrt(2))
    return np.asarray(0.5 * x * (1 + inner))


def _infinite(x: Expr, ignore_negative: bool, ignore_positive: bool) -> Expr:
    return fn.isinf(x) & all_of(*[x > 0] * ignore_negative, *[x < 0] * ignore_positive)


_FUNCTIONS: Mapping[str, _Function] = {
    # arithmetic and rounding
    "abs": _Function("|x|", fn.absolute, np.abs, dtypes=_SIGNED),
    "neg": _Function("-x", lambda x: -x, np.negative, dtypes=_SIGNED),
    "sign": _Function("-1, 0 or 1 as x is below, at or above 0", fn.sign, np.sign, dtypes=_NUMBERS),
    "reciprocal": _Function("1 / x", fn.reciprocal, lambda x: 1 / x, domain=(0.25, 4.0)),
    "floor": _Function("x rounded down", fn.floor, np.floor),
    "ceil": _Function("x rounded up", fn.ceil, np.ceil),
    "round": _Function("x rounded to the nearest whole number, halves to the even one", fn.round, np.rint),
    "identity": _Function("x", lambda x: x, lambda x: x, dtypes=dtypes.DTYPES),
    # powers, exponentials and the error function
    "sqrt": _Function("the square root of x", fn.sqrt, np.sqrt, domain=(0.0, 8.0)),
    "exp": _Function("e ** x", fn.exp, np.exp),
    "log": _Function("the natural logarithm of x", fn.log, np.log, domain=(0.01, 8.0)),
    "erf": _Function("2 / sqrt(pi) * the integral of exp(-t**2) from 0 to x", fn.erf, _erf),
    # trigonometric and hyperbolic functions
    "sin": _Function("the sine of x radians", fn.sin, np.sin),
    "cos": _Function("the cosine of x radians", fn.cos, np.cos),
    "tan": _Function("the tangent of x radians", fn.tan, np.tan, domain=(-1.5, 1.5)),
    "asin": _Function("the arc sine of x in radians", fn.asin, np.arcsin, domain=(-1.0, 1.0)),
    "acos": _Function("the arc cosine of x in radians", fn.acos, np.arccos, domain=(-1.0, 1.0)),
    "atan": _Function("the arc tangent of x in radians", fn.atan, np.arctan),
    "sinh": _Function("(e ** x - e ** -x) / 2", fn.sinh, np.sinh),
    "cosh": _Function("(e ** x + e ** -x) / 2", fn.cosh, np.cosh),
    "tanh": _Function("sinh(x) / cosh(x)", fn.tanh, np.tanh),
    "asinh": _Function("the inverse of sinh at x", fn.asinh, np.arcsinh),
    "acosh": _Function("the inverse of cosh at x", fn.acosh, np.arccosh, domain=(1.0, 8.0)),
    "atanh": _Function("the inverse of tanh at x", fn.atanh, np.arctanh, domain=(-0.99, 0.99)),
    # activations
    "sigmoid": _Function("1 / (1 + e ** -x)", fn.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    "relu": _Function("max(x, 0)", lambda x: _least(x, 0), lambda x: np.maximum(x, 0), dtypes=_SIGNED),
    "relu6": _Function(
        "min(max(x, 0), 6)", lambda x: _clipped(x, 0.0, 6.0), lambda x: np.clip(x, 0, 6), domain=(-4.0, 8.0)
    ),
    "clip": _Function(
        "min(max(x, low), high)", _clipped, lambda x, low, high: np.minimum(np.maximum(x, low), high),
        (Param("low", -1.0, "the least value"), Param("high", 1.0, "the largest value; it wins where low is above it")),
    ),
    "leaky_relu": _Function(
        "x if x >= 0 else alpha * x", lambda x, alpha: select(x >= 0, x, x * alpha),
        lambda x, alpha: np.where(x >= 0, x, alpha * x), (Param("alpha", 0.01, "slope below 0"),),
    ),
    "thresholded_relu": _Function(
        "x if x > alpha else 0", lambda x, alpha: select(x > alpha, x, 0), lambda x, alpha: np.where(x > alpha, x, 0),
        (Param("alpha", 1.0, "the threshold"),),
    ),
    "elu": _Function(
        "x if x > 0 else alpha * (e ** x - 1)", _elu,
        lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x)), (Param("alpha", 1.0, "minus the limit below 0"),),
    ),
    "selu": _Function(
        "gamma * (x if x > 0 else alpha * (e ** x - 1))", lambda x, alpha, gamma: _elu(x, alpha) * gamma,
        lambda x, alpha, gamma: gamma * np.where(x > 0, x, alpha * np.expm1(x)),
        (Param("alpha", _SELU[0], "minus the limit below 0, unscaled"), Param("gamma", _SELU[1], "the scale")),
    ),
    "celu": _Function(
        "max(x, 0) + min(0, alpha * (e ** (x / alpha) - 1))",
        _celu,
        lambda x, alpha: np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(x / alpha)),
        (Param("alpha", 1.0, "minus the limit below 0; not 0"),),
    ),
    "gelu": _Function(
        "x / 2 * (1 + erf(x / sqrt(2)))", _gelu, _gelu_array,
        (Param("approximate", False, "by tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)) instead of erf"),),
    ),
    "hard_sigmoid": _Function(
        "max(0, min(1, alpha * x + beta))", lambda x, alpha, beta: _clipped(x * alpha + beta, 0.0, 1.0),
        lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
        (Param("alpha", 0.2, "the slope"), Param("beta", 0.5, "the value at 0")),
    ),
    "hard_swish": _Function(
        "x * max(0, min(1, x / 6 + 1 / 2))", lambda x: x * _clipped(x * (1 / 6) + 0.5, 0.0, 1.0),
        lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    ),
    "silu": _Function("x / (1 + e ** -x)", lambda x: x * fn.sigmoid(x), lambda x: x / (1 + np.exp(-x))),
    "swish": _Function(
        "x / (1 + e ** (-alpha * x))", lambda x, alpha: x * fn.sigmoid(x * alpha),
        lambda x, alpha: x / (1 + np.exp(-alpha * x)), (Param("alpha", 1.0, "the slope inside"),),
    ),
    "softplus": _Function("log(1 + e ** x)", _softplus, lambda x: np.logaddexp(0, x)),
    "softsign": _Function("x / (1 + |x|)", lambda x: x / (1 + fn.absolute(x)), lambda x: x / (1 + np.abs(x))),
    "mish": _Function(
        "x * tanh(log(1 + e ** x))", lambda x: x * fn.tanh(_softplus(x)), lambda x: x * np.tanh(np.logaddexp(0, x))
    ),
    "shrink": _Function(
        "x + bias if x < -lambd, x - bias if x > lambd, else 0",
        lambda x, lambd, bias: select(x < -lambd, x + bias, select(x > lambd, x - bias, 0)),
        lambda x, lambd, bias: np.where(x < -lambd, x + bias, np.where(x > lambd, x - bias, 0)),
        (Param("lambd", 0.5, "what is not above it vanishes"), Param("bias", 0.0, "how far the rest moves to 0")),
    ),
    # logic
    "not": _Function("whether x is false", lambda x: ~x, np.logical_not, dtypes=("bool",), domain=(0, 2)),
    "bitwise_not": _Function(
        "x with every bit inverted", lambda x: x ^ const(-1 if x.dtype != "uint8" else 255, x.dtype), np.invert,
        dtypes=dtypes.INTEGERS,
    ),
    "isnan": _Function("whether x is not a number", fn.isnan, np.isnan, result="bool"),
    "isinf": _Function(
        "whether x is infinite", _infinite,
        lambda x, ignore_negative, ignore_positive: (
            (np.isneginf(x) & (not ignore_negative)) | (np.isposinf(x) & (not ignore_positive))
        ),
        (
            Param("ignore_negative", False, "minus infinity does not count"),
            Param("ignore_positive", False, "plus infinity does not count"),
        ),
        result="bool",
    ),
}  # fmt: skip


def _declare(name: str, function: _Function) -> None:
    params = (
        Param("shape", "1,64,56,56", "shape of the input"),
        *function.params,
        Param("dtype", function.dtypes[0], f"one of {', '.join(function.dtypes)}"),
    )

    def declare(shape: Any, dtype: str, **given: Any) -> Workload:
        extents = registry.shape("shape", shape)
        one_of("dtype", dtype, function.dtypes)
        values = {n: bool(v) if isinstance(v, bool) else number(n, v) for n, v in given.items()}
        x = placeholder(extents, dtype, "x")
        y = compute(extents, lambda *i: function.expression(x[i], **values), name="y")

        def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
            return np.asarray(function.reference(widened(inputs)["x"], **values))

        chosen: dict[str, Value] = {"shape": text(extents), **values, "dtype": dtype}
        return Workload(y, name, chosen, reference, prod(extents), {"x": function.domain})

    declare.__doc__ = (
        f"``y[i..] = {function.formula}`` of ``x = x[i..]``, as ONNX defines it; it counts as one operation.\n\n"
        f"x: shape; y: shape{f', {function.result}' if function.result else ''}. "
        "Raises ``UsageError`` for another dtype, or a parameter that is no finite number."
    )
    register(name, f"{function.formula}, element by element", params, family="element-wise")(declare)


for _name, _function in _FUNCTIONS.items():
    _declare(_name, _function)
