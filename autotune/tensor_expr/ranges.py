"""What is known of loop variables where an expression stands, and index arithmetic in normal form that uses it.

``Affine`` is the normal form. The operations below return one; where they cannot decide, the result holds a new atom.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from autotune.tensor_expr import dtypes
from autotune.tensor_expr.affine import Affine, affine, number, variable, weighted_sum
from autotune.tensor_expr.division import DIVISION_RULES, rejoined
from autotune.tensor_expr.expr import Axis, Binary, Const, Expr, Var, walk

Interval = tuple[float, float]
UNKNOWN: Interval = (-float("inf"), float("inf"))


@dataclass(frozen=True, slots=True)
class Ranges:
    """Inclusive ranges of variables, and linear forms known to be at most a bound."""

    variables: Mapping[Var, tuple[int, int]] = field(default_factory=dict)
    facts: tuple[tuple[Affine, int], ...] = ()

    def with_var(self, var: Var, low: int, high: int) -> Ranges:
        return Ranges({**self.variables, var: (low, high)}, self.facts)

    def with_fact(self, form: Affine, bound: int) -> Ranges:
        """Knowing also that ``form <= bound``; of facts that differ in constants alone, the strongest is kept."""
        if not form.terms:
            return self
        others = []
        for fact, limit in self.facts:
            if not _same_terms(fact, form):
                others.append((fact, limit))
            elif limit - fact.const <= bound - form.const:
                return self
        return Ranges(self.variables, (*others, (form, bound)))

    # -- bounds ------------------------------------------------------------------------------------------------

    def atom(self, expr: Expr) -> Interval:
        """The range of a non-linear part of an index expression."""
        if isinstance(expr, Var):
            return self.variables.get(expr, UNKNOWN)
        if not isinstance(expr, Binary) or expr.dtype != dtypes.INDEX:
            return UNKNOWN
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
        return UNKNOWN

    def interval(self, form: Affine) -> Interval:
        """Bounds of a linear form from the variables' ranges alone."""
        low: float = form.const
        high: float = form.const
        for atom, coefficient in form.terms.values():
            a, b = self.atom(atom)
            if coefficient > 0:
                low, high = low + coefficient * a, high + coefficient * b
            else:
                low, high = low + coefficient * b, high + coefficient * a
        return low, high

    def at_most(self, form: Affine, bound: int) -> bool:
        """Whether ``form <= bound`` is certain."""
        if self.interval(form)[1] <= bound:
            return True
        for key, (atom, coefficient) in form.terms.items():
            if isinstance(atom, Binary) and atom.op in ("min", "max"):
                rest = Affine(form.const, {k: term for k, term in form.terms.items() if k != key})
                sides = (rest + affine(side).scale(coefficient) for side in (atom.a, atom.b))
                enough = any if (atom.op == "min") == (coefficient > 0) else all
                return enough(self.at_most(side, bound) for side in sides)
        if not self.facts:
            return False
        if len(form.terms) == 1:
            ((atom, coefficient),) = form.terms.values()
            if isinstance(atom, Binary) and atom.op == "floordiv" and isinstance(atom.b, Const) and coefficient > 0:
                divisor, most = int(atom.b.value), (bound - form.const) // coefficient
                return self.at_most(affine(atom.a), most * divisor + divisor - 1)
        alone = Ranges(self.variables)
        for fact, limit in self.facts:
            for key, (_, coefficient) in fact.terms.items():
                held = form.terms.get(key)
                if held is not None and held[1] % coefficient == 0 and held[1] // coefficient > 0:
                    times = held[1] // coefficient
                    if alone.at_most(weighted_sum(((form, 1), (fact, -times))), bound - times * limit):
                        return True
        return False

    def at_least(self, form: Affine, bound: int) -> bool:
        """Whether ``form >= bound`` is certain."""
        if self.interval(form)[0] >= bound:
            return True
        nested = any(isinstance(atom, Binary) and atom.op in ("min", "max") for atom, _ in form.terms.values())
        return bool(self.facts or nested) and self.at_most(form.scale(-1), -bound)

    def decide(self, op: str, a: Affine, b: Affine) -> bool | None:
        """Whether the comparison is certain to hold, or certain not to; None where neither is."""
        difference = a - b
        if op in ("eq", "ne"):
            return (difference.const == 0) == (op == "eq") if difference.is_const else None
        if op in ("gt", "ge"):
            difference = difference.scale(-1)
        bound = 0 if op in ("le", "ge") else -1
        if self.at_most(difference, bound):
            return True
        return False if self.at_least(difference, bound + 1) else None

    # -- arithmetic --------------------------------------------------------------------------------------------

    def minimum(self, a: Affine, b: Affine) -> Affine:
        """The smaller of both."""
        if a.is_const and b.is_const:
            return a if a.const <= b.const else b
        if self.at_most(a - b, 0):
            return a
        if self.at_least(a - b, 0):
            return b
        kept = self._without_side("min", a, b)
        return variable(Binary(dtypes.INDEX, "min", a.to_expr(), b.to_expr())) if kept is None else kept

    def maximum(self, a: Affine, b: Affine) -> Affine:
        """The larger of both."""
        if a.is_const and b.is_const:
            return a if a.const >= b.const else b
        if self.at_least(a - b, 0):
            return a
        if self.at_most(a - b, 0):
            return b
        kept = self._without_side("max", a, b)
        return variable(Binary(dtypes.INDEX, "max", a.to_expr(), b.to_expr())) if kept is None else kept

    def _without_side(self, op: str, a: Affine, b: Affine) -> Affine | None:
        """``op(op(x, y), b)`` as ``op(x, b)`` where y never counts beside b; None where that does not apply."""
        certain, pick = (self.at_least, self.minimum) if op == "min" else (self.at_most, self.maximum)
        for nested, other in ((a, b), (b, a)):
            atom = next((atom for atom, c in nested.terms.values() if c == 1), None)
            if nested.const or len(nested.terms) != 1 or not isinstance(atom, Binary) or atom.op != op:
                continue
            for dropped, left in ((atom.a, atom.b), (atom.b, atom.a)):
                if certain(affine(dropped) - other, 0):
                    return pick(affine(left), other)
        return None

    def floordiv(self, form: Affine, divisor: int) -> Affine:
        """``form // divisor``: whole multiples come out, what stays below the divisor vanishes."""
        return self._divided("floordiv", form, divisor)

    def mod(self, form: Affine, divisor: int) -> Affine:
        """``form % divisor``: whole multiples vanish."""
        return self._divided("mod", form, divisor)

    def ceildiv(self, form: Affine, divisor: int) -> Affine:
        """``form / divisor`` rounded up."""
        return self.floordiv(form.shifted(divisor - 1), divisor)

    def _divided(self, op: str, form: Affine, divisor: int) -> Affine:
        if divisor == 1:
            return form if op == "floordiv" else number(0)
        whole = {key: (atom, c // divisor) for key, (atom, c) in form.terms.items() if c % divisor == 0}
        rest = {key: (atom, c) for key, (atom, c) in form.terms.items() if c % divisor}
        quotient, remainder = Affine(form.const // divisor, whole), Affine(form.const % divisor, rest)
        low, high = self.interval(remainder)
        if low // divisor == high // divisor:  # never so for infinities, whose quotient is NaN
            turns = int(low // divisor)
            return quotient.shifted(turns) if op == "floordiv" else remainder.shifted(-turns * divisor)
        for rule in DIVISION_RULES:
            found = rule(self, op, remainder, divisor)
            if found is not None:
                return quotient + found if op == "floordiv" else found
        left = variable(Binary(dtypes.INDEX, op, remainder.to_expr(), Const(dtypes.INDEX, divisor)))
        return quotient + left if op == "floordiv" else left

    def linear(self, expr: Expr, values: Mapping[Axis, Affine]) -> Affine:
        """An index expression over axes as a form over what the axes stand for."""
        forms: dict[int, Affine] = {}
        for node in walk([expr]):
            forms[id(node)] = self.applied(node, [forms[id(child)] for child in node.children], values)
        return forms[id(expr)]

    def applied(self, node: Expr, operands: list[Affine], values: Mapping[Axis, Affine]) -> Affine:
        """One node of an index expression over operands in normal form."""
        if isinstance(node, Axis):
            return values[node] if node in values else variable(node)
        if isinstance(node, Const):
            return number(int(node.value))
        if isinstance(node, Binary) and node.dtype == dtypes.INDEX:
            a, b = operands
            if node.op in ("add", "sub"):
                return rejoined(self, a + b if node.op == "add" else a - b)
            if node.op in ("min", "max"):
                return self.minimum(a, b) if node.op == "min" else self.maximum(a, b)
            if node.op == "mul" and (a.is_const or b.is_const):
                return a.scale(b.const) if b.is_const else b.scale(a.const)
            if node.op in ("floordiv", "mod") and b.is_const and b.const > 0:
                return self._divided(node.op, a, b.const)
        return variable(node.with_children([operand.to_expr() for operand in operands]) if operands else node)


def _same_terms(a: Affine, b: Affine) -> bool:
    """Whether two forms differ in their constants alone."""
    terms = b.terms
    return len(a.terms) == len(terms) and all(
        key in terms and terms[key][1] == coefficient for key, (_, coefficient) in a.terms.items()
    )
