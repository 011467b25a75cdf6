"""Math functions without a library: generated code refers to no symbol outside itself."""

from __future__ import annotations

import struct
from collections.abc import Callable
from math import factorial

from autotune.targets.llvm.emitter import Emitter, mangled, vector_type

Widen = Callable[[tuple[str, int], str, int], str]

# (log2(e), high and low part of ln 2, largest argument, smallest argument, degree, mantissa bits, exponent bias)
_EXP = {
    "float32": (1.4426950408889634, 0.693359375, -2.12194440e-4, 88.7228, -103.972, 7, 23, 127),
    "float64": (1.4426950408889634, 0.693145751953125, 1.42860682030941723212e-6, 709.78, -745.1, 13, 52, 1023),
}


def _hex(value: float, dtype: str) -> str:
    exact = struct.unpack("f", struct.pack("f", value))[0] if dtype == "float32" else value
    return f"0x{struct.unpack('>Q', struct.pack('>d', exact))[0]:016X}"


def emit_exp(emitter: Emitter, widen: Widen, x: str, dtype: str, width: int) -> str:
    """exp by range reduction to [-ln2/2, ln2/2] and a Taylor polynomial; NaN, infinities and underflow as IEEE asks.

    Source: W. J. Cody and W. Waite, Software Manual for the Elementary Functions (1980), chapter 6.
    """
    log2e, ln2_high, ln2_low, largest, smallest, degree, mantissa, bias = _EXP[dtype]
    kind, integer = vector_type(dtype, width), "int32" if dtype == "float32" else "int64"
    whole, bools = vector_type(integer, width), vector_type("bool", width)
    emit = emitter.emit

    def constant(value: float) -> str:
        return widen((_hex(value, dtype), 1), dtype, width)

    def number(value: int) -> str:
        return widen((str(value), 1), integer, width)

    def call(name: str, *operands: str) -> str:
        full = f"llvm.{name}.{mangled(dtype, width)}"
        emitter.declare(f"{kind} @{full}({', '.join([kind] * len(operands))})", full)
        return emit(f"call {kind} @{full}({', '.join(f'{kind} {operand}' for operand in operands)})")

    def bound(op: str, value: str, limit: float) -> str:
        test = emit(f"fcmp {op} {kind} {value}, {constant(limit)}")
        return emit(f"select {bools} {test}, {kind} {constant(limit)}, {kind} {value}")

    clamped = bound("olt", bound("ogt", x, largest), smallest)
    n = call("rint", emit(f"fmul {kind} {clamped}, {constant(log2e)}"))
    r = call("fma", n, constant(-ln2_high), clamped)
    r = call("fma", n, constant(-ln2_low), r)
    value = constant(1 / factorial(degree))
    for order in range(degree - 1, -1, -1):
        value = call("fma", value, r, constant(1 / factorial(order)))
    # 2**n in two factors, since n itself may be beyond the exponents that normal numbers have.
    exponent = emit(f"fptosi {kind} {n} to {whole}")
    half = emit(f"ashr {whole} {exponent}, {number(1)}")
    for part in (half, emit(f"sub {whole} {exponent}, {half}")):
        bits = emit(f"shl {whole} {emit(f'add {whole} {part}, {number(bias)}')}, {number(mantissa)}")
        value = emit(f"fmul {kind} {value}, {emit(f'bitcast {whole} {bits} to {kind}')}")
    for op, limit, result in (("ogt", largest, float("inf")), ("olt", smallest, 0.0)):
        test = emit(f"fcmp {op} {kind} {x}, {constant(limit)}")
        value = emit(f"select {bools} {test}, {kind} {constant(result)}, {kind} {value}")
    unordered = emit(f"fcmp uno {kind} {x}, {x}")
    return emit(f"select {bools} {unordered}, {kind} {x}, {kind} {value}")
