"""Arithmetic on scalars and vectors as LLVM instructions: constants, operators and conversions by dtype."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache

import numpy as np

from autotune.targets.llvm.emitter import Emitter, mangled, vector_type
from autotune.targets.llvm.lanes import FloatLanes
from autotune.targets.llvm.powers import emit_floordiv, emit_mod
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import BITWISE, SHIFTS

Value = tuple[str, int]  # an SSA name or a constant, and its width (1: a scalar)
Emit = Callable[[str], str]

_FLOAT_OPS = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_BOOL_OPS = {"and": "and", "min": "and", "or": "or", "max": "or", "xor": "xor"}
_FLOAT_COMPARE = {"lt": "olt", "le": "ole", "gt": "ogt", "ge": "oge", "eq": "oeq", "ne": "une"}
_SIGNED = {"lt": "slt", "le": "sle", "gt": "sgt", "ge": "sge", "eq": "eq", "ne": "ne"}
_UNSIGNED = {"lt": "ult", "le": "ule", "gt": "ugt", "ge": "uge", "eq": "eq", "ne": "ne"}


def literal(value: int | float | bool, dtype: str) -> str:
    """A scalar constant in LLVM's spelling; floats exactly, as the bits of a double."""
    if dtype == "bool":
        return "true" if value else "false"
    if dtypes.is_float(dtype):
        exact = float(dtypes.converted(np.asarray(value, np.float64), dtype))
        return f"0x{struct.unpack('>Q', struct.pack('>d', exact))[0]:016X}"
    return str(int(value))


def vector_literal(values: list[int], scalar: str) -> str:
    """A constant vector of integers."""
    return "<" + ", ".join(f"{scalar} {value}" for value in values) + ">"


def intrinsic(emitter: Emitter, name: str, dtype: str, width: int, *operands: str) -> str:
    """A call of an overloaded LLVM intrinsic whose operands and result have one type."""
    full, signature, kind = _signature(name, dtype, width, len(operands))
    if full not in emitter.declarations:
        emitter.declare(signature, full)
    passed = f", {kind} ".join(operands)
    return emitter.emit(f"call {kind} @{full}({kind} {passed})")


@cache
def _signature(name: str, dtype: str, width: int, operands: int) -> tuple[str, str, str]:
    """An intrinsic's full name, its declaration without the keyword, and the type of its operands."""
    kind, full = vector_type(dtype, width), f"llvm.{name}.{mangled(dtype, width)}"
    return full, f"{kind} @{full}({', '.join([kind] * operands)})", kind


def binary_operation(emitter: Emitter, op: str, a: str, b: str, dtype: str, width: int) -> str:
    """``a op b`` on values of one dtype and width."""
    emit, kind = emitter.emit, vector_type(dtype, width)
    if dtype == "bool":
        return emit(f"{_BOOL_OPS[op]} {kind} {a}, {b}")
    if not dtypes.is_float(dtype):
        return _integer(emitter, op, a, b, dtype, width)
    if op in ("min", "max"):
        return intrinsic(emitter, f"{op}imum", dtype, width, a, b)
    if op in ("floordiv", "mod"):
        lanes = FloatLanes(emitter, dtypes.computed(dtype), width)
        return emit_floordiv(lanes, a, b) if op == "floordiv" else emit_mod(lanes, a, b)
    return emit(f"{_FLOAT_OPS[op]} {kind} {a}, {b}")


def _integer(emitter: Emitter, op: str, a: str, b: str, dtype: str, width: int) -> str:
    emit, kind = emitter.emit, vector_type(dtype, width)
    if op in BITWISE:
        return emit(f"{op} {kind} {a}, {b}")
    if op in SHIFTS:
        return _shift(emitter, op, a, b, dtype, width)
    if dtype not in dtypes.UNSIGNED:
        return integer_operation(op, a, b, kind, emit)
    if op in ("floordiv", "mod"):
        division = "udiv" if op == "floordiv" else "urem"
        return _by_nonzero(b, kind, emit, lambda safe: emit(f"{division} {kind} {a}, {safe}"))
    return intrinsic(emitter, f"u{op}", dtype, width, a, b) if op in ("min", "max") else emit(f"{op} {kind} {a}, {b}")


