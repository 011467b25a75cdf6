"""Vectors of every second element, loaded as two whole vectors.

A gather reads its lanes one by one. The elements from the first lane's to the last lane's fit two vectors, out of which
one instruction picks every second; nothing outside of them is read.
"""

from __future__ import annotations

from autotune.targets.llvm.arithmetic import vector_literal
from autotune.targets.llvm.emitter import Emitter, mangled, vector_type
from autotune.tensor_expr import dtypes


def load_every_second(emitter: Emitter, dtype: str, pointer: str, active: int, width: int) -> str:
    """Lane l holds element 2 * l behind ``pointer``, for the first ``active`` lanes; the others are undefined."""
    size, span = dtypes.itemsize(dtype), 2 * active - 1
    start = min(width, span) - 1 if active == width else width
    first = _load(emitter, dtype, pointer, min(span, width), width)
    if span <= width:
        second = first
    else:
        further = emitter.local(f"getelementptr i8, ptr {pointer}, i64 {start * size}")
        second = _load(emitter, dtype, further, span - start, width)
    picked = (2 * lane if 2 * lane < width else 2 * lane - start + width for lane in range(active))
    lanes = [*map(str, picked), *("poison" for _ in range(width - active))]
    kind = vector_type(dtype, width)
    return emitter.emit(
        f"shufflevector {kind} {first}, {kind} {second}, <{width} x i32> <{', '.join(f'i32 {lane}' for lane in lanes)}>"
    )


def _load(emitter: Emitter, dtype: str, pointer: str, count: int, width: int) -> str:
    """A vector of which the first ``count`` lanes are read."""
    kind, align = vector_type(dtype, width), dtypes.itemsize(dtype)
    if count == width:
        return emitter.emit(f"load {kind}, ptr {pointer}, align {align}")
    name, bools = f"llvm.masked.load.{mangled(dtype, width)}.p0", vector_type("bool", width)
    emitter.declare(f"{kind} @{name}(ptr, {bools}, {kind})", name)
    mask = vector_literal([int(lane < count) for lane in range(width)], "i1")
    return emitter.emit(f"call {kind} @{name}(ptr align {align} {pointer}, {bools} {mask}, {kind} zeroinitializer)")
