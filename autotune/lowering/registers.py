"""Which local buffers can live in registers.

Those of which every access has indices made of constants, unrolled variables and at most one vectorised variable, along
one and the same dimension in all stores, whose vectors neither overlap nor change their width. And in which no
iteration of a loop finds what an earlier one was the first to store: a loop carries only the registers it begins with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise, product
from math import prod

from autotune.errors import ScheduleError
from autotune.lowering.ir import (
    Allocate,
    Buffer,
    For,
    Function,
    If,
    Stmt,
    children,
    in_sequence,
    loads,
    stores,
)
from autotune.lowering.printer import show_expr
from autotune.tensor_expr.affine import Affine, affine
from autotune.tensor_expr.expr import Const, Expr, Var

MAX_CELLS = 256
MAX_LANES = 64


def register_buffers(function: Function) -> dict[Buffer, int | None]:
    """The buffers that live in registers, each with the dimension that its vectors run along (None: scalars).

    Raises ``ScheduleError`` for a buffer whose scope demands it and whose accesses do not allow it.
    """
    survey = _Survey()
    survey.visit(function.body, {}, 0)
    found = survey.accepted()
    for buffer in survey.homes:
        if buffer.scope == "register" and buffer not in found:
            why = survey.refused.get(buffer, "its vectors overlap or differ in width or direction")
            raise ScheduleError(f"stage {buffer.name!r} cannot live in registers: {why}")
    return found


@dataclass(frozen=True, slots=True)
class _Open:
    """A loop around an access: how many iterations it writes out or has lanes (0: unknown), and of those the active."""

    kind: str
    extent: int
    lanes: int = 0


class _Survey:
    """Collects, per local buffer, what its accesses look like."""

    def __init__(self) -> None:
        self.homes: dict[Buffer, int] = {}  # the parallel loop that the buffer is allocated in
        self.refused: dict[Buffer, str] = {}  # why
        self.dims: dict[Buffer, set[int | None]] = {}
        self.cells: dict[Buffer, dict[tuple[int, ...], tuple[int, int]]] = {}  # first element -> (width, active)
        self.written: frozenset[Buffer] = frozenset()  # whatever way the run took to here
        self.outside: dict[Buffer, frozenset[Var]] = {}  # the loops that an allocation is in
        self.storing: dict[Buffer, set[Var]] = {}  # the serial loops that stores are in
        self.finding: dict[Buffer, set[Var]] = {}  # those that loads are in which no store precedes

    def visit(self, stmt: Stmt, loops: Mapping[Var, _Open], home: int) -> None:
        for inner in in_sequence(stmt):
            self._one(inner, loops, home)

    def _one(self, stmt: Stmt, loops: Mapping[Var, _Open], home: int) -> None:
        """One statement; an allocation without what it holds."""
        if isinstance(stmt, For):
            constant = isinstance(stmt.extent, Const)
            kind = stmt.kind if constant and stmt.kind in ("unroll", "vectorize") else "serial"
            extent = int(stmt.extent.value) if isinstance(stmt.extent, Const) else 0
            inner, before = id(stmt) if stmt.kind == "parallel" else home, self.written
            self.visit(stmt.body, {**loops, stmt.var: _Open(kind, extent, stmt.lanes)}, inner)
            if not extent:  # it may run no iteration
                self.written = before
            return
        if isinstance(stmt, If):
            before = self.written
            self.visit(stmt.then, loops, home)
            then, self.written = self.written, before
            if stmt.otherwise is not None:
                self.visit(stmt.otherwise, loops, home)
            self.written &= then
            for load in loads(stmt):
                self._access(load.buffer, load.indices, loops, home, store=False)
            return
        if isinstance(stmt, Allocate):
            self.homes[stmt.buffer] = home
            self.outside[stmt.buffer] = frozenset(loops)
            self.written -= {stmt.buffer}
            if stmt.buffer.scope in ("stack", "workspace"):
                self.refused[stmt.buffer] = f"its scope is {stmt.buffer.scope}"
            elif prod(stmt.buffer.shape) > MAX_CELLS * MAX_LANES:
                self.refused[stmt.buffer] = f"it has {prod(stmt.buffer.shape)} elements"
        else:
            for part in children(stmt):
                self.visit(part, loops, home)
        for load in loads(stmt):
            self._access(load.buffer, load.indices, loops, home, store=False)
        for store in stores(stmt):
            self._access(store.buffer, store.indices, loops, home, store=True)

    def _access(
        self, buffer: Buffer, indices: tuple[Expr, ...], loops: Mapping[Var, _Open], home: int, store: bool
    ) -> None:
        if buffer.role != "local" or buffer in self.refused:
            return
        if store or buffer not in self.written:
            serial = (var for var, loop in loops.items() if loop.kind == "serial" and var not in self.outside[buffer])
            (self.storing if store else self.finding).setdefault(buffer, set()).update(serial)
        if store:
            self.written |= {buffer}
        forms = [affine(index) for index in indices]
        vector_dims: list[int] = []
        for dim, form in enumerate(forms):
            for atom, coefficient in form.terms.values():
                kind = loops[atom].kind if isinstance(atom, Var) and atom in loops else "serial"
                if kind == "serial" or (kind == "vectorize" and coefficient != 1):
                    access = f"{buffer.name}[{', '.join(map(show_expr, indices))}]"
                    self.refused[buffer] = f"{access} moves with {show_expr(atom)}, which is not unrolled or vectorized"
                elif kind == "vectorize":
                    vector_dims.append(dim)
        if len(vector_dims) > 1 or self.homes[buffer] != home:
            access = f"{buffer.name}[{', '.join(map(show_expr, indices))}]"
            self.refused[buffer] = f"{access} is in another thread, or moves with vectors in two dimensions"
        if store and buffer not in self.refused:
            along = vector_dims[0] if vector_dims else None
            self.dims.setdefault(buffer, set()).add(along)
            self._cells(buffer, forms, loops, along)

    def _cells(self, buffer: Buffer, forms: list[Affine], loops: Mapping[Var, _Open], dim: int | None) -> None:
        """Every cell that a store writes; a buffer whose cells overlap or change their width stays in memory."""
        around = [(var, loop) for var, loop in loops.items() if loop.kind == "vectorize"]
        width, active = (around[0][1].lanes, around[0][1].extent) if dim is not None else (1, 1)
        used = sorted({atom for form in forms for atom, _ in form.terms.values()}, key=id)
        unrolled = [var for var in used if isinstance(var, Var) and loops[var].kind == "unroll"]
        cells = self.cells.setdefault(buffer, {})
        if prod(loops[var].extent for var in unrolled) > MAX_CELLS:
            self.refused[buffer] = f"unrolled loops write more than {MAX_CELLS} vectors"
            return
        for values in product(*(range(loops[var].extent) for var in unrolled)):
            constants = dict(zip(unrolled, values, strict=True))
            start = tuple(_at(form, constants) for form in forms)
            if cells.setdefault(start, (width, active)) != (width, active):
                self.refused[buffer] = "its vectors differ in width"

    def accepted(self) -> dict[Buffer, int | None]:
        found: dict[Buffer, int | None] = {}
        for buffer, places in self.finding.items():
            for var in sorted(places & self.storing.get(buffer, set()), key=lambda var: var.name):
                self.refused.setdefault(buffer, f"iterations of {var.name} read what an earlier one stored first")
        for buffer, seen in self.dims.items():
            if buffer in self.refused or len(seen) != 1 or len(self.cells[buffer]) > MAX_CELLS:
                continue
            (along,) = seen
            if along is None or not self._overlapping(buffer, along):
                found[buffer] = along
        return found

    def _overlapping(self, buffer: Buffer, dim: int) -> bool:
        rows: dict[tuple[int, ...], list[tuple[int, int]]] = {}
        for start, (width, _) in self.cells[buffer].items():
            rows.setdefault((*start[:dim], *start[dim + 1 :]), []).append((start[dim], width))
        for row in rows.values():
            row.sort()
            if any(start + width > following for (start, width), (following, _) in pairwise(row)):
                return True
        return False


def _at(form: Affine, constants: Mapping[Var, int]) -> int:
    """The constant part of an index, unrolled variables at their values."""
    total = form.const
    for atom, coefficient in form.terms.values():
        if isinstance(atom, Var) and atom in constants:
            total += coefficient * constants[atom]
    return total