def _shift(emitter: Emitter, op: str, a: str, b: str, dtype: str, width: int) -> str:
    """A shift whose amount is the width or more, or negative, shifts every bit out."""
    emit, kind, bools = emitter.emit, vector_type(dtype, width), vector_type("bool", width)
    arithmetic = op == "shr" and dtype not in dtypes.UNSIGNED
    last = _repeated(8 * dtypes.itemsize(dtype) - 1, kind)
    inside = emit(f"icmp ule {kind} {b}, {last}")
    amount = emit(f"select {bools} {inside}, {kind} {b}, {kind} {last}")
    shifted = emit(f"{'shl' if op == 'shl' else 'ashr' if arithmetic else 'lshr'} {kind} {a}, {amount}")
    return shifted if arithmetic else emit(f"select {bools} {inside}, {kind} {shifted}, {kind} {_repeated(0, kind)}")


def _repeated(value: int, kind: str) -> str:
    """A constant of an integer type, in all lanes where that is a vector."""
    if not kind.startswith("<"):
        return str(value)
    return vector_literal([value] * int(kind.split()[0][1:]), kind.split()[-1].rstrip(">"))


def _by_nonzero(b: str, kind: str, emit: Emit, divide: Callable[[str], str]) -> str:
    """A division, with the result 0 where the divisor is 0; the hardware's would trap."""
    zero = _repeated(0, kind)
    if not b.startswith("%"):
        return divide(b) if b != zero else zero
    bools = f"<{kind.split()[0][1:]} x i1>" if kind.startswith("<") else "i1"
    nothing = emit(f"icmp eq {kind} {b}, {zero}")
    result = divide(emit(f"select {bools} {nothing}, {kind} {_repeated(1, kind)}, {kind} {b}"))
    return emit(f"select {bools} {nothing}, {kind} {zero}, {kind} {result}")


def integer_operation(op: str, a: str, b: str, kind: str, emit: Emit) -> str:
    """Signed arithmetic with Python's rounding of ``//`` and ``%`` towards minus infinity."""
    bools = f"<{kind.split()[0][1:]} x i1>" if kind.startswith("<") else "i1"
    if op in ("add", "sub", "mul"):
        return emit(f"{op} {kind} {a}, {b}")
    if op in ("min", "max"):
        comparison = emit(f"icmp {'slt' if op == 'min' else 'sgt'} {kind} {a}, {b}")
        return emit(f"select {bools} {comparison}, {kind} {a}, {kind} {b}")
    if b.isdigit() and int(b) > 0 and int(b) & (int(b) - 1) == 0:
        if op == "floordiv":
            return emit(f"ashr {kind} {a}, {int(b).bit_length() - 1}")
        return emit(f"and {kind} {a}, {int(b) - 1}")
    zero = "0" if not kind.startswith("<") else "zeroinitializer"
    divide = _by_variable if b.startswith("%") or b == _repeated(-1, kind) else _rounded_down
    return _by_nonzero(b, kind, emit, lambda safe: divide(op, a, safe, kind, bools, zero, emit))


def _by_variable(op: str, a: str, b: str, kind: str, bools: str, zero: str, emit: Emit) -> str:
    """A division that must not trap where the smallest number is divided by -1, which wraps around as in NumPy."""
    one, minus = _repeated(1, kind), _repeated(-1, kind)
    negating = emit(f"icmp eq {kind} {b}, {minus}")
    safe = emit(f"select {bools} {negating}, {kind} {one}, {kind} {b}")
    result = _rounded_down(op, a, safe, kind, bools, zero, emit)
    if op == "mod":
        return result
    return emit(f"select {bools} {negating}, {kind} {emit(f'sub {kind} {zero}, {a}')}, {kind} {result}")


def _rounded_down(op: str, a: str, b: str, kind: str, bools: str, zero: str, emit: Emit) -> str:
    quotient, remainder = emit(f"sdiv {kind} {a}, {b}"), emit(f"srem {kind} {a}, {b}")
    inexact = emit(f"icmp ne {kind} {remainder}, {zero}")
    signs = emit(f"xor {kind} {remainder}, {b}")
    opposite = emit(f"icmp slt {kind} {signs}, {zero}")
    adjust = emit(f"and {bools} {inexact}, {opposite}")
    if op == "floordiv":
        step = emit(f"sext {bools} {adjust} to {kind}")
        return emit(f"add {kind} {quotient}, {step}")
    moved = emit(f"add {kind} {remainder}, {b}")
    return emit(f"select {bools} {adjust}, {kind} {moved}, {kind} {remainder}")


def comparison(op: str, a: str, b: str, dtype: str, width: int) -> str:
    """The text of a comparison."""
    kind = vector_type(dtype, width)
    if dtypes.is_float(dtype):
        return f"fcmp {_FLOAT_COMPARE[op]} {kind} {a}, {b}"
    return f"icmp {(_UNSIGNED if dtype in dtypes.UNSIGNED else _SIGNED)[op]} {kind} {a}, {b}"
