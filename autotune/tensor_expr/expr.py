"""Scalar expressions: all nodes of one IR, what builds them, and how they are walked and rewritten.

An expression is an immutable DAG of the nodes below. ``+ - * / // % **``, ``& | ^ ~ << >>`` and comparisons build
nodes, with Python numbers taking the dtype of the other operand; ``//`` and ``%`` round towards minus infinity as in
Python. ``==`` builds a node
too: structural equality is ``autotune.tensor_expr.serialize``'s business, and hashing is by identity.

================  ====================================================================================
node              value
================  ====================================================================================
Const             a number
Var               a variable: a loop's counter, or an axis of a tensor expression (``Axis``)
Binary            ``add sub mul div floordiv mod min max and or xor shl shr`` of two expressions of one dtype
Compare           ``lt le gt ge eq ne``, a bool
Not               logical negation
Select            ``a`` where the condition holds, else ``b``; the operand not chosen is not evaluated
Cast              conversion to another dtype, as ``dtypes`` defines it
Call              a math intrinsic (``INTRINSICS``)
Read              an element of a tensor, or of one of its components (before lowering)
Load              an element of a buffer (after lowering)
Reduce            one component of a reduction of operands over reduction axes; only as the root of a compute's body
Scan              one component of what a reducer makes of operands up to here along an axis; likewise only a root
================  ====================================================================================

What NumPy leaves to a warning or to C has one meaning here, in NumPy's evaluation and in generated code: integers wrap
around; an integer divided by 0 gives 0, and so does its remainder; a shift by the width or more, or by a negative
amount, shifts every bit out (``>>`` of a negative number leaves -1); floating point follows IEEE 754.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from autotune.errors import UsageError
from autotune.tensor_expr import dtypes

if TYPE_CHECKING:
    from autotune.tensor_expr.reducers import Reducer
    from autotune.tensor_expr.tensor import Tensor

ExprLike = Union["Expr", int, float, bool]

ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide,
    "floordiv": np.floor_divide, "mod": np.mod, "min": np.minimum, "max": np.maximum,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "shl": np.left_shift, "shr": np.right_shift,
}  # fmt: skip
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "eq": np.equal, "ne": np.not_equal,
}  # fmt: skip
INTRINSICS: dict[str, Callable[..., Any]] = {
    "sqrt": np.sqrt, "abs": np.abs, "floor": np.floor, "ceil": np.ceil, "round": np.rint, "trunc": np.trunc,
    "exp": np.exp, "exp2": np.exp2, "log": np.log, "tanh": np.tanh, "sin": np.sin, "cos": np.cos, "atan": np.arctan,
    "erf": np.vectorize(math.erf, [np.float64]), "pow": np.power, "fmod": np.fmod,
}  # fmt: skip
OPERANDS = {"pow": 2, "fmod": 2}  # of the intrinsics that take more than one
COMMUTATIVE = frozenset({"add", "mul", "min", "max", "and", "or", "xor"})
BITWISE = ("and", "or", "xor")
SHIFTS = ("shl", "shr")


@dataclass(frozen=True, slots=True, eq=False)
class Expr:
    """The base of all nodes; ``dtype`` is the value's type."""

    dtype: str

    @property
    def children(self) -> tuple[Expr, ...]:
        """The operands, in order."""
        return ()

    def with_children(self, children: Sequence[Expr]) -> Expr:
        """This node over other operands."""
        return self

    def __add__(self, other: ExprLike) -> Expr:
        return binary("add", self, other)

    def __radd__(self, other: ExprLike) -> Expr:
        return binary("add", other, self)

    def __sub__(self, other: ExprLike) -> Expr:
        return binary("sub", self, other)

    def __rsub__(self, other: ExprLike) -> Expr:
        return binary("sub", other, self)

    def __mul__(self, other: ExprLike) -> Expr:
        return binary("mul", self, other)

    def __rmul__(self, other: ExprLike) -> Expr:
        return binary("mul", other, self)

    def __truediv__(self, other: ExprLike) -> Expr:
        return binary("div", self, other)

    def __rtruediv__(self, other: ExprLike) -> Expr:
        return binary("div", other, self)

    def __floordiv__(self, other: ExprLike) -> Expr:
        return binary("floordiv", self, other)

    def __rfloordiv__(self, other: ExprLike) -> Expr:
        return binary("floordiv", other, self)

    def __mod__(self, other: ExprLike) -> Expr:
        return binary("mod", self, other)

    def __neg__(self) -> Expr:
        return binary("sub", 0, self)

    def __abs__(self) -> Expr:
        return call("abs", self)

    def __lt__(self, other: ExprLike) -> Expr:
        return compare("lt", self, other)

    def __le__(self, other: ExprLike) -> Expr:
        return compare("le", self, other)

    def __gt__(self, other: ExprLike) -> Expr:
        return compare("gt", self, other)

    def __ge__(self, other: ExprLike) -> Expr:
        return compare("ge", self, other)

    def __eq__(self, other: object) -> Expr:  # type: ignore[override]
        return compare("eq", self, other)  # type: ignore[arg-type]

    def __ne__(self, other: object) -> Expr:  # type: ignore[override]
        return compare("ne", self, other)  # type: ignore[arg-type]

    def __and__(self, other: ExprLike) -> Expr:
        return binary("and", self, other)

    def __or__(self, other: ExprLike) -> Expr:
        return binary("or", self, other)

    def __xor__(self, other: ExprLike) -> Expr:
        return binary("xor", self, other)

    def __lshift__(self, other: ExprLike) -> Expr:
        return binary("shl", self, other)

    def __rshift__(self, other: ExprLike) -> Expr:
        return binary("shr", self, other)

    def __pow__(self, other: ExprLike) -> Expr:
        return call("pow", self, other)

    def __rpow__(self, other: ExprLike) -> Expr:
        return call("pow", other, self)

    def __invert__(self) -> Expr:
        if self.dtype == "bool":
            return Not("bool", self)
        return binary("xor", self, 255 if self.dtype in dtypes.UNSIGNED else -1)

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise UsageError("an expression has no truth value; use select(condition, a, b), & and | instead")


