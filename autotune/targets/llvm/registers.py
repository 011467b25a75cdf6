"""Which local buffers live in registers, and their cells as SSA values.

A buffer lives in registers when every access to it has indices made of constants, unrolled variables and at most one
vectorised variable, along one and the same dimension in all stores. A cell is then one vector along that dimension, and a
store just names a new SSA value. A load along another dimension is a transpose of a block of cells, done once for the
block by a network of shuffles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from autotune.lowering.ir import Allocate, Buffer, For, Function, Stmt, Store, children, loads
from autotune.targets.llvm.emitter import Emitter, vector_type
from autotune.tensor_expr.affine import Affine, affine
from autotune.tensor_expr.expr import Const, Expr, Var

MAX_CELLS = 256
MAX_LANES = 64


def register_buffers(function: Function) -> dict[Buffer, int | None]:
    """The buffers that live in registers, each with the dimension that its vectors run along (None: scalars)."""
    survey = _Survey()
    survey.visit(function.body, {}, 0)
    return survey.accepted()


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
        self.refused: set[Buffer] = set()
        self.dims: dict[Buffer, set[int | None]] = {}
        self.cells: dict[Buffer, dict[tuple[int, ...], tuple[int, int]]] = {}  # first element -> (width, active)

    def visit(self, stmt: Stmt, loops: Mapping[Var, _Open], home: int) -> None:
        if isinstance(stmt, For):
            constant = isinstance(stmt.extent, Const)
            kind = stmt.kind if constant and stmt.kind in ("unroll", "vectorize") else "serial"
            extent = int(stmt.extent.value) if isinstance(stmt.extent, Const) else 0
            inner = id(stmt) if stmt.kind == "parallel" else home
            self.visit(stmt.body, {**loops, stmt.var: _Open(kind, extent, stmt.lanes)}, inner)
            return
        if isinstance(stmt, Allocate):
            self.homes[stmt.buffer] = home
            if prod(stmt.buffer.shape) > MAX_CELLS * MAX_LANES:
                self.refused.add(stmt.buffer)
        for inner_stmt in children(stmt):
            self.visit(inner_stmt, loops, home)
        if isinstance(stmt, Store):
            self._access(stmt.buffer, stmt.indices, loops, home, store=True)
        for load in loads(stmt):
            self._access(load.buffer, load.indices, loops, home, store=False)

    def _access(
        self, buffer: Buffer, indices: tuple[Expr, ...], loops: Mapping[Var, _Open], home: int, store: bool
    ) -> None:
        if buffer.role != "local" or buffer in self.refused:
            return
        forms = [affine(index) for index in indices]
        vector_dims: list[int] = []
        for dim, form in enumerate(forms):
            for atom, coefficient in form.terms.values():
                kind = loops[atom].kind if isinstance(atom, Var) and atom in loops else "serial"
                if kind == "serial" or (kind == "vectorize" and coefficient != 1):
                    self.refused.add(buffer)
                elif kind == "vectorize":
                    vector_dims.append(dim)
        if len(vector_dims) > 1 or self.homes[buffer] != home:
            self.refused.add(buffer)
        if store and buffer not in self.refused:
            dim = vector_dims[0] if vector_dims else None
            self.dims.setdefault(buffer, set()).add(dim)
            self._cells(buffer, forms, loops, dim)

    def _cells(self, buffer: Buffer, forms: list[Affine], loops: Mapping[Var, _Open], dim: int | None) -> None:
        """Every cell that a store writes; a buffer whose cells overlap or change their width stays in memory."""
        around = [(var, loop) for var, loop in loops.items() if loop.kind == "vectorize"]
        width, active = (around[0][1].lanes, around[0][1].extent) if dim is not None else (1, 1)
        used = sorted({atom for form in forms for atom, _ in form.terms.values()}, key=id)
        unrolled = [var for var in used if isinstance(var, Var) and loops[var].kind == "unroll"]
        cells = self.cells.setdefault(buffer, {})
        if prod(loops[var].extent for var in unrolled) > MAX_CELLS:
            self.refused.add(buffer)
            return
        for values in product(*(range(loops[var].extent) for var in unrolled)):
            constants = dict(zip(unrolled, values, strict=True))
            start = tuple(register_index(form, constants) for form in forms)
            if cells.setdefault(start, (width, active)) != (width, active):
                self.refused.add(buffer)

    def accepted(self) -> dict[Buffer, int | None]:
        found: dict[Buffer, int | None] = {}
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
            if any(start + width > following for (start, width), (following, _) in zip(row, row[1:], strict=False)):
                return True
        return False


Cells = dict[tuple[int, ...], dict[int, tuple[str, int]]]


class Registers:
    """The cells of all register buffers: ``cells[buffer][other indices][start] = (value, width)``."""

    def __init__(self, emitter: Emitter, dims: Mapping[Buffer, int | None]) -> None:
        self.emitter = emitter
        self.dims = dims
        self.cells: dict[Buffer, Cells] = {}
        self.transposed: dict[Any, list[str]] = {}

    def split(self, buffer: Buffer, index: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        """A cell's key: the indices without the vector dimension, and the place along that."""
        dim = self.dims[buffer]
        return (index, 0) if dim is None else ((*index[:dim], *index[dim + 1 :]), index[dim])

    def store(self, buffer: Buffer, index: tuple[int, ...], value: str, width: int) -> None:
        """A cell takes a new value."""
        key, start = self.split(buffer, index)
        self.cells.setdefault(buffer, {}).setdefault(key, {})[start] = (value, width)
        self.transposed.clear()

    def load(self, buffer: Buffer, index: tuple[int, ...], along: int | None, width: int) -> str:
        """``width`` elements from a constant index on, along a dimension (None: one element)."""
        dim = self.dims[buffer]
        key, start = self.split(buffer, index)
        if along is None:
            return self._element(buffer, index)
        if along == dim:
            held = self.cells.get(buffer, {}).get(key, {}).get(start)
            if held is not None and held[1] == width:
                return held[0]
        elif dim is not None:
            block = self._transposed(buffer, index, along, width)
            if block is not None:
                return block
        parts = [self._element(buffer, (*index[:along], index[along] + i, *index[along + 1 :])) for i in range(width)]
        return self._assemble(buffer.dtype, parts)

    def _element(self, buffer: Buffer, index: tuple[int, ...]) -> str:
        key, place = self.split(buffer, index)
        for start, (value, width) in self.cells.get(buffer, {}).get(key, {}).items():
            if start <= place < start + width:
                if width == 1:
                    return value
                kind = vector_type(buffer.dtype, width)
                return self.emitter.emit(f"extractelement {kind} {value}, i64 {place - start}")
        return "poison"  # beyond the valid lanes of a partial vector: computed, never stored

    def _assemble(self, dtype: str, parts: list[str]) -> str:
        kind, element = vector_type(dtype, len(parts)), vector_type(dtype, 1)
        vector = "poison"
        for lane, part in enumerate(parts):
            vector = self.emitter.emit(f"insertelement {kind} {vector}, {element} {part}, i64 {lane}")
        return vector

    def _transposed(self, buffer: Buffer, index: tuple[int, ...], along: int, width: int) -> str | None:
        """A row of the transpose of the cells at ``index[along] ...``; None where they are no regular block."""
        dim = self.dims[buffer]
        assert dim is not None
        cells = self.cells.get(buffer, {})
        rows: list[tuple[str, int]] = []
        place = index[dim]
        start = -1
        for step in range(width):
            row = (*index[:along], index[along] + step, *index[along + 1 :])
            key, _ = self.split(buffer, row)
            for begin, held in cells.get(key, {}).items():
                if begin <= place < begin + held[1] and start in (-1, begin):
                    start = begin
                    rows.append(held)
        lanes = rows[0][1] if rows else 0
        if lanes < 2 or lanes & (lanes - 1) or width > lanes or any(held[1] != lanes for held in rows) or not rows:
            return None
        memo = (buffer, tuple(value for value, _ in rows), lanes)
        if memo not in self.transposed:
            self.transposed[memo] = self._transpose(buffer.dtype, [value for value, _ in rows], lanes)
        value = self.transposed[memo][place - start]
        return value if width == lanes else self.resize(buffer.dtype, value, lanes, width)

    def _transpose(self, dtype: str, rows: list[str], lanes: int) -> list[str]:
        """The transpose of up to ``lanes`` vectors of ``lanes`` elements: log2(lanes) rounds of interleaving."""
        kind = vector_type(dtype, lanes)
        half = lanes // 2
        low = ", ".join(f"i32 {i // 2 + (lanes if i % 2 else 0)}" for i in range(lanes))
        high = ", ".join(f"i32 {half + i // 2 + (lanes if i % 2 else 0)}" for i in range(lanes))
        block = rows + ["poison"] * (lanes - len(rows))
        for _ in range(lanes.bit_length() - 1):
            following: list[str] = []
            for a, b in zip(block[:half], block[half:], strict=True):
                for mask in (low, high):
                    if a == b == "poison":
                        following.append("poison")
                    else:
                        text = f"shufflevector {kind} {a}, {kind} {b}, <{lanes} x i32> <{mask}>"
                        following.append(self.emitter.emit(text))
            block = following
        return block

    def resize(self, dtype: str, value: str, lanes: int, width: int) -> str:
        """The first ``width`` of a vector's lanes; lanes beyond the vector are undefined."""
        mask = ", ".join(f"i32 {i}" if i < lanes else "i32 poison" for i in range(width))
        kind = vector_type(dtype, lanes)
        return self.emitter.emit(f"shufflevector {kind} {value}, {kind} poison, <{width} x i32> <{mask}>")


def register_index(form: Affine, constants: Mapping[Var, int]) -> int:
    """The constant part of a register access's index, unrolled variables at their values."""
    total = form.const
    for atom, coefficient in form.terms.values():
        if isinstance(atom, Var) and atom in constants:
            total += coefficient * constants[atom]
    return total
