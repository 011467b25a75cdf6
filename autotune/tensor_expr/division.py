"""Rules for quotients and remainders of index expressions under known ranges.

Here ``t``, ``u`` and ``s`` are linear forms and all other letters positive numbers; a form is tried once its multiples
of the divisor have come out and its range alone has not decided.

================  ====================================================  ===========================================
rule              before                                                after
================  ====================================================  ===========================================
common factor     ``(g t + s) // (g d)``, ``0 <= s < g``                ``t // d``
common factor     ``(g t + s) % (g d)``, ``0 <= s < g``                 ``g (t % d) + s``
nested quotient   ``(t // a + c) // d``                                 ``(t + a c) // (a d)``
inner remainder   ``(k (t % a) + u) % d`` where d divides ``k a``       ``(k t + u) % d``
rejoined          ``k a (t // a) + k (t % a)``                          ``k t``
================  ====================================================  ===========================================

The last one holds for a remainder ``u % a`` that equals ``t % a`` by the others, too.
"""

from __future__ import annotations

from collections.abc import Callable
from math import gcd
from typing import TYPE_CHECKING

from autotune.tensor_expr.affine import Affine, affine
from autotune.tensor_expr.expr import Binary, Const, Expr

if TYPE_CHECKING:
    from autotune.tensor_expr.ranges import Ranges

Rule = Callable[["Ranges", str, Affine, int], "Affine | None"]


def common_factor(ranges: Ranges, op: str, form: Affine, divisor: int) -> Affine | None:
    """Everything but what stays below a factor of the divisor is a multiple of that factor."""
    factors = {gcd(divisor, coefficient) for _, coefficient in form.terms.values()}
    for factor in sorted(factors - {1}, reverse=True):
        multiples = {key: (atom, c // factor) for key, (atom, c) in form.terms.items() if c % factor == 0}
        others = {key: term for key, term in form.terms.items() if key not in multiples}
        small = Affine(form.const % factor, others)
        low, high = ranges.interval(small)
        if low >= 0 and high < factor:
            large = Affine(form.const // factor, multiples)
            if op == "floordiv":
                return ranges.floordiv(large, divisor // factor)
            return ranges.mod(large, divisor // factor).scale(factor) + small
    return None


def nested_quotient(ranges: Ranges, op: str, form: Affine, divisor: int) -> Affine | None:
    """A quotient of a quotient is one quotient."""
    if op != "floordiv" or len(form.terms) != 1:
        return None
    ((atom, coefficient),) = form.terms.values()
    inner = _divisor(atom, "floordiv")
    if not inner or coefficient != 1:
        return None
    assert isinstance(atom, Binary)
    return ranges.floordiv(affine(atom.a).shifted(form.const * inner), divisor * inner)


def inner_remainder(ranges: Ranges, op: str, form: Affine, divisor: int) -> Affine | None:
    """A remainder inside another vanishes where its divisor is a multiple of the outer one's."""
    if op != "mod":
        return None
    for key, (atom, coefficient) in form.terms.items():
        inner = _divisor(atom, "mod")
        if inner and coefficient * inner % divisor == 0:
            assert isinstance(atom, Binary)
            rest = Affine(form.const, {k: term for k, term in form.terms.items() if k != key})
            return ranges.mod(rest + affine(atom.a).scale(coefficient), divisor)
    return None


DIVISION_RULES: tuple[Rule, ...] = (common_factor, nested_quotient, inner_remainder)


def rejoined(ranges: Ranges, form: Affine) -> Affine:
    """The form without pairs of a quotient and a remainder that are one number taken apart."""
    for key, (atom, coefficient) in form.terms.items():
        divisor = _divisor(atom, "mod")
        if not divisor:
            continue
        for other_key, (other, other_coefficient) in form.terms.items():
            if _divisor(other, "floordiv") == divisor and other_coefficient == coefficient * divisor:
                assert isinstance(other, Binary)
                whole = affine(other.a)
                if _is_atom(ranges.mod(whole, divisor), key):
                    rest = {k: term for k, term in form.terms.items() if k not in (key, other_key)}
                    return rejoined(ranges, Affine(form.const, rest) + whole.scale(coefficient))
    return form


def _divisor(atom: Expr, op: str) -> int:
    """What the atom divides by, where it is that operation by a positive number; else 0."""
    if isinstance(atom, Binary) and atom.op == op and isinstance(atom.b, Const) and int(atom.b.value) > 0:
        return int(atom.b.value)
    return 0


def _is_atom(form: Affine, key: object) -> bool:
    return not form.const and len(form.terms) == 1 and all(k == key and c == 1 for k, (_, c) in form.terms.items())
