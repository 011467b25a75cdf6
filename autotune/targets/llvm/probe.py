"""A probe of what the processor can do right now: a loop of nothing but independent vector FMAs.

Clocks drift within a run, so a time means little by itself; a fraction of the peak read beside it does.
"""

from __future__ import annotations

import functools

from autotune.errors import TargetError
from autotune.targets.instruments import Instruments, Probe
from autotune.targets.llvm.flush import flush_object
from autotune.targets.llvm.memory_probe import memory_probe
from autotune.targets.llvm.timer import emit_object, host_features, host_triple, timer_object

_ELEMENTS = {"float16": ("half", 2), "float32": ("float", 4), "float64": ("double", 8)}
_UNROLL = 4  # the branch shares ports with the FMAs: it must be rare


@functools.cache
def fma_probe(dtype: str, lanes: int, triple: str, features: str) -> Probe:
    """A probe for vectors of ``lanes`` elements of a floating-point ``dtype``; raises TargetError for other dtypes."""
    element, size = _element(dtype)
    vector, width = f"<{lanes} x {element}>", lanes * size
    # 8 sums cover two ports of 4 cycles' latency (x86), 16 cover four (the widest ARM cores); two more registers hold
    # the factors. x86 has 16 registers below 512 bits.
    count = 12 if triple.startswith("x86_64") and width < 64 else 24
    load = [f"  %p{i} = getelementptr i8, ptr %data, i64 {i * width}" for i in range(count + 2)]
    load += [f"  %v{i} = load {vector}, ptr %p{i}, align {size}" for i in range(count + 2)]
    phi = [f"  %a0.{i} = phi {vector} [ %v{i}, %entry ], [ %a{_UNROLL}.{i}, %loop ]" for i in range(count)]
    # Where there is no FMA, fmuladd is a multiplication and an addition, where fma would call the C library.
    body = [
        f"  %a{u + 1}.{i} = call {vector} @llvm.fmuladd({vector} %v{count}, {vector} %v{count + 1}, {vector} %a{u}.{i})"
        for u in range(_UNROLL)
        for i in range(count)
    ]
    store = [f"  store {vector} %a{_UNROLL}.{i}, ptr %p{i}, align {size}" for i in range(count)]
    lines = [
        f"declare {vector} @llvm.fmuladd({vector}, {vector}, {vector})",
        "define void @fma_probe(ptr %arguments) {", "entry:", "  %data = load ptr, ptr %arguments",
        "  %second = getelementptr ptr, ptr %arguments, i64 1", "  %counter = load ptr, ptr %second",
        "  %iterations = load i64, ptr %counter", *load, "  br label %loop",
        "loop:", "  %n = phi i64 [ %iterations, %entry ], [ %n1, %loop ]", *phi, *body,
        "  %n1 = sub i64 %n, 1", "  %more = icmp sgt i64 %n1, 0", "  br i1 %more, label %loop, label %exit",
        "exit:", *store, "  ret void", "}",
    ]  # fmt: skip
    code = emit_object("\n".join(lines), triple, features)
    return Probe(code, 2 * lanes * count * _UNROLL, (count + 2) * width)


def host_instruments(vector_bytes: int, dtype: str = "float32", moved: tuple[int, int] | None = None) -> Instruments:
    """What a measuring worker on this machine needs; ``vector_bytes`` is the width of its vector registers.

    ``moved`` are the bytes that a task bound by memory reads and writes.
    """
    triple, features = host_triple(), host_features()
    lanes = vector_bytes // _element(dtype)[1]
    memory = None if moved is None else memory_probe(*moved, vector_bytes, triple, features)
    return Instruments(timer_object(triple), flush_object(triple), fma_probe(dtype, lanes, triple, features), memory)


def _element(dtype: str) -> tuple[str, int]:
    if dtype not in _ELEMENTS:
        raise TargetError(f"no peak probe for {dtype}; known: {', '.join(_ELEMENTS)}")
    return _ELEMENTS[dtype]
