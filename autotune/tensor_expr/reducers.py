"""Reducers: how values are combined two at a time, by a reduction over reduction axes or cumulatively along one axis.

A reducer has one or more components: ``argmax`` carries a value and its index through the reduction. What combines two
values is associative and commutative, so that a schedule may combine in any order; ``reducer`` takes a user's word for
it. A reduction of several components makes a compute of several components, one expression each.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from inspect import signature
from typing import Any

from autotune.errors import UsageError, unknown
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import (
    Accumulation,
    Axis,
    Binary,
    Call,
    Const,
    Expr,
    ExprLike,
    Read,
    Reduce,
    Scan,
    Var,
    as_expr,
    binary,
    cast,
    compare,
    rewrite_all,
    select,
    walk,
)

Values = tuple[Expr, ...]
Identity = Any  # a number, or a function that gives one for a dtype


@dataclass(frozen=True, slots=True, eq=False)
class Reducer:
    """How two values of known dtypes become one: ``results`` over the variables ``left`` and ``right``.

    ``identity`` combined with any value is that value. All tuples have one entry per component.
    """

    name: str
    identity: tuple[Const, ...]
    left: tuple[Var, ...]
    right: tuple[Var, ...]
    results: Values

    @property
    def dtypes(self) -> tuple[str, ...]:
        return tuple(const.dtype for const in self.identity)

    @property
    def operations(self) -> int:
        """Arithmetic operations of one combination, at least one."""
        found = [node for node in walk(self.results) if isinstance(node, Call) or _is_arithmetic(node)]
        return len(found) or 1

    def combine(self, left: Sequence[Expr], right: Sequence[Expr]) -> Values:
        """The combination of two values, component by component."""
        values: dict[Expr, Expr] = dict(zip((*self.left, *self.right), (*left, *right), strict=True))
        return rewrite_all(self.results, values.get)


def _is_arithmetic(node: Expr) -> bool:
    return isinstance(node, Binary) and node.dtype != "bool"


@dataclass(frozen=True, slots=True, eq=False)
class ReducerFamily:
    """A reducer before the dtypes are known; calling it with operands and an axis gives a reduction.

    One component: ``family(value, axis=k)`` is an expression. Several: ``family((a, b), axis=k)`` is a tuple of them,
    which a compute's function returns.
    """

    name: str
    merge: Callable[[Values, Values], Any]
    identity: tuple[Identity, ...]
    domain: str = ""  # "number" or "bool", where that is all that the operands may be

    def of(self, operand_dtypes: tuple[str, ...]) -> Reducer:
        """The reducer for operands of these dtypes; ``UsageError`` where it is not defined for them."""
        return _instance(self, operand_dtypes)

    def operands(self, given: ExprLike | Sequence[ExprLike]) -> Values:
        """The operands as expressions, one per component."""
        values = tuple(given) if isinstance(given, (tuple, list)) else (given,)
        if len(values) != len(self.identity):
            raise UsageError(
                f"{self.name} has {len(self.identity)} components, as its identity has; got {len(values)} operands"
            )
        exprs = tuple(as_expr(value) for value in values)  # type: ignore[arg-type]
        for expr in exprs:
            if self.domain and (expr.dtype == "bool") != (self.domain == "bool"):
                hint = "cast to an integer first" if expr.dtype == "bool" else "compare first"
                raise UsageError(f"{self.name} needs {self.domain}s, got {expr.dtype}; {hint}")
        if self.domain == "number":  # memory that is added to must not round every time
            exprs = tuple(cast(expr, dtypes.computed(expr.dtype)) for expr in exprs)
        return exprs

    def __call__(self, operands: ExprLike | Sequence[ExprLike], axis: Axis | Sequence[Axis]) -> Any:
        """The reduction of ``operands`` over the reduction axes; ``UsageError`` for operands that do not fit."""
        axes = tuple(axis) if isinstance(axis, Sequence) else (axis,)
        for item in axes:
            if not isinstance(item, Axis) or not item.reduce:
                raise UsageError(f"{self.name} runs over axes made by reduce_axis, got {getattr(item, 'name', item)!r}")
        values = self.operands(operands)
        if len(set(axes)) != len(axes) or not axes:
            raise UsageError(f"{self.name} takes one or more reduction axes, each once")
        made = self.of(tuple(value.dtype for value in values))
        results = tuple(Reduce(dtype, made, values, number, axes) for number, dtype in enumerate(made.dtypes))
        return results if len(results) > 1 else results[0]

    def scan(self, operands: ExprLike | Sequence[ExprLike], axis: Axis) -> Any:
        """The cumulative results of ``operands`` along one of the compute's axes; see ``cumulative``."""
        if not isinstance(axis, Axis) or axis.reduce:
            got = getattr(axis, "name", axis)
            raise UsageError(f"cumulative {self.name} runs along an axis of its own compute, got {got!r}")
        values = self.operands(operands)
        made = self.of(tuple(value.dtype for value in values))
        results = tuple(Scan(dtype, made, values, number, axis) for number, dtype in enumerate(made.dtypes))
        return results if len(results) > 1 else results[0]