@dataclass(frozen=True, slots=True, eq=False)
class Const(Expr):
    value: int | float | bool


@dataclass(frozen=True, slots=True, eq=False)
class Var(Expr):
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Axis(Var):
    """A variable of a compute: ranges over ``[0, extent)``; ``reduce`` axes belong to a reducer."""

    extent: int
    reduce: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Binary(Expr):
    op: str
    a: Expr
    b: Expr

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.a, self.b)

    def with_children(self, children: Sequence[Expr]) -> Expr:
        return Binary(self.dtype, self.op, *children)


@dataclass(frozen=True, slots=True, eq=False)
class Compare(Expr):
    op: str
    a: Expr
    b: Expr

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.a, self.b)

    def with_children(self, children: Sequence[Expr]) -> Expr:
        return Compare(self.dtype, self.op, *children)


@dataclass(frozen=True, slots=True, eq=False)
class Not(Expr):
    a: Expr

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.a,)

    def with_children(self, children: Sequence[Expr]) -> Expr:
        return Not(self.dtype, *children)


@dataclass(frozen=True, slots=True, eq=False)
class Select(Expr):
    condition: Expr
    a: Expr
    b: Expr

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.condition, self.a, self.b)

    def with_children(self, children: Sequence[Expr]) -> Expr:
        return Select(self.dtype, *children)


@dataclass(frozen=True, slots=True, eq=False)
class Cast(Expr):
    a: Expr

    @property
    def children(self) -> tuple[Expr, ...]:
        return (self.a,)

    def with_children(self, children: Sequence[Expr]) -> Expr:
        return Cast(self.dtype, *children)


@dataclass(frozen=True, slots=True, eq=False)
class Call(Expr):
    name: str
    args: tuple[Expr, ...]

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.args

    def with_children(self, children: Sequence[Expr]) -> Expr:
        return Call(self.dtype, self.name, tuple(children))


@dataclass(frozen=True, slots=True, eq=False)
class Read(Expr):
    tensor: Tensor
    indices: tuple[Expr, ...]
    component: int = 0

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.indices

    def with_children(self, children: Sequence[Expr]) -> Expr:
        return Read(self.dtype, self.tensor, tuple(children), self.component)


@dataclass(frozen=True, slots=True, eq=False)
class Load(Expr):
    buffer: Any
    indices: tuple[Expr, ...]

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.indices

    def with_children(self, children: Sequence[Expr]) -> Expr:
        return Load(self.dtype, self.buffer, tuple(children))


