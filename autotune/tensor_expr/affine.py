"""Linear forms of integer expressions, and intervals of index expressions.

An ``Affine`` is ``const + sum(coefficient * atom)``, where an atom is a variable or any other expression that is not
linear (``//``, ``%``, ``min``, ...). Two atoms are the same when they are structurally equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from autotune.tensor_expr.dtypes import INDEX
from autotune.tensor_expr.expr import Axis, Binary, Const, Expr, Var, walk


@dataclass(frozen=True, slots=True)
class Affine:
    """``const + sum(coefficient * atom)``; ``terms`` maps an atom's structural key to (atom, coefficient)."""

    const: int
    terms: Mapping[Any, tuple[Expr, int]]

    @property
    def is_const(self) -> bool:
        return not self.terms

    def __add__(self, other: Affine) -> Affine:
        terms = dict(self.terms)
        for key, (atom, coefficient) in other.terms.items():
            total = coefficient + (terms[key][1] if key in terms else 0)
            if total:
                terms[key] = (atom, total)
            else:
                terms.pop(key, None)
        return Affine(self.const + other.const, terms)

    def scale(self, factor: int) -> Affine:
        if factor == 0:
            return Affine(0, {})
        return Affine(self.const * factor, {k: (atom, c * factor) for k, (atom, c) in self.terms.items()})

    def __sub__(self, other: Affine) -> Affine:
        return self + other.scale(-1)

    def shifted(self, amount: int) -> Affine:
        """The form plus a number."""
        return Affine(self.const + amount, self.terms) if amount else self

    def to_expr(self) -> Expr:
        """The form as an expression again: what is added in the order in which it arose, then what is subtracted."""
        result: Expr | None = None
        for atom, coefficient in self.terms.values():
            if coefficient > 0:
                result = _joined("add", result, _multiple(atom, coefficient))
        left = self.const
        if result is None:
            result, left = Const(INDEX, left), 0
        for atom, coefficient in self.terms.values():
            if coefficient < 0:
                result = _joined("sub", result, _multiple(atom, -coefficient))
        return _joined("add" if left > 0 else "sub", result, Const(INDEX, abs(left))) if left else result


def _multiple(atom: Expr, coefficient: int) -> Expr:
    return atom if coefficient == 1 else Binary(INDEX, "mul", atom, Const(INDEX, coefficient))


def _joined(op: str, a: Expr | None, b: Expr) -> Expr:
    return b if a is None else Binary(INDEX, op, a, b)


ZERO = Affine(0, {})


def number(value: int) -> Affine:
    """A constant form."""
    return Affine(value, {})


def variable(atom: Expr) -> Affine:
    """The form of one atom."""
    return Affine(0, {structural_key(atom): (atom, 1)})


def weighted_sum(parts: Iterable[tuple[Affine, int]], constant: int = 0) -> Affine:
    """``constant + sum(factor * form)`` in one go."""
    terms: dict[Any, tuple[Expr, int]] = {}
    for form, factor in parts:
        constant += form.const * factor
        for key, (atom, coefficient) in form.terms.items():
            held = terms.get(key)
            terms[key] = (atom, coefficient * factor + (held[1] if held else 0))
    return Affine(constant, {key: term for key, term in terms.items() if term[1]})


def structural_key(expr: Expr) -> Any:
    """A hashable key that is equal for structurally equal index expressions; variables count by identity."""
    if isinstance(expr, Var):
        return id(expr)
    keys: dict[int, Any] = {}
    for node in walk([expr]):
        if isinstance(node, Const):
            keys[id(node)] = (node.value,)
        elif not node.children:
            keys[id(node)] = id(node)
        else:
            label = getattr(node, "op", None) or getattr(node, "name", None) or type(node).__name__
            subject = getattr(node, "buffer", None) or getattr(node, "tensor", None)
            what = (label, node.dtype, id(subject) if subject is not None else 0, getattr(node, "component", 0))
            keys[id(node)] = (*what, *(keys[id(c)] for c in node.children))
    return keys[id(expr)]


def affine(expr: Expr) -> Affine:
    """The linear form of an integer expression."""
    if isinstance(expr, Var):
        return Affine(0, {id(expr): (expr, 1)})
    if isinstance(expr, Const):
        return Affine(int(expr.value), {})
    terms: dict[Any, tuple[Expr, int]] = {}
    constant, steps = 0, 0
    stack: list[tuple[Expr, int]] = [(expr, 1)]
    while stack:
        node, times = stack.pop()
        steps += 1
        if steps > _STEPS:
            return _shared(expr)
        if isinstance(node, Const):
            constant += int(node.value) * times
            continue
        op = node.op if isinstance(node, Binary) else ""
        if op == "add" or op == "sub":
            stack += [(node.b, times if op == "add" else -times), (node.a, times)]  # type: ignore[attr-defined]
        elif op == "mul" and isinstance(node.b, Const):  # type: ignore[attr-defined]
            stack.append((node.a, times * int(node.b.value)))  # type: ignore[attr-defined]
        elif op == "mul" and isinstance(node.a, Const):  # type: ignore[attr-defined]
            stack.append((node.b, times * int(node.a.value)))  # type: ignore[attr-defined]
        elif op == "mul":
            return _shared(expr)
        else:
            key = id(node) if isinstance(node, Var) else structural_key(node)
            terms[key] = (node, times + (terms[key][1] if key in terms else 0))
    return Affine(constant, {key: term for key, term in terms.items() if term[1]})


