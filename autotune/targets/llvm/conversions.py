"""Conversions between dtypes, and between a value in a register and its bits in memory. No library is called.

A narrow floating point value (float16, bfloat16) is a ``float`` in registers and an i16 in memory; a bool is an i1 and
a byte that is 0 or 1.
"""

from __future__ import annotations

from autotune.targets.llvm.arithmetic import comparison, literal
from autotune.targets.llvm.emitter import TYPES, Emitter, mangled, vector_type
from autotune.targets.llvm.lanes import FloatLanes
from autotune.tensor_expr import dtypes

STORED = {"bool": "uint8", "float16": "int16", "bfloat16": "int16"}  # what memory holds, where that differs
_EXACT_IN_FLOAT32 = 2  # bytes of the integers that are


def from_memory(emitter: Emitter, name: str, dtype: str, width: int) -> str:
    """The value that loaded bits stand for."""
    if dtype not in STORED:
        return name
    stored, kind = vector_type(STORED[dtype], width), vector_type(dtype, width)
    if dtype == "bool":
        return emitter.emit(f"trunc {stored} {name} to {kind}")
    if dtype == "float16":
        half = _half(width)
        return emitter.emit(f"fpext {half} {emitter.emit(f'bitcast {stored} {name} to {half}')} to {kind}")
    lanes = FloatLanes(emitter, "float32", width)
    wide = emitter.emit(f"zext {stored} {name} to {lanes.whole}")
    return lanes.from_bits(lanes.integers("shl", wide, lanes.number(16)))


def to_memory(emitter: Emitter, name: str, dtype: str, width: int) -> str:
    """The bits that are stored for a value: a narrow one is rounded to nearest, ties to even."""
    if dtype not in STORED:
        return name
    stored, kind = vector_type(STORED[dtype], width), vector_type(dtype, width)
    if dtype == "bool":
        return emitter.emit(f"zext {kind} {name} to {stored}")
    if dtype == "float16":
        half = _half(width)
        return emitter.emit(f"bitcast {half} {emitter.emit(f'fptrunc {kind} {name} to {half}')} to {stored}")
    lanes = FloatLanes(emitter, "float32", width)
    bits = lanes.bits(name)
    # Adding just less than half of what is dropped, and one more where the last bit that stays is odd.
    last = lanes.integers("and", lanes.integers("lshr", bits, lanes.number(16)), lanes.number(1))
    rounded = lanes.integers("add", lanes.integers("add", bits, lanes.number(0x7FFF)), last)
    quiet = lanes.integers("or", bits, lanes.number(0x400000))
    test = lanes.compare("uno", name, name)
    chosen = emitter.emit(f"select {lanes.bools} {test}, {lanes.whole} {quiet}, {lanes.whole} {rounded}")
    return emitter.emit(f"trunc {lanes.whole} {lanes.integers('lshr', chosen, lanes.number(16))} to {stored}")


def _half(width: int) -> str:
    return f"<{width} x half>" if width > 1 else "half"


def converted(emitter: Emitter, name: str, source: str, target: str, width: int) -> str:
    """The value as ``autotune.tensor_expr.dtypes`` defines casts."""
    if source == target:
        return name
    kind, goal = vector_type(source, width), vector_type(target, width)
    if target == "bool":
        zero = literal(0, source)
        zeros = f"<{', '.join([f'{TYPES[source]} {zero}'] * width)}>" if width > 1 else zero
        return emitter.emit(comparison("ne", name, zeros, source, width))
    if target in dtypes.NARROW:
        return _narrowed(emitter, name, source, target, width)
    if dtypes.is_float(source):
        if dtypes.is_float(target):
            return _resized(emitter, name, kind, goal, "fptrunc" if source == "float64" else "fpext")
        return _saturated(emitter, name, source, target, width)
    if dtypes.is_float(target):
        return emitter.emit(f"{'uitofp' if source in dtypes.UNSIGNED else 'sitofp'} {kind} {name} to {goal}")
    if source == "bool" or dtypes.itemsize(target) > dtypes.itemsize(source):
        return emitter.emit(f"{'zext' if source in dtypes.UNSIGNED else 'sext'} {kind} {name} to {goal}")
    return _resized(emitter, name, kind, goal, "trunc")


def _resized(emitter: Emitter, name: str, kind: str, goal: str, op: str) -> str:
    return name if kind == goal else emitter.emit(f"{op} {kind} {name} to {goal}")


def _saturated(emitter: Emitter, name: str, source: str, target: str, width: int) -> str:
    kind, goal = vector_type(source, width), vector_type(target, width)
    op = "fptoui" if target in dtypes.UNSIGNED else "fptosi"
    full = f"llvm.{op}.sat.{mangled(target, width)}.{mangled(source, width)}"
    emitter.declare(f"{goal} @{full}({kind})", full)
    return emitter.emit(f"call {goal} @{full}({kind} {name})")


def _narrowed(emitter: Emitter, name: str, source: str, target: str, width: int) -> str:
    """Rounded once to a narrow type, and wide again."""
    if dtypes.is_float(source) or dtypes.itemsize(source) <= _EXACT_IN_FLOAT32:
        wide = "float64" if source == "float64" else "float32"
    else:
        wide = "float64"
    name = converted(emitter, name, source, wide, width)
    if wide == "float64":
        name = _rounded_to_odd(FloatLanes(emitter, "float64", width), name)
    return from_memory(emitter, to_memory(emitter, name, target, width), target, width)


def _rounded_to_odd(wide: FloatLanes, name: str) -> str:
    """A float32 that rounding once more takes to where rounding the float64 directly would.

    Source: S. Boldo and G. Melquiond, Emulation of FMA and correctly rounded sums (2008).
    """
    lanes = wide.as_type("float32")
    near = wide.narrowed(name)
    back = lanes.widened(near)
    above = wide.compare("ogt", wide.call("fabs", back), wide.call("fabs", name))
    inexact = wide.compare("one", back, name)
    bits = lanes.bits(near)
    down = lanes.emit(f"sext {lanes.bools} {above} to {lanes.whole}")
    last = lanes.emit(f"zext {lanes.bools} {inexact} to {lanes.whole}")
    return lanes.from_bits(lanes.integers("or", lanes.integers("add", bits, down), last))
