"""Variables' values and the addresses that are made of them, hoisted out of the loops that do not change them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from autotune.lowering.ir import Buffer
from autotune.targets.llvm.arithmetic import integer_operation
from autotune.targets.llvm.emitter import Emitter
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.affine import Affine, affine, weighted_sum
from autotune.tensor_expr.expr import Binary, Const, Expr, Var
from autotune.tensor_expr.ranges import Ranges


@dataclass(slots=True)
class Lanes:
    """The vectorised variable in force: its vector's width, and the mask of active lanes (None: all).

    ``active`` is how many lanes the mask lets through, all of them in front; None where only the run knows.
    """

    var: Var
    width: int
    mask: str | None = None
    active: int | None = None


@dataclass(slots=True)
class Place:
    """A flat element index taken apart: a constant, run-time terms, and how far one lane moves it."""

    offset: int
    terms: tuple[tuple[Expr, int], ...]
    lane_step: int


@dataclass(slots=True)
class _Access:
    """What stays the same about a buffer's access wherever unrolled copies of it stand.

    ``unrolled`` are variables that have a value in each copy, ``place`` the rest; ``varying`` says that some atom has
    to be looked at anew in each copy. ``base`` is the pointer to the run-time part, as long as the buffer and the
    ``runtime`` variables are called ``names``.
    """

    indices: tuple[Expr, ...]
    form: Affine
    unrolled: tuple[tuple[Var, int], ...]
    runtime: tuple[Var, ...]
    place: Place | None
    varying: bool
    names: tuple[str, ...] = ()
    base: str | None = None


@dataclass(frozen=True, slots=True)
class Nature:
    """What an index expression depends on: its variables, and whether it is arithmetic on variables alone.

    ``height`` is how deep it nests; arithmetic deeper than ``MAX_HEIGHT`` counts as impure, so that what recurses over
    the pure may.
    """

    variables: frozenset[Var]
    pure: bool
    height: int = 0


MAX_HEIGHT = 100


@dataclass(slots=True)
class Addresses:
    """Values of loop variables: constants while unrolled, SSA names (with their scope's depth) at run time."""

    emitter: Emitter
    ranges: Ranges
    pointers: dict[Buffer, str] = field(default_factory=dict)
    constants: dict[Var, int] = field(default_factory=dict)
    runtime: dict[Var, tuple[str, int]] = field(default_factory=dict)
    lanes: Lanes | None = None
    _forms: dict[int, tuple[Expr, Affine]] = field(default_factory=dict)
    _accesses: dict[tuple[int, int], _Access] = field(default_factory=dict)
    _natures: dict[int, tuple[Expr, Nature]] = field(default_factory=dict)

    def form(self, expr: Expr) -> Affine:
        """The expression's linear form, computed once per node."""
        held = self._forms.get(id(expr))
        if held is None:
            held = self._forms[id(expr)] = (expr, affine(expr))
        return held[1]

    def nature(self, expr: Expr) -> Nature:
        """What the expression depends on, computed once per node."""
        held = self._natures.get(id(expr))
        if held is not None:
            return held[1]
        stack: list[tuple[Expr, bool]] = [(expr, False)]
        while stack:
            node, ready = stack.pop()
            if id(node) in self._natures:
                continue
            if not ready and node.children:
                stack.append((node, True))
                stack.extend((child, False) for child in node.children)
                continue
            if isinstance(node, Var):
                nature = Nature(frozenset((node,)), True)
            elif isinstance(node, Const):
                nature = Nature(frozenset(), True)
            else:
                parts = [self._natures[id(child)][1] for child in node.children]
                pure = isinstance(node, Binary) and node.op in _FOLD
                height = 1 + max(part.height for part in parts)
                pure = pure and node.dtype == dtypes.INDEX and height <= MAX_HEIGHT and all(part.pure for part in parts)
                nature = Nature(frozenset().union(*(part.variables for part in parts)), pure, height)
            self._natures[id(node)] = (node, nature)
        return self._natures[id(expr)][1]

    def uniform(self, expr: Expr) -> bool:
        """Whether the expression is index arithmetic that is the same in all lanes."""
        nature = self.nature(expr)
        return nature.pure and (self.lanes is None or self.lanes.var not in nature.variables)

    def _access(self, buffer: Buffer, indices: tuple[Expr, ...]) -> _Access:
        key = (id(buffer), id(indices))
        held = self._accesses.get(key)
        if held is None:
            form = weighted_sum([(self.form(i), stride) for i, stride in zip(indices, buffer.strides, strict=True)])
            unrolled = tuple(
                (atom, c) for atom, c in form.terms.values() if isinstance(atom, Var) and atom in self.constants
            )
            atoms = [atom for atom, _ in form.terms.values()]
            varying = any(
                not isinstance(atom, Var) and not self.nature(atom).variables.isdisjoint(self.constants)
                for atom in atoms
            )
            used = dict.fromkeys(var for atom in atoms for var in self.nature(atom).variables)
            runtime = tuple(var for var in used if var in self.runtime)
            left = {k: term for k, term in form.terms.items() if term[0] not in self.constants}
            place = None if varying else self.taken_apart(Affine(form.const, left))
            held = self._accesses[key] = _Access(indices, form, unrolled, runtime, place, varying)
        return held

    def taken_apart(self, form: Affine) -> Place | None:
        """A linear form with unrolled variables at their values; None where not linear in the lane, or not pure."""
        offset, step = form.const, 0
        terms: list[tuple[Expr, int]] = []
        for atom, coefficient in form.terms.values():
            if isinstance(atom, Var):
                if atom in self.constants:
                    offset += coefficient * self.constants[atom]
                elif self.lanes is not None and atom is self.lanes.var:
                    step = coefficient
                else:
                    terms.append((atom, coefficient))
            elif not self.uniform(atom):
                return None
            else:
                value = self.constant(atom)
                if value is None:
                    terms.append((atom, coefficient))
                else:
                    offset += coefficient * value
        return Place(offset, tuple(terms), step)

    def place(self, buffer: Buffer, indices: tuple[Expr, ...]) -> Place | None:
        """Where an access points; None where that has to be computed element by element (a gather)."""
        access = self._access(buffer, indices)
        if access.varying:
            return self.taken_apart(access.form)
        fixed = access.place
        if fixed is None or not access.unrolled:
            return fixed
        offset = fixed.offset
        for var, coefficient in access.unrolled:
            offset += coefficient * self.constants[var]
        return Place(offset, fixed.terms, fixed.lane_step)

    def constant(self, expr: Expr) -> int | None:
        """The value of index arithmetic where unrolled variables make it a constant."""
        if isinstance(expr, Const):
            return int(expr.value)
        if isinstance(expr, Var):
            return self.constants.get(expr)
        nature = self.nature(expr)
        if not nature.pure or not all(var in self.constants for var in nature.variables):
            return None
        values: dict[int, int] = {}
        stack: list[tuple[Expr, bool]] = [(expr, False)]
        while stack:
            node, ready = stack.pop()
            if isinstance(node, Const):
                values[id(node)] = int(node.value)
            elif isinstance(node, Var):
                values[id(node)] = self.constants[node]
            elif ready:
                assert isinstance(node, Binary)
                values[id(node)] = _FOLD[node.op](values[id(node.a)], values[id(node.b)])
            else:
                stack += [(node, True), *((child, False) for child in node.children)]
        return values[id(expr)]

    def located(self, buffer: Buffer, indices: tuple[Expr, ...]) -> tuple[str, int, int] | None:
        """An access's first lane, as a pointer and the bytes from there, and how many elements lanes lie apart.

        None where ``place`` is.
        """
        access = self._access(buffer, indices)
        place = access.place
        if access.varying:
            place = self.taken_apart(access.form)
        if place is None:
            return None
        names = (self.pointers[buffer], *[self.runtime[var][0] for var in access.runtime])
        if access.base is None or access.names != names or access.varying:
            access.base, access.names = self._base(buffer, place), names
        offset = place.offset
        if not access.varying:
            for var, coefficient in access.unrolled:
                offset += coefficient * self.constants[var]
        return access.base, offset * dtypes.itemsize(buffer.dtype), place.lane_step

    def pointer(self, base: str, offset: int) -> str:
        """A pointer some bytes on, made in the block that uses it, where it folds into the instruction's address."""
        return self.emitter.local(f"getelementptr i8, ptr {base}, i64 {offset}") if offset else base

    def _base(self, buffer: Buffer, place: Place) -> str:
        """The address without the constant part, outer loops' terms first."""
        size = dtypes.itemsize(buffer.dtype)
        base, depth = self.pointers[buffer], 0
        located = sorted(
            ((self.depth(atom), atom, coefficient) for atom, coefficient in place.terms), key=lambda t: t[0]
        )
        for level, atom, coefficient in located:
            depth = max(depth, level)
            value, _ = self.scalar(atom)
            scaled = (
                value
                if coefficient * size == 1
                else self.emitter.pure(depth, f"mul nsw i64 {value}, {coefficient * size}")
            )
            base = self.emitter.pure(depth, f"getelementptr i8, ptr {base}, i64 {scaled}")
        return base

    def depth(self, expr: Expr) -> int:
        """The outermost scope in which the expression can be computed."""
        return max((self.runtime[var][1] for var in self.nature(expr).variables if var in self.runtime), default=0)

    def scalar(self, expr: Expr) -> tuple[str, int]:
        """Uniform index arithmetic as an i64, and the depth at which it stands."""
        folded = self.constant(expr)
        if folded is not None:
            return str(folded), 0
        if isinstance(expr, Var):
            return self.runtime[expr]
        form = self.form(expr)
        if len(form.terms) == 1 and not form.const and next(iter(form.terms.values()))[1] == 1:
            return self._atom(next(iter(form.terms.values()))[0])
        place = self.taken_apart(form)
        assert place is not None, "a scalar is uniform"
        return self.combined(place)

    def combined(self, place: Place) -> tuple[str, int]:
        """The sum of a place's parts but the lane's, as an i64, and the depth at which it stands."""
        total: str | None = None
        depth = 0
        for atom, coefficient in place.terms:
            value, level = self.scalar(atom)
            if coefficient != 1:
                value = self.emitter.pure(level, f"mul nsw i64 {value}, {coefficient}")
            depth = max(depth, level)
            total = value if total is None else self.emitter.pure(depth, f"add nsw i64 {total}, {value}")
        if total is None:
            return str(place.offset), 0
        return (self.emitter.pure(depth, f"add nsw i64 {total}, {place.offset}") if place.offset else total), depth

    def _atom(self, expr: Expr) -> tuple[str, int]:
        if isinstance(expr, Var):
            return self.runtime[expr]
        assert isinstance(expr, Binary), expr
        (a, depth_a), (b, depth_b) = self.scalar(expr.a), self.scalar(expr.b)
        depth = max(depth_a, depth_b)
        return integer_operation(expr.op, a, b, "i64", lambda text: self.emitter.pure(depth, text)), depth


_FOLD: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "floordiv": lambda a, b: a // b if b else 0,
    "mod": lambda a, b: a % b if b else 0,
    "min": min,
    "max": max,
}