@dataclass(frozen=True, slots=True, eq=False)
class Accumulation(Expr):
    """One component of what a reducer makes of operands, of which it takes one per component."""

    reducer: Reducer
    operands: tuple[Expr, ...]
    component: int

    @property
    def over(self) -> tuple[Axis, ...]:
        """The axes that values are combined along."""
        return ()

    @property
    def children(self) -> tuple[Expr, ...]:
        return self.operands

    def with_children(self, children: Sequence[Expr]) -> Expr:
        return replace(self, operands=tuple(children))


@dataclass(frozen=True, slots=True, eq=False)
class Reduce(Accumulation):
    """The reducer's result over all values of ``axes``; all components stand side by side in one compute."""

    axes: tuple[Axis, ...]

    @property
    def over(self) -> tuple[Axis, ...]:
        return self.axes

    @property
    def kind(self) -> str:
        """The reducer's name."""
        return self.reducer.name

    @property
    def identity(self) -> Const:
        """The value that a reduction over nothing has."""
        return self.reducer.identity[self.component]


@dataclass(frozen=True, slots=True, eq=False)
class Scan(Accumulation):
    """The reducer's result over the values from 0 up to where ``axis``, one of the compute's own, stands."""

    axis: Axis

    @property
    def over(self) -> tuple[Axis, ...]:
        return (self.axis,)


def const(value: int | float | bool, dtype: str) -> Const:
    """A constant of the dtype."""
    return Const(dtype, float(value) if dtypes.is_float(dtype) else bool(value) if dtype == "bool" else int(value))


def as_expr(value: ExprLike, dtype: str | None = None) -> Expr:
    """The value as an expression; a Python number takes ``dtype``, or int64 / float32 / bool where none is given."""
    if isinstance(value, Expr):
        return value
    if isinstance(value, (bool, np.bool_)):
        return const(value, dtype or "bool")
    if isinstance(value, (int, np.integer)):
        dtype = dtype or dtypes.INDEX
        if dtype in dtypes.INTEGERS and not np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
            raise UsageError(f"{int(value)} does not fit {dtype}; cast the other operand to a wider dtype first")
        return const(int(value), dtype)
    if isinstance(value, (float, np.floating)):
        if dtype is not None and not dtypes.is_float(dtype):
            raise UsageError(f"{float(value)} is no {dtype}; cast it, or use a whole number")
        return const(float(value), dtype or "float32")
    raise UsageError(
        f"cannot use {type(value).__name__} {value!r} in an expression; use numbers, axes or tensor elements"
    )


def _pair(a: ExprLike, b: ExprLike) -> tuple[Expr, Expr, str]:
    if not isinstance(a, Expr) and isinstance(b, Expr):
        a = as_expr(a, "float32" if isinstance(a, float) and not dtypes.is_float(b.dtype) else b.dtype)
    elif isinstance(a, Expr) and not isinstance(b, Expr):
        b = as_expr(b, "float32" if isinstance(b, float) and not dtypes.is_float(a.dtype) else a.dtype)
    a, b = as_expr(a), as_expr(b)
    dtype = dtypes.promote(a.dtype, b.dtype)
    return cast(a, dtype), cast(b, dtype), dtype


def binary(op: str, a: ExprLike, b: ExprLike) -> Expr:
    """An arithmetic node over both operands, promoted to one dtype."""
    a, b, dtype = _pair(a, b)
    if op == "div" and not dtypes.is_float(dtype):
        raise UsageError(f"/ needs floating point operands, got {dtype}; use // or cast first")
    if op in (*BITWISE, *SHIFTS) and dtypes.is_float(dtype):
        raise UsageError(f"&, |, ^, ~, << and >> need bool or integer operands, got {dtype}")
    if dtype == "bool" and op not in (*BITWISE, "min", "max"):
        raise UsageError(f"arithmetic needs numbers, got bool; use &, |, ^ and ~, or cast first ({op})")
    if op in ("floordiv", "mod") and isinstance(b, Const) and not b.value and not dtypes.is_float(dtype):
        raise UsageError(f"{'//' if op == 'floordiv' else '%'} by the constant 0")
    return Binary(dtype, op, a, b)


def compare(op: str, a: ExprLike, b: ExprLike) -> Expr:
    """A comparison of both operands, promoted to one dtype."""
    a, b, _ = _pair(a, b)
    return Compare("bool", op, a, b)


