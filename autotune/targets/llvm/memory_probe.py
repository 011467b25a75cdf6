"""A probe of memory: reads and writes as many bytes as a workload has, as fast as plain vector code can.

It is the baseline of what is bound by bandwidth: at the same footprint, so that it finds the same caches.
"""

from __future__ import annotations

import functools

from autotune.targets.instruments import MemoryProbe
from autotune.targets.llvm.timer import emit_object

_BLOCK = 2048  # bytes between turns of reading and writing, so that both are under way at once
_LARGEST = 256 << 20  # bytes: beyond this, time grows with the bytes
_VECTORS = 4  # in the loops' bodies


@functools.cache
def memory_probe(read: int, written: int, vector_bytes: int, triple: str, features: str) -> MemoryProbe:
    """The probe for a workload that reads and writes so many bytes; what it moves is rounded up to whole blocks."""
    total = max(read + written, 1)
    share = min(1.0, _LARGEST / total)
    blocks = max(1, round(total * share / _BLOCK))
    step = _VECTORS * vector_bytes
    reads, writes = (-(-int(size * share) // (blocks * step)) for size in (read, written))  # steps in each block
    code = emit_object(_text(blocks, reads, writes, vector_bytes), triple, features)
    moved = blocks * step * (reads + writes)
    return MemoryProbe(code, blocks * step * reads, blocks * step * writes, total / moved)


def _text(blocks: int, reads: int, writes: int, vector_bytes: int) -> str:
    vector, step = f"<{vector_bytes // 8} x i64>", _VECTORS * vector_bytes
    lines = [
        "define void @memory_probe(ptr %arguments) {", "entry:", "  %input = load ptr, ptr %arguments",
        "  %slot = getelementptr ptr, ptr %arguments, i64 1", "  %output = load ptr, ptr %slot",
        f"  %sink = alloca {vector}, align 64", "  br label %block", "block:",
        "  %b = phi i64 [ 0, %entry ], [ %b1, %next ]",
        *(f"  %s{v} = phi {vector} [ zeroinitializer, %entry ], [ %t{v}, %next ]" for v in range(_VECTORS)),
        f"  %from = mul i64 %b, {reads * step}", f"  %to = mul i64 %b, {writes * step}",
        f"  br i1 {str(reads > 0).lower()}, label %read, label %between", "read:",
        "  %r = phi i64 [ 0, %block ], [ %r1, %read ]",
        *(f"  %a{v} = phi {vector} [ %s{v}, %block ], [ %x{v}, %read ]" for v in range(_VECTORS)),
        f"  %ro = mul i64 %r, {step}", "  %rp = add i64 %from, %ro",
    ]  # fmt: skip
    for v in range(_VECTORS):
        lines += [
            f"  %i{v} = add i64 %rp, {v * vector_bytes}", f"  %p{v} = getelementptr i8, ptr %input, i64 %i{v}",
            f"  %l{v} = load {vector}, ptr %p{v}, align {vector_bytes}", f"  %x{v} = xor {vector} %a{v}, %l{v}",
        ]  # fmt: skip
    lines += [
        "  %r1 = add i64 %r, 1", f"  %rm = icmp slt i64 %r1, {reads}", "  br i1 %rm, label %read, label %between",
        "between:",
        *(f"  %t{v} = phi {vector} [ %s{v}, %block ], [ %x{v}, %read ]" for v in range(_VECTORS)),
        f"  br i1 {str(writes > 0).lower()}, label %write, label %next", "write:",
        "  %w = phi i64 [ 0, %between ], [ %w1, %write ]", f"  %wo = mul i64 %w, {step}", "  %wp = add i64 %to, %wo",
    ]  # fmt: skip
    for v in range(_VECTORS):
        lines += [
            f"  %j{v} = add i64 %wp, {v * vector_bytes}", f"  %q{v} = getelementptr i8, ptr %output, i64 %j{v}",
            f"  store {vector} %t{v}, ptr %q{v}, align {vector_bytes}",
        ]  # fmt: skip
    lines += [
        "  %w1 = add i64 %w, 1", f"  %wm = icmp slt i64 %w1, {writes}", "  br i1 %wm, label %write, label %next",
        "next:", "  %b1 = add i64 %b, 1", f"  %bm = icmp slt i64 %b1, {blocks}",
        "  br i1 %bm, label %block, label %exit", "exit:",
        *(f"  store volatile {vector} %t{v}, ptr %sink, align 64" for v in range(_VECTORS)), "  ret void", "}",
    ]  # fmt: skip
    return "\n".join(lines)
