"""What is known of loop variables where an expression stands, and simplification of index expressions with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import gcd

from autotune.tensor_expr import dtypes
from autotune.tensor_expr.affine import Affine, affine
from autotune.tensor_expr.expr import Binary, Compare, Const, Expr, Select, Var, const, rewrite

Interval = tuple[float, float]
_UNKNOWN: Interval = (-float("inf"), float("inf"))


@dataclass(frozen=True, slots=True)
class Ranges:
    """Inclusive ranges of variables, and linear forms known to be at most a bound."""

    variables: Mapping[Var, tuple[int, int]] = field(default_factory=dict)
    facts: tuple[tuple[Affine, int], ...] = ()

    def with_var(self, var: Var, low: int, high: int) -> Ranges:
        return Ranges({**self.variables, var: (low, high)}, self.facts)

    def with_fact(self, form: Affine, bound: int) -> Ranges:
        """Knowing also that ``form <= bound``."""
        return Ranges(self.variables, (*self.facts, (form, bound))) if form.terms else self

    def atom(self, expr: Expr) -> Interval:
        """The range of a non-linear part of an index expression."""
        if isinstance(expr, Var):
            return self.variables.get(expr, _UNKNOWN)
        if isinstance(expr, Binary) and expr.dtype == dtypes.INDEX:
            low_a, high_a = self.interval(affine(expr.a))
            if expr.op in ("min", "max"):
                low_b, high_b = self.interval(affine(expr.b))
                pick = min if expr.op == "min" else max
                return pick(low_a, low_b), pick(high_a, high_b)
            if isinstance(expr.b, Const) and int(expr.b.value) > 0:
                divisor = int(expr.b.value)
                if expr.op == "mod":
                    return 0, divisor - 1
                if expr.op == "floordiv":
                    return low_a // divisor, high_a // divisor
        return _UNKNOWN

    def interval(self, form: Affine) -> Interval:
        """Bounds of a linear form from the variables' ranges alone."""
        low = high = float(form.const)
        for atom, coefficient in form.terms.values():
            a, b = self.atom(atom)
            low += coefficient * (a if coefficient > 0 else b)
            high += coefficient * (b if coefficient > 0 else a)
        return low, high

    def at_most(self, form: Affine, bound: int) -> bool:
        """Whether ``form <= bound`` is certain."""
        if self.interval(form)[1] <= bound:
            return True
        for fact, limit in self.facts:
            for key, (_, coefficient) in fact.terms.items():
                if key in form.terms and form.terms[key][1] % coefficient == 0:
                    times = form.terms[key][1] // coefficient
                    if times > 0 and self.interval(form - fact.scale(times))[1] + times * limit <= bound:
                        return True
                break
        return False

    def at_least(self, form: Affine, bound: int) -> bool:
        """Whether ``form >= bound`` is certain."""
        return self.interval(form)[0] >= bound or self.at_most(form.scale(-1), -bound)

    def simplify(self, expr: Expr) -> Expr:
        """An equal expression: linear parts in normal form, divisions and comparisons decided where ranges allow."""
        result = rewrite(expr, self._rule)
        return affine(result).to_expr() if result.dtype == dtypes.INDEX else result

    def _rule(self, node: Expr) -> Expr | None:
        if isinstance(node, Binary) and node.dtype == dtypes.INDEX:
            return self._index_rule(node)
        if isinstance(node, Compare) and node.a.dtype == dtypes.INDEX:
            return self._compare_rule(node)
        if isinstance(node, Binary) and node.op in ("and", "or"):
            for one, other in ((node.a, node.b), (node.b, node.a)):
                if isinstance(one, Const):
                    return other if bool(one.value) == (node.op == "and") else one
        if isinstance(node, Select) and isinstance(node.condition, Const):
            return node.a if node.condition.value else node.b
        return None

    def _index_rule(self, node: Binary) -> Expr | None:
        a, b = affine(node.a), affine(node.b)
        if node.op in ("min", "max"):
            smaller = node.op == "min"
            if self.at_most(a - b, 0):
                return node.a if smaller else node.b
            if self.at_least(a - b, 0):
                return node.b if smaller else node.a
            return None
        if node.op in ("floordiv", "mod") and b.is_const and b.const > 0:
            divisor = b.const
            whole = Affine(a.const // divisor, {k: (t, c // divisor) for k, (t, c) in a.terms.items() if c % divisor == 0})
            rest = Affine(a.const % divisor, {k: (t, c) for k, (t, c) in a.terms.items() if c % divisor})
            low, high = self.interval(rest)
            if low >= 0 and high < divisor:
                return (whole if node.op == "floordiv" else rest).to_expr()
            step = gcd(divisor, *(c for _, c in rest.terms.values() if c % divisor and gcd(c, divisor) > 1))
            lanes = Affine(rest.const % step, {k: (t, c) for k, (t, c) in rest.terms.items() if c % step})
            low, high = self.interval(lanes)
            if 1 < step < divisor and low >= 0 and high < step:
                # (step * x + lanes) // (step * d) is x // d, and % keeps the lanes.
                outer = Affine(rest.const // step, {k: (t, c // step) for k, (t, c) in rest.terms.items() if c % step == 0})
                coarse = self.simplify(Binary(dtypes.INDEX, node.op, outer.to_expr(), const(divisor // step, dtypes.INDEX)))
                if node.op == "floordiv":
                    return (whole + affine(coarse)).to_expr()
                return (affine(coarse).scale(step) + lanes).to_expr()
            if whole.const or whole.terms:
                inner = Binary(dtypes.INDEX, node.op, rest.to_expr(), node.b)
                return whole.to_expr() + inner if node.op == "floordiv" else inner
            return None
        if node.op in ("add", "sub", "mul"):
            return affine(node).to_expr() if a.is_const or b.is_const else None
        return None

    def _compare_rule(self, node: Compare) -> Expr | None:
        difference = affine(node.a) - affine(node.b)
        if node.op in ("gt", "ge"):
            difference = difference.scale(-1)
        bound = 0 if node.op in ("le", "ge") else -1
        if node.op in ("eq", "ne"):
            if difference.is_const:
                return const((difference.const == 0) == (node.op == "eq"), "bool")
            return None
        if self.at_most(difference, bound):
            return const(True, "bool")
        if self.at_least(difference, bound + 1):
            return const(False, "bool")
        return None