def cast(a: ExprLike, dtype: str) -> Expr:
    """The value converted: to an integer, floating point saturates (NaN gives 0) and integers wrap around.

    To floating point, it is rounded to nearest, ties to even; to bool, it is whether the value is other than 0.
    """
    a, dtype = as_expr(a), dtypes.check(dtype)
    if a.dtype == dtype:
        return a
    if not isinstance(a, Const):
        return Cast(dtype, a)
    wide = np.float64 if dtypes.is_float(a.dtype) else a.dtype
    return const(dtypes.converted(np.asarray(a.value, wide), dtype).item(), dtype)


def saturating_cast(a: ExprLike, dtype: str) -> Expr:
    """The value converted and clamped to the finite range of a dtype that holds less, integers and floats alike.

    A fraction is dropped, as by ``cast``; apply ``round`` before where it should not be. NaN gives 0 as an integer.
    """
    a, dtype = as_expr(a), dtypes.check(dtype)
    if dtype == "bool" or (dtypes.is_float(a.dtype) and not dtypes.is_float(dtype)):
        return cast(a, dtype)  # which saturates
    (low, high), (least, most) = dtypes.finite_range(dtype), dtypes.finite_range(a.dtype)
    if least < low or most > high:
        a = cast(a, dtypes.computed(a.dtype))  # which has the ends of the range: bfloat16 has no 65504
    if least < low:
        a = binary("max", a, const(low, a.dtype))
    if most > high:
        a = binary("min", a, const(high, a.dtype))
    return cast(a, dtype)


def select(condition: ExprLike, a: ExprLike, b: ExprLike) -> Expr:
    """``a`` where the condition holds, else ``b``. Reads under the operand not chosen do not happen."""
    a, b, dtype = _pair(a, b)
    return Select(dtype, as_expr(condition, "bool"), a, b)


def all_of(*conditions: ExprLike) -> Expr:
    """True where every condition is."""
    result: Expr | None = None
    for condition in conditions:
        result = as_expr(condition) if result is None else binary("and", result, condition)
    return const(True, "bool") if result is None else result


def call(name: str, *operands: ExprLike) -> Expr:
    """A math intrinsic of floating point operands (``abs`` takes integers too), promoted to one dtype."""
    if name not in INTRINSICS:
        raise UsageError(f"unknown intrinsic {name!r}; known: {', '.join(INTRINSICS)}")
    wanted = OPERANDS.get(name, 1)
    if len(operands) != wanted:
        raise UsageError(f"{name} takes {wanted} operand{'s' if wanted > 1 else ''}, got {len(operands)}")
    if wanted == 2:
        operands = _pair(*operands)[:2]
    values = tuple(as_expr(a, None if isinstance(a, Expr) else "float32") for a in operands)
    dtype = values[0].dtype
    if name != "abs" and not dtypes.is_float(dtype):
        raise UsageError(f"{name} needs a floating point operand, got {dtype}; cast first")
    return Call(dtype, name, values)


def walk(roots: Iterable[Expr]) -> Iterator[Expr]:
    """Every node below the roots once, operands before users; without recursion, so that deep chains are fine."""
    seen: set[int] = set()
    stack: list[tuple[Expr, bool]] = [(root, False) for root in reversed(list(roots))]
    while stack:
        node, ready = stack.pop()
        if ready:
            yield node
        elif id(node) not in seen:
            seen.add(id(node))
            children = node.children
            if not children:
                yield node
                continue
            stack.append((node, True))
            for child in reversed(children):
                if id(child) not in seen:
                    stack.append((child, False))


def rewrite(root: Expr, fn: Callable[[Expr], Expr | None]) -> Expr:
    """Rebuild bottom-up: ``fn`` sees each node over its rewritten operands and returns a replacement or None.

    Returns the same object where nothing changed.
    """
    return rewrite_all([root], fn)[0]


def rewrite_all(roots: Sequence[Expr], fn: Callable[[Expr], Expr | None]) -> tuple[Expr, ...]:
    """``rewrite`` of several expressions, of which the results share what the expressions share."""
    done: dict[int, Expr] = {}
    for node in walk(roots):
        children = node.children
        fresh = [done[id(child)] for child in children]
        same = all(a is b for a, b in zip(fresh, children, strict=True))
        rebuilt = node if same else node.with_children(fresh)
        replacement = fn(rebuilt)
        done[id(node)] = rebuilt if replacement is None else replacement
    return tuple(done[id(root)] for root in roots)


def substitute(root: Expr, values: Mapping[Expr, Expr]) -> Expr:
    """The expression with some nodes (by identity; variables, mostly) replaced."""
    return rewrite(root, values.get) if values else root