@cache
def _instance(family: ReducerFamily, operand_dtypes: tuple[str, ...]) -> Reducer:
    name = family.name
    identity = []
    for given, dtype in zip(family.identity, operand_dtypes, strict=True):
        value = as_expr(given(dtype) if callable(given) else given, dtype)
        if not isinstance(value, Const) or value.dtype != dtype:
            raise UsageError(f"the identity of {name} is {given!r}; it must be a number of the operand's dtype {dtype}")
        identity.append(value)
    left, right = (
        tuple(Var(dtype, f"{side}{number}") for number, dtype in enumerate(operand_dtypes))
        for side in ("left", "right")
    )
    merged = family.merge(left, right)
    results = tuple(as_expr(item) for item in (merged if isinstance(merged, (tuple, list)) else (merged,)))
    if len(results) != len(identity):
        raise UsageError(f"combine of {name} gives {len(results)} values for {len(identity)} components")
    for number, (result, dtype) in enumerate(zip(results, operand_dtypes, strict=True)):
        if result.dtype != dtype:
            raise UsageError(
                f"combine of {name} gives {result.dtype} for component {number}, whose operand is {dtype}; cast one"
            )
    arguments = {*left, *right}
    for node in walk(results):
        if isinstance(node, (Read, Accumulation)) or (isinstance(node, Var) and node not in arguments):
            what = node.tensor.name if isinstance(node, Read) else getattr(node, "name", type(node).__name__)
            raise UsageError(f"combine of {name} uses {what!r}; it may use nothing but the values that it combines")
    return Reducer(name, tuple(identity), left, right, results)


def _single(op: str) -> Callable[[Values, Values], Expr]:
    return lambda left, right: binary(op, left[0], right[0])


def _better(op: str) -> Callable[[Values, Values], Values]:
    """The better of two (value, index) pairs, of equal ones that of the lower index; NaN is better than any number."""

    def merge(left: Values, right: Values) -> Values:
        (a, i), (b, j) = left, right
        wins, ties = compare(op, b, a), compare("eq", b, a)
        if dtypes.is_float(a.dtype):
            a_is_nan, b_is_nan = compare("ne", a, a), compare("ne", b, b)
            wins, ties = wins | (b_is_nan & ~a_is_nan), ties | (b_is_nan & a_is_nan)
        taken = wins | (ties & (j < i))
        return select(taken, b, a), select(taken, j, i)

    return merge


SUM = ReducerFamily("sum", _single("add"), (0,), "number")
BUILT_IN = {
    family.name: family
    for family in (
        SUM,
        ReducerFamily("prod", _single("mul"), (1,), "number"),
        ReducerFamily("max", _single("max"), (dtypes.lowest,)),
        ReducerFamily("min", _single("min"), (dtypes.highest,)),
        ReducerFamily("any", _single("or"), (False,), "bool"),
        ReducerFamily("all", _single("and"), (True,), "bool"),
        ReducerFamily("argmax", _better("gt"), (dtypes.lowest, dtypes.highest)),
        ReducerFamily("argmin", _better("lt"), (dtypes.highest, dtypes.highest)),
    )
}


def is_built_in(reducer: Reducer) -> bool:
    """Whether the reducer is one of ``BUILT_IN`` and known by its name, not one of a user's with the same name."""
    return reducer.name in BUILT_IN and BUILT_IN[reducer.name].of(reducer.dtypes) is reducer