_STEPS = 64  # an expression that takes more shares its parts, perhaps, and is better looked at node by node


def _shared(expr: Expr) -> Affine:
    """The linear form by way of those of all operands, each found once."""
    forms: dict[int, Affine] = {}
    for node in walk([expr]):
        form: Affine | None = None
        if isinstance(node, Const):
            form = Affine(int(node.value), {})
        elif isinstance(node, Binary) and id(node.a) in forms:
            a, b = forms[id(node.a)], forms[id(node.b)]
            if node.op == "add":
                form = a + b
            elif node.op == "sub":
                form = a - b
            elif node.op == "mul" and b.is_const:
                form = a.scale(b.const)
            elif node.op == "mul" and a.is_const:
                form = b.scale(a.const)
        forms[id(node)] = form or Affine(0, {structural_key(node): (node, 1)})
    return forms[id(expr)]


@lru_cache(maxsize=4096)
def lowest_index(indices: tuple[Expr, ...]) -> tuple[Expr, int] | None:
    """The index among several that is always lowest, and how far above it the highest is; None where unknown.

    Known where the indices are linear and differ by constants only (a stencil), or are one and the same monotone
    expression.
    """
    forms = [affine(index) for index in indices]
    spread = 0
    lowest = indices[0]
    for index, form in zip(indices[1:], forms[1:], strict=True):
        difference = form - forms[0]
        if not difference.is_const:
            return None
        if difference.const < (affine(lowest) - forms[0]).const:
            lowest = index
    constants = [(form - forms[0]).const for form in forms]
    spread = max(constants) - min(constants)
    return (lowest, spread) if is_monotone(lowest) else None


def is_monotone(index: Expr) -> bool:
    """Whether the index is linear, or grows with each axis: sums, extrema, products, quotients by positive numbers."""
    if all(isinstance(atom, Axis) for atom, _ in affine(index).terms.values()):
        return True
    for node in walk([index]):
        if isinstance(node, (Const, Axis)):
            continue
        constants = [int(c.value) for c in node.children if isinstance(c, Const)]
        growing = isinstance(node, Binary) and (
            node.op in ("add", "min", "max")
            or (node.op == "mul" and len(constants) >= 1 and constants[0] >= 0)
            or (node.op in ("sub", "floordiv") and isinstance(node.b, Const) and constants[-1] > 0)
        )
        if not growing:
            return False
    return True


@lru_cache(maxsize=4096)
def index_form(index: Expr) -> Affine:
    """``affine``, remembered: for the indices of tensor expressions, which live as long as their tensor."""
    return affine(index)


def interval_length(index: Expr, covers: Mapping[Axis, Any]) -> Any:
    """How many consecutive values hold a monotone index while each axis takes ``covers`` consecutive values.

    Exact for linear indices; for ``e // c`` an upper bound that ignores alignment, for ``min`` and ``max`` the longer
    of both operands' lengths.
    """
    form = index_form(index)
    if all(isinstance(atom, Axis) for atom, _ in form.terms.values()):
        length: Any = 1
        for atom, coefficient in form.terms.values():
            assert isinstance(atom, Axis)
            length = length + abs(coefficient) * (covers[atom] - 1)
        return length
    lengths: dict[int, Any] = {}
    for node in walk([index]):
        value: Any = 1
        if isinstance(node, Axis):
            value = covers[node]
        elif isinstance(node, Binary):
            a, b = lengths[id(node.a)], lengths[id(node.b)]
            if node.op in ("add", "sub"):
                value = a + b - 1
            elif node.op == "mul":
                factor = node.b if isinstance(node.b, Const) else node.a
                value = ((a if factor is node.b else b) - 1) * int(factor.value) + 1  # type: ignore[attr-defined]
            elif node.op == "floordiv":
                # One value stays one value; a longer run may straddle one more multiple than its length suggests.
                divisor = int(node.b.value)  # type: ignore[attr-defined]
                value = 1 + (a - 1 + divisor - 1) // divisor
            elif node.op in ("min", "max"):
                value = max(a, b) if isinstance(a, int) and isinstance(b, int) else np.maximum(a, b)
        lengths[id(node)] = value
    return lengths[id(index)]
