"""The cells of buffers that live in registers, as SSA values.

A cell is one vector along the dimension that ``autotune.lowering.registers`` found, and a store just names a new SSA
value. A load along another dimension is a transpose of a block of cells, done once for the block by a network of
shuffles.
"""

from __future__ import annotations

from collections.abc import Mapping

from autotune.lowering.ir import Buffer
from autotune.targets.llvm.emitter import Emitter, vector_type

Cells = dict[tuple[int, ...], dict[int, tuple[str, int]]]
_UNWRITTEN = ("poison", 0)


def copied(cells: Mapping[Buffer, Cells]) -> dict[Buffer, Cells]:
    """The cells of all buffers, to be changed without changing the others'."""
    return {buffer: {key: dict(row) for key, row in rows.items()} for buffer, rows in cells.items()}


class Registers:
    """The cells of all register buffers: ``cells[buffer][other indices][start] = (value, width)``."""

    def __init__(self, emitter: Emitter, dims: Mapping[Buffer, int | None]) -> None:
        self.emitter = emitter
        self.dims = dims
        self.cells: dict[Buffer, Cells] = {}

    def split(self, buffer: Buffer, index: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        """A cell's key: the indices without the vector dimension, and the place along that."""
        dim = self.dims[buffer]
        return (index, 0) if dim is None else ((*index[:dim], *index[dim + 1 :]), index[dim])

    def store(self, buffer: Buffer, index: tuple[int, ...], value: str, width: int) -> None:
        """A cell takes a new value."""
        key, start = self.split(buffer, index)
        self.cells.setdefault(buffer, {}).setdefault(key, {})[start] = (value, width)

    def merge(self, one: tuple[str, Mapping[Buffer, Cells]], other: tuple[str, Mapping[Buffer, Cells]]) -> None:
        """Where two arms meet, each the label of its last block and its cells: phis for what differs."""
        (label_a, cells_a), (label_b, cells_b) = one, other
        self.cells = {}
        for buffer in dict.fromkeys((*cells_a, *cells_b)):
            rows_a, rows_b = cells_a.get(buffer, {}), cells_b.get(buffer, {})
            for key in {**rows_a, **rows_b}:
                row_a, row_b = rows_a.get(key, {}), rows_b.get(key, {})
                for start in {**row_a, **row_b}:
                    width = (row_a.get(start) or row_b[start])[1]
                    # A cell that one arm alone has written is read only where that arm has run.
                    a, b = row_a.get(start, _UNWRITTEN)[0], row_b.get(start, _UNWRITTEN)[0]
                    merged = a
                    if a != b:
                        kind = vector_type(buffer.dtype, width)
                        merged = self.emitter.emit(f"phi {kind} [{a}, %{label_a}], [{b}, %{label_b}]")
                    self.cells.setdefault(buffer, {}).setdefault(key, {})[start] = (merged, width)

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
        values = tuple(value for value, _ in rows)
        memo, name = self.emitter.scope.loads, ("transposed", values, lanes)
        if name not in memo:
            memo[name] = self._transpose(buffer.dtype, list(values), lanes)
        value = memo[name][place - start]
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
