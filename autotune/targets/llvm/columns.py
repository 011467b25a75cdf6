"""Vectors whose lanes lie a row apart in memory, loaded as blocks of neighbouring columns.

A gather reads its lanes one by one. Where rows are whole blocks of 16 bytes, the block around a column is loaded from
each row instead, and in-register interleaving turns the rows into columns: the neighbours of the column come for free,
as in the 4x4 transposes that Intel's optimisation manual (section on SIMD transposition) builds larger ones from.
"""

from __future__ import annotations

from autotune.lowering.ir import Buffer
from autotune.targets.llvm.addresses import Place
from autotune.targets.llvm.emitter import Emitter, mangled, vector_type
from autotune.tensor_expr import dtypes

BLOCK_BYTES = 16  # what an interleaving instruction keeps together
_SIZES = (4, 8)  # bytes of an element


def loads_columns(buffer: Buffer, place: Place) -> bool:
    """Whether blocks of columns around any element that the place names lie inside the buffer."""
    size = dtypes.itemsize(buffer.dtype)
    if size not in _SIZES or buffer.dtype == "bool":
        return False
    steps = [buffer.bytes // size, place.lane_step, *(coefficient for _, coefficient in place.terms)]
    return all(step % (BLOCK_BYTES // size) == 0 for step in steps)


def load_columns(
    emitter: Emitter, dtype: str, pointer: str, step: int, rows: int, width: int
) -> list[str]:  # fmt: skip
    """The columns of the block at ``pointer``: lane r of each is from row r, ``step`` elements further than row r - 1.

    Lanes from ``rows`` on are undefined.
    """
    size = dtypes.itemsize(dtype)
    columns = BLOCK_BYTES // size
    lanes = max(columns, 1 << (width - 1).bit_length())
    part, whole = vector_type(dtype, columns), vector_type(dtype, lanes)
    insert = f"llvm.vector.insert.{mangled(dtype, lanes)}.{mangled(dtype, columns)}"
    vectors = []
    for first in range(columns):
        vector = "poison"
        for row in range(first, min(rows, lanes), columns):
            at = emitter.local(f"getelementptr i8, ptr {pointer}, i64 {row * step * size}") if row else pointer
            block = emitter.emit(f"load {part}, ptr {at}, align {size}")
            if lanes == columns:
                vector = block
            else:
                emitter.declare(f"{whole} @{insert}({whole}, {part}, i64)", insert)
                vector = emitter.emit(f"call {whole} @{insert}({whole} {vector}, {part} {block}, i64 {row - first})")
        vectors.append(vector)
    vectors = _interleaved(emitter, whole, vectors, lanes)
    if lanes == width:
        return vectors
    kept = ", ".join(f"i32 {lane}" for lane in range(width))
    return [
        emitter.emit(f"shufflevector {whole} {vector}, {whole} poison, <{width} x i32> <{kept}>") for vector in vectors
    ]


def _interleaved(emitter: Emitter, kind: str, vectors: list[str], lanes: int) -> list[str]:
    """Within each block of as many lanes as there are vectors, the transpose."""
    count = len(vectors)
    masks = []
    for start in (0, count // 2):
        picked = (lane - lane % count + start + lane % count // 2 + lane % 2 * lanes for lane in range(lanes))
        masks.append(", ".join(f"i32 {lane}" for lane in picked))
    for _ in range(count.bit_length() - 1):
        vectors = [
            emitter.emit(f"shufflevector {kind} {a}, {kind} {b}, <{lanes} x i32> <{mask}>")
            for a, b in zip(vectors[: count // 2], vectors[count // 2 :], strict=True)
            for mask in masks
        ]
    return vectors