def reducer(combine: Callable[..., Any], identity: Any, name: str = "reducer") -> ReducerFamily:
    """A reducer of one's own: ``combine(a, b)`` of two values, which is associative and commutative.

    ``identity`` is what changes nothing: a number, or a function from a dtype to one. A tuple of these makes a reducer
    of several components, whose ``combine`` takes two tuples and returns one. The result is called like ``sum``, with
    an operand per component; online softmax keeps a maximum and a sum ::

        def merge(a, b):
            m = max(a[0], b[0])
            return m, a[1] * exp(a[0] - m) + b[1] * exp(b[0] - m)

        softmax = reducer(merge, identity=(-1e30, 0.0), name="softmax")
        m, s = compute((rows,), lambda i: softmax((x[i, k], 1.0), axis=k), name="stats")

    What does not fit together (the number of components, dtypes) is refused with ``UsageError`` when it is called.
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise UsageError(f"a reducer is named {name!r}; names are identifiers")
    if not callable(combine) or not _takes_two(combine):
        raise UsageError(f"combine of {name} is {combine!r}; it must be a function of two values")
    if isinstance(identity, (tuple, list)):
        if not identity:
            raise UsageError(f"the identity of {name} is empty; it has one entry per component")
        return ReducerFamily(name, combine, tuple(identity))
    return ReducerFamily(name, lambda left, right: combine(left[0], right[0]), (identity,))


def _takes_two(function: Callable[..., Any]) -> bool:
    """Whether a function can be called with two arguments, as far as it can be asked."""
    try:
        signature(function).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # a function of C that does not say
        return True
    return True


def cumulative(by: str | ReducerFamily, operands: ExprLike | Sequence[ExprLike], axis: Axis) -> Any:
    """What a reducer makes of all values up to and including this one, along an axis of the compute (a scan)::

        y = compute((rows, n), lambda i, t: cumulative("sum", x[i, t], axis=t), name="y")
        y[i, t] = x[i, 0] + x[i, 1] + ... + x[i, t]

    ``by`` is a reducer, or the name of one: sum, prod, max, min, any, all, argmax, argmin. The values are combined in
    their order, so that ``combine`` need not be commutative. A reducer of several components takes an operand, and
    gives an expression, for each; cumulative argmax takes the value and its index, ``(x[i, t], t)``.

    Where the value itself is not to count (exclusive), shift the operand; for the other direction (reverse), mirror the
    index, and read the result at the mirrored index as well ::

        cumulative("sum", select(t > 0, x[i, t - 1], 0), axis=t)
        cumulative("sum", x[i, n - 1 - t], axis=t)

    Raises ``UsageError`` for an unknown reducer, an axis that is not the compute's own, or operands that do not fit.
    """
    if isinstance(by, str) and by not in BUILT_IN:
        raise unknown("reducer", by, BUILT_IN)
    family = BUILT_IN[by] if isinstance(by, str) else by
    if not isinstance(family, ReducerFamily):
        raise UsageError(f"cumulative takes a reducer or the name of one ({', '.join(BUILT_IN)}), got {by!r}")
    return family.scan(operands, axis)


def sum(body: ExprLike, axis: Axis | Sequence[Axis]) -> Expr:
    """The sum of ``body`` over the reduction axes; of float16 and bfloat16 in float32."""
    result: Expr = SUM(body, axis)
    return result


def prod(body: ExprLike, axis: Axis | Sequence[Axis]) -> Expr:
    """The product of ``body`` over the reduction axes; of float16 and bfloat16 in float32."""
    result: Expr = BUILT_IN["prod"](body, axis)
    return result


def any(body: ExprLike, axis: Axis | Sequence[Axis]) -> Expr:
    """Whether ``body``, a bool, holds anywhere over the reduction axes."""
    result: Expr = BUILT_IN["any"](body, axis)
    return result


def all(body: ExprLike, axis: Axis | Sequence[Axis]) -> Expr:
    """Whether ``body``, a bool, holds everywhere over the reduction axes."""
    result: Expr = BUILT_IN["all"](body, axis)
    return result


def max(a: ExprLike, b: ExprLike | None = None, *, axis: Axis | Sequence[Axis] | None = None) -> Expr:
    """``max(a, b)`` of two values, or ``max(body, axis=...)`` over reduction axes."""
    return _extremum("max", a, b, axis)


def min(a: ExprLike, b: ExprLike | None = None, *, axis: Axis | Sequence[Axis] | None = None) -> Expr:
    """``min(a, b)`` of two values, or ``min(body, axis=...)`` over reduction axes."""
    return _extremum("min", a, b, axis)


def _extremum(kind: str, a: ExprLike, b: ExprLike | None, axis: Axis | Sequence[Axis] | None) -> Expr:
    if (b is None) == (axis is None):
        raise UsageError(f"{kind} takes two values, or one value and axis=")
    result: Expr = BUILT_IN[kind](a, axis) if axis is not None else binary(kind, a, b)  # type: ignore[arg-type]
    return result


def argmax(body: ExprLike, axis: Axis | Sequence[Axis]) -> tuple[Expr, Expr]:
    """The largest value over the reduction axes and its index (int64), for a compute of two components ::

        value, index = compute((rows,), lambda i: argmax(x[i, k], axis=k), name="best")

    As ``numpy.argmax``: of equal values the first counts, the first NaN is larger than any number, and over several
    axes the index is that in row-major order.
    """
    return _located("argmax", body, axis)


def argmin(body: ExprLike, axis: Axis | Sequence[Axis]) -> tuple[Expr, Expr]:
    """The smallest value over the reduction axes and its index (int64); otherwise as ``argmax``."""
    return _located("argmin", body, axis)


def _located(kind: str, body: ExprLike, axis: Axis | Sequence[Axis]) -> tuple[Expr, Expr]:
    index: Expr | None = None
    for item in axis if isinstance(axis, Sequence) else (axis,):
        if isinstance(item, Axis):  # what is none, the reducer refuses
            index = item if index is None else index * item.extent + item
    value, place = BUILT_IN[kind]((body, 0 if index is None else index), axis)
    return value, place
