"""Linear forms of integer expressions, and intervals of index expressions.

An ``Affine`` is ``const + sum(coefficient * atom)``, where an atom is a variable or any other expression that is not
linear (``//``, ``%``, ``min``, ...). Two atoms are the same when they are structurally equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autotune.tensor_expr.expr import Axis, Binary, Const, Expr, Var, const, walk


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

    def to_expr(self) -> Expr:
        """The form as an expression again, terms in the order in which they arose."""
        result: Expr | None = None
        for atom, coefficient in self.terms.values():
            term = atom if coefficient == 1 else atom * coefficient
            result = term if result is None else result + term
        if result is None:
            return const(self.const, "int64")
        if self.const:
            result = result + self.const if self.const > 0 else result - -self.const
        return result


def structural_key(expr: Expr) -> Any:
    """A hashable key that is equal for structurally equal index expressions; variables count by identity."""
    if isinstance(expr, Var):
        return ("var", id(expr))
    keys: dict[int, Any] = {}
    for node in walk([expr]):
        if isinstance(node, Const):
            keys[id(node)] = node.value
        elif not node.children:
            keys[id(node)] = ("var", id(node))
        else:
            label = getattr(node, "op", None) or getattr(node, "name", None) or type(node).__name__
            subject = getattr(node, "buffer", None) or getattr(node, "tensor", None)
            keys[id(node)] = (label, id(subject) if subject is not None else 0, *(keys[id(c)] for c in node.children))
    return keys[id(expr)]


def affine(expr: Expr) -> Affine:
    """The linear form of an integer expression."""
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


def interval_length(index: Expr, covers: Mapping[Axis, Any], extent: int) -> Any:
    """How long an interval holds all values of an index expression while each axis takes ``covers`` consecutive values.

    Exact for linear expressions; for ``e // c`` an upper bound that ignores alignment; ``extent`` (all of the dimension)
    where nothing better is known.
    """
    lengths: dict[int, Any] = {}
    for node in walk([index]):
        value: Any = extent
        if isinstance(node, Const):
            value = 1
        elif isinstance(node, Axis):
            value = covers[node]
        elif isinstance(node, Binary):
            a, b = lengths[id(node.a)], lengths[id(node.b)]
            if node.op in ("add", "sub"):
                value = a + b - 1
            elif node.op == "mul" and isinstance(node.b, Const):
                value = (a - 1) * abs(int(node.b.value)) + 1
            elif node.op == "mul" and isinstance(node.a, Const):
                value = (b - 1) * abs(int(node.a.value)) + 1
            elif node.op == "floordiv" and isinstance(node.b, Const) and int(node.b.value) > 0:
                # One value stays one value; a longer run may straddle one more multiple than its length suggests.
                value = 1 + (a - 1 + int(node.b.value) - 1) // int(node.b.value)
        lengths[id(node)] = value
    return lengths[id(index)]
