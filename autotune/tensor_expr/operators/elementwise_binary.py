"""Functions of two elements, each an operator of its own, as ONNX defines them: a table and one declaration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from autotune.tensor_expr import dtypes
from autotune.tensor_expr import functions as fn
from autotune.tensor_expr.expr import Expr, binary, compare, select
from autotune.tensor_expr.operators import registry
from autotune.tensor_expr.operators.registry import Param, Value, one_of, register, text
from autotune.tensor_expr.operators.shared.element_types import widened
from autotune.tensor_expr.operators.shared.indices import aligned, broadcast
from autotune.tensor_expr.tensor import compute, placeholder
from autotune.tensor_expr.workload import Workload

_NUMBERS = (*dtypes.FLOATS, *dtypes.INTEGERS)
_ANY = (-8.0, 8.0)
_POSITIVE = (1.0, 8.0)


@dataclass(frozen=True, slots=True)
class _Function:
    """A function of ``a`` and ``b``: how people write it, as an expression, and in NumPy.

    The first of ``dtypes`` is the default; both operands have one dtype, which is the result's where ``result`` does
    not say otherwise. ``domains`` are where the operands are drawn from.
    """

    formula: str
    expression: Callable[..., Expr]
    reference: Callable[..., Any]
    params: tuple[Param, ...] = ()
    dtypes: tuple[str, ...] = _NUMBERS
    domains: tuple[tuple[float, float], tuple[float, float]] = (_ANY, _ANY)
    result: str | None = None


def _quotient(a: Expr, b: Expr) -> Expr:
    """``a / b``; for integers rounded towards zero, where ``//`` rounds down."""
    if dtypes.is_float(a.dtype):
        return a / b
    down = a // b
    return select((a % b != 0) & ((a < 0) != (b < 0)), down + 1, down)


def _quotient_array(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a / b if a.dtype.kind == "f" else np.asarray(np.abs(a) // np.abs(b) * np.sign(a) * np.sign(b))


def _arithmetic(op: str) -> Callable[[Expr, Expr], Expr]:
    return lambda a, b: binary(op, a, b)


def _comparison(formula: str, op: str, reference: Callable[..., Any], known: tuple[str, ...] = _NUMBERS) -> _Function:
    return _Function(formula, lambda a, b: compare(op, a, b), reference, dtypes=known, result="bool")


def _logical(formula: str, op: str, reference: Callable[..., Any]) -> _Function:
    return _Function(formula, _arithmetic(op), reference, dtypes=("bool",), domains=((0, 2), (0, 2)))


def _bitwise(formula: str, op: str, reference: Callable[..., Any]) -> _Function:
    return _Function(formula, _arithmetic(op), reference, dtypes=dtypes.INTEGERS)


_FUNCTIONS: Mapping[str, _Function] = {
    "add": _Function("a + b", _arithmetic("add"), np.add),
    "sub": _Function("a - b", _arithmetic("sub"), np.subtract),
    "mul": _Function("a * b", _arithmetic("mul"), np.multiply),
    "div": _Function("a / b, of integers rounded towards 0", _quotient, _quotient_array, domains=(_ANY, _POSITIVE)),
    "pow": _Function("a ** b", fn.pow, np.power, dtypes=dtypes.FLOATS, domains=((0.25, 4.0), (-3.0, 3.0))),
    "min": _Function("the smaller of a and b", _arithmetic("min"), np.minimum),
    "max": _Function("the larger of a and b", _arithmetic("max"), np.maximum),
    "mod": _Function(
        "the remainder of a / b", lambda a, b, fmod: fn.fmod(a, b) if fmod else a % b,
        lambda a, b, fmod: np.fmod(a, b) if fmod else np.mod(a, b),
        (Param("fmod", False, "with the sign of a, as C has it, instead of the sign of b"),),
        dtypes=(*dtypes.INTEGERS[2:], *dtypes.INTEGERS[:2], *dtypes.FLOATS), domains=(_ANY, _POSITIVE),
    ),
    "prelu": _Function(
        "a if a >= 0 else a * b", lambda a, b: select(a >= 0, a, a * b), lambda a, b: np.where(a >= 0, a, a * b),
    ),
    "equal": _comparison("whether a = b", "eq", np.equal),
    "greater": _comparison("whether a > b", "gt", np.greater),
    "greater_equal": _comparison("whether a >= b", "ge", np.greater_equal),
    "less": _comparison("whether a < b", "lt", np.less),
    "less_equal": _comparison("whether a <= b", "le", np.less_equal),
    "and": _logical("whether a and b both hold", "and", np.logical_and),
    "or": _logical("whether a or b holds", "or", np.logical_or),
    "xor": _logical("whether one of a and b holds", "xor", np.logical_xor),
    "bitwise_and": _bitwise("the bits that a and b have both", "and", np.bitwise_and),
    "bitwise_or": _bitwise("the bits that a or b has", "or", np.bitwise_or),
    "bitwise_xor": _bitwise("the bits that one of a and b has", "xor", np.bitwise_xor),
    "bit_shift": _Function(
        "the bits of a moved by b places to the left",
        lambda a, b, right: binary("shr" if right else "shl", a, b),
        lambda a, b, right: np.right_shift(a, b) if right else np.left_shift(a, b),
        (Param("right", False, "to the right instead"),), dtypes=("uint8",), domains=((0, 256), (0, 8)),
    ),
}  # fmt: skip


def _declare(name: str, function: _Function) -> None:
    params = (
        Param("a", "1,64,56,56", "shape of a"),
        Param("b", "64,1,1", "shape of b; axes of one element are repeated, missing ones are in front"),
        *function.params,
        Param("dtype", function.dtypes[0], f"one of {', '.join(function.dtypes)}"),
    )

    def declare(a: Any, b: Any, dtype: str, **given: Any) -> Workload:
        left, right = registry.shape("a", a), registry.shape("b", b)
        result = broadcast(left, right)
        one_of("dtype", dtype, function.dtypes)
        values = {n: bool(v) for n, v in given.items()}
        x, z = placeholder(left, dtype, "a"), placeholder(right, dtype, "b")
        y = compute(
            result, lambda *i: function.expression(x[aligned(left, i)], z[aligned(right, i)], **values), name="y"
        )

        def reference(inputs: Mapping[str, np.ndarray]) -> np.ndarray:
            wide = widened(inputs)
            return np.asarray(function.reference(wide["a"], wide["b"], **values))

        chosen: dict[str, Value] = {"a": text(left), "b": text(right), **values, "dtype": dtype}
        domains = dict(zip("ab", function.domains, strict=True))
        return Workload(y, name, chosen, reference, prod(result), domains)

    declare.__doc__ = (
        f"``y[i..] = {function.formula}`` of ``a = a[i..]`` and ``b = b[i..]``, broadcast by NumPy's rules, as ONNX "
        "defines it; it counts as one operation.\n\n"
        f"a, b: their shapes, of one dtype; y: {f'{function.result}, ' if function.result else ''}"
        "of the shape that both broadcast to. Raises ``UsageError`` where they do not, or for another dtype."
    )
    register(name, f"{function.formula}, element by element", params, family="element-wise")(declare)


for _name, _function in _FUNCTIONS.items():
    _declare(_name, _function)
