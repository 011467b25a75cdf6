"""Functions of scalar expressions: the intrinsics, and what is composed of them.

Errors are in units in the last place (ulp) of a result that is a normal number; ``tests/test_intrinsics.py`` measures
them. float16 and bfloat16 are computed in float32 and rounded when stored. Infinities, NaN and signed zeros are
NumPy's, unless a function says otherwise.
"""

from __future__ import annotations

from math import log as _log

from autotune.errors import UsageError
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import Expr, ExprLike, as_expr, binary, call, const, select

_INFINITY = float("inf")


def sqrt(a: ExprLike) -> Expr:
    """Square root, correctly rounded."""
    return call("sqrt", a)


def absolute(a: ExprLike) -> Expr:
    """Absolute value; the smallest signed integer stays what it is."""
    return call("abs", a)


def floor(a: ExprLike) -> Expr:
    """The largest whole number not above the value."""
    return call("floor", a)


def ceil(a: ExprLike) -> Expr:
    """The smallest whole number not below the value."""
    return call("ceil", a)


def trunc(a: ExprLike) -> Expr:
    """The value without its fraction."""
    return call("trunc", a)


def round(a: ExprLike) -> Expr:
    """The nearest whole number; halves go to the even one."""
    return call("round", a)


def exp(a: ExprLike) -> Expr:
    """The exponential, within 2 ulp."""
    return call("exp", a)


def exp2(a: ExprLike) -> Expr:
    """Two to the power of the value, within 2 ulp; exact for whole numbers."""
    return call("exp2", a)


def expm1(a: ExprLike) -> Expr:
    """``exp(a) - 1`` without loss near 0, within 8 ulp."""
    a = as_expr(a)
    half = tanh(a * 0.5)
    return select(absolute(a) < 1, 2 * half / (1 - half), exp(a) - 1)


def log(a: ExprLike) -> Expr:
    """The natural logarithm, within 2 ulp."""
    return call("log", a)


def log2(a: ExprLike) -> Expr:
    """The logarithm to base 2, within 4 ulp."""
    return log(a) * (1 / _log(2))


def log1p(a: ExprLike) -> Expr:
    """``log(1 + a)`` without loss near 0, within 8 ulp.

    Source: W. Kahan's correction, in D. Goldberg, What every computer scientist should know about floating-point
    arithmetic (1991), theorem 4.
    """
    a = as_expr(a)
    total = 1 + a
    exact = (total == 1) | (total == _INFINITY)
    return select(exact, a, log(total) * (a / (total - 1)))


def tanh(a: ExprLike) -> Expr:
    """The hyperbolic tangent, within 3 ulp."""
    return call("tanh", a)


def sigmoid(a: ExprLike) -> Expr:
    """``1 / (1 + exp(-a))``, within 4 ulp where exp(-a) is finite; 0 below."""
    return 1 / (1 + exp(-as_expr(a)))


def erf(a: ExprLike) -> Expr:
    """The error function, within 3 ulp."""
    return call("erf", a)


def pow(a: ExprLike, b: ExprLike) -> Expr:
    """``a ** b``, within 1 ulp (float64: 4 ulp); 1 for ``b = 0``, NaN for fractional powers of numbers below 0."""
    if isinstance(b, (int, float)) and b == 2:
        a = as_expr(a)
        return a * a
    return call("pow", a, b)


def fmod(a: ExprLike, b: ExprLike) -> Expr:
    """The remainder of ``a / b`` rounded towards zero: it has the sign of ``a``, where ``a % b`` has that of ``b``.

    Exact; NaN for floats where ``b = 0`` or ``a / b`` is 2**150 or more, 0 for an integer ``b = 0``.
    """
    left = binary("mod", a, b)
    if dtypes.is_float(left.dtype):
        return call("fmod", a, b)
    a, b = left.children
    differ = (left != 0) & ((a < 0) != (b < 0))
    return select(differ, left - b, left)


def sin(a: ExprLike) -> Expr:
    """The sine of an angle in radians, within 2 ulp for ``|a|`` up to 2**50; NaN beyond."""
    return call("sin", a)


def cos(a: ExprLike) -> Expr:
    """The cosine of an angle in radians, within 2 ulp for ``|a|`` up to 2**50; NaN beyond."""
    return call("cos", a)


def tan(a: ExprLike) -> Expr:
    """The tangent of an angle in radians, within 4 ulp for ``|a|`` up to 2**50; NaN beyond."""
    return sin(a) / cos(a)


def asin(a: ExprLike) -> Expr:
    """The arc sine in radians, within 4 ulp; NaN beyond [-1, 1]."""
    a = as_expr(a)
    return atan(a / sqrt((1 - a) * (1 + a)))


def acos(a: ExprLike) -> Expr:
    """The arc cosine in radians, within 4 ulp; NaN beyond [-1, 1]."""
    a = as_expr(a)
    return 2 * atan(sqrt((1 - a) / (1 + a)))


def atan(a: ExprLike) -> Expr:
    """The arc tangent in radians, within 3 ulp."""
    return call("atan", a)


def sinh(a: ExprLike) -> Expr:
    """The hyperbolic sine, within 8 ulp."""
    return tanh(a) * cosh(a)


def cosh(a: ExprLike) -> Expr:
    """The hyperbolic cosine, within 6 ulp."""
    half = exp(absolute(a) * 0.5)
    return 0.5 * half * half + 0.5 / half / half


def asinh(a: ExprLike) -> Expr:
    """The inverse of sinh, within 8 ulp."""
    a = as_expr(a)
    magnitude = absolute(a)
    square = magnitude * magnitude
    near = log1p(magnitude + square / (1 + sqrt(square + 1)))
    return sign(a) * select(magnitude < 1e9, near, log(magnitude) + _log(2))


def acosh(a: ExprLike) -> Expr:
    """The inverse of cosh, within 8 ulp; NaN below 1."""
    a = as_expr(a)
    above = a - 1
    return select(a < 1e9, log1p(above + sqrt(above) * sqrt(a + 1)), log(a) + _log(2))


def atanh(a: ExprLike) -> Expr:
    """The inverse of tanh, within 8 ulp; NaN beyond [-1, 1]."""
    a = as_expr(a)
    magnitude = absolute(a)
    return sign(a) * 0.5 * log1p(2 * magnitude / (1 - magnitude))


def rsqrt(a: ExprLike) -> Expr:
    """``1 / sqrt(a)``, within 2 ulp."""
    return 1 / sqrt(a)


def reciprocal(a: ExprLike) -> Expr:
    """``1 / a``, correctly rounded."""
    return binary("div", 1, a)


def sign(a: ExprLike) -> Expr:
    """-1, 0 or 1; NaN and zeros stay what they are."""
    a = as_expr(a)
    if a.dtype in dtypes.UNSIGNED:
        return select(a > 0, const(1, a.dtype), a)
    return select(a > 0, const(1, a.dtype), select(a < 0, const(-1, a.dtype), a))


def isnan(a: ExprLike) -> Expr:
    """Whether the value is not a number."""
    a = _float("isnan", a)
    return a != a


def isinf(a: ExprLike) -> Expr:
    """Whether the value is infinite, of either sign."""
    return absolute(_float("isinf", a)) == _INFINITY


def isfinite(a: ExprLike) -> Expr:
    """Whether the value is neither infinite nor NaN."""
    return absolute(_float("isfinite", a)) < _INFINITY


def _float(name: str, a: ExprLike) -> Expr:
    a = as_expr(a)
    if not dtypes.is_float(a.dtype):
        raise UsageError(f"{name} needs a floating point operand, got {a.dtype}")
    return a
