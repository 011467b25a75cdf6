"""Math functions without a library: generated code refers to no symbol outside itself."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from math import factorial

from autotune.targets.llvm.emitter import Emitter, mangled, vector_type

Widen = Callable[[tuple[str, int], str, int], str]

# (log2(e), high and low part of ln 2, largest argument, smallest argument, degree, mantissa bits, exponent bias)
_EXP = {
    "float32": (1.4426950408889634, 0.693359375, -2.12194440e-4, 88.7228, -103.972, 7, 23, 127),
    "float64": (1.4426950408889634, 0.693145751953125, 1.42860682030941723212e-6, 709.78, -745.1, 13, 52, 1023),
}
# High and low part of ln 2, and coefficients of (log(1 + f) - f + f**2 / 2) / (f - f**2 / 2) in s**2, s = f / (2 + f)
_LOG = {
    "float32": (
        (6.9313812256e-01, 9.0580006145e-06),
        (0.66666662693, 0.40000972152, 0.28498786688, 0.24279078841),
    ),
    "float64": (
        (6.93147180369123816490e-01, 1.90821492927058770002e-10),
        (
            6.666666666666735130e-01, 3.999999999940941908e-01, 2.857142874366239149e-01, 2.222219843214978396e-01,
            1.818357216161805012e-01, 1.531383769920937332e-01, 1.479819860511658591e-01,
        ),
    ),
}  # fmt: skip
# (tanh(x) - x) / x**3 in x**2 below 0.625: numerator and denominator, the lowest power first
_TANH = {
    "float32": (
        (-3.33332819422e-1, 1.33314422036e-1, -5.37397155531e-2, 2.06390887954e-2, -5.70498872745e-3),
        (1.0,),
    ),
    "float64": (
        (-1.61468768441708447952e3, -9.92877231001918586564e1, -9.64399179425052238628e-1),
        (4.84406305325125486048e3, 2.23548839060100448583e3, 1.12811678491632931402e2, 1.0),
    ),
}  # fmt: skip
_LAYOUT = {"float32": ("int32", 23, 127), "float64": ("int64", 52, 1023)}  # bits of the mantissa, exponent's bias


def _hex(value: float, dtype: str) -> str:
    exact = struct.unpack("f", struct.pack("f", value))[0] if dtype == "float32" else value
    return f"0x{struct.unpack('>Q', struct.pack('>d', exact))[0]:016X}"


class _Lanes:
    """Instructions on values of one floating point type and width."""

    def __init__(self, emitter: Emitter, widen: Widen, dtype: str, width: int) -> None:
        self.emitter, self.widen, self.dtype, self.width = emitter, widen, dtype, width
        self.emit = emitter.emit
        self.integer = _LAYOUT[dtype][0]
        self.kind, self.whole = vector_type(dtype, width), vector_type(self.integer, width)
        self.bools = vector_type("bool", width)

    def constant(self, value: float) -> str:
        return self.widen((_hex(value, self.dtype), 1), self.dtype, self.width)

    def number(self, value: int) -> str:
        return self.widen((str(value), 1), self.integer, self.width)

    def call(self, name: str, *operands: str) -> str:
        full = f"llvm.{name}.{mangled(self.dtype, self.width)}"
        self.emitter.declare(f"{self.kind} @{full}({', '.join([self.kind] * len(operands))})", full)
        return self.emit(f"call {self.kind} @{full}({', '.join(f'{self.kind} {operand}' for operand in operands)})")

    def binary(self, op: str, a: str, b: str) -> str:
        return self.emit(f"{op} {self.kind} {a}, {b}")

    def integers(self, op: str, a: str, b: str) -> str:
        return self.emit(f"{op} {self.whole} {a}, {b}")

    def select(self, op: str, a: str, b: str, then: str, other: str) -> str:
        """``then`` where the comparison of ``a`` and ``b`` holds."""
        test = self.emit(f"fcmp {op} {self.kind} {a}, {b}")
        return self.emit(f"select {self.bools} {test}, {self.kind} {then}, {self.kind} {other}")

    def polynomial(self, coefficients: Sequence[float], x: str) -> str:
        """By Horner's rule; the lowest power comes first."""
        value = self.constant(coefficients[-1])
        for coefficient in reversed(coefficients[:-1]):
            value = self.call("fma", value, x, self.constant(coefficient))
        return value

    def bits(self, value: str) -> str:
        return self.emit(f"bitcast {self.kind} {value} to {self.whole}")

    def from_bits(self, bits: str) -> str:
        return self.emit(f"bitcast {self.whole} {bits} to {self.kind}")


def emit_exp(emitter: Emitter, widen: Widen, x: str, dtype: str, width: int) -> str:
    """exp by range reduction to [-ln2/2, ln2/2] and a Taylor polynomial; NaN, infinities and underflow as IEEE asks.

    Source: W. J. Cody and W. Waite, Software Manual for the Elementary Functions (1980), chapter 6.
    """
    log2e, ln2_high, ln2_low, largest, smallest, degree, mantissa, bias = _EXP[dtype]
    lanes = _Lanes(emitter, widen, dtype, width)
    constant, number, call, emit = lanes.constant, lanes.number, lanes.call, lanes.emit

    clamped = lanes.select("ogt", x, constant(largest), constant(largest), x)
    clamped = lanes.select("olt", clamped, constant(smallest), constant(smallest), clamped)
    n = call("rint", lanes.binary("fmul", clamped, constant(log2e)))
    r = call("fma", n, constant(-ln2_high), clamped)
    r = call("fma", n, constant(-ln2_low), r)
    value = lanes.polynomial([1 / factorial(order) for order in range(degree + 1)], r)
    # 2**n in two factors, since n itself may be beyond the exponents that normal numbers have.
    exponent = emit(f"fptosi {lanes.kind} {n} to {lanes.whole}")
    half = lanes.integers("ashr", exponent, number(1))
    for part in (half, lanes.integers("sub", exponent, half)):
        bits = lanes.integers("shl", lanes.integers("add", part, number(bias)), number(mantissa))
        value = lanes.binary("fmul", value, lanes.from_bits(bits))
    for op, limit, result in (("ogt", largest, float("inf")), ("olt", smallest, 0.0)):
        value = lanes.select(op, x, constant(limit), constant(result), value)
    return lanes.select("uno", x, x, x, value)


def emit_log(emitter: Emitter, widen: Widen, x: str, dtype: str, width: int) -> str:
    """The natural logarithm: x is 2**k m with m near 1, and log m an odd series in (m - 1) / (m + 1).

    Source: Sun Microsystems, fdlibm 5.3 (1995), e_log.c; its coefficients for float32 as FreeBSD's msun has them.
    """
    (ln2_high, ln2_low), coefficients = _LOG[dtype]
    _, mantissa, bias = _LAYOUT[dtype]
    lanes = _Lanes(emitter, widen, dtype, width)
    constant, number, call, binary = lanes.constant, lanes.number, lanes.call, lanes.binary

    # Subnormal numbers are scaled to normal ones first.
    least, scale = constant(2.0 ** (1 - bias)), mantissa + 2
    normal = lanes.select("olt", x, least, binary("fmul", x, constant(2.0**scale)), x)
    # Counted from the square root of one half, so that m is between it and its double.
    root = struct.unpack("i", struct.pack("f", 0.5**0.5))[0] if dtype == "float32" else _double_bits(0.5**0.5)
    bits = lanes.bits(normal)
    power = lanes.integers("ashr", lanes.integers("sub", bits, number(root)), number(mantissa))
    m = lanes.from_bits(lanes.integers("sub", bits, lanes.integers("shl", power, number(mantissa))))
    k = lanes.emit(f"sitofp {lanes.whole} {power} to {lanes.kind}")
    k = lanes.select("olt", x, least, binary("fsub", k, constant(float(scale))), k)
    f = binary("fsub", m, constant(1.0))
    s = binary("fdiv", f, binary("fadd", f, constant(2.0)))
    z = binary("fmul", s, s)
    rest = binary("fmul", z, lanes.polynomial(coefficients, z))
    half = binary("fmul", binary("fmul", f, f), constant(0.5))
    value = call("fma", s, binary("fadd", half, rest), binary("fmul", k, constant(ln2_low)))
    value = call("fma", k, constant(ln2_high), binary("fadd", binary("fsub", value, half), f))
    infinity = constant(float("inf"))
    value = lanes.select("oeq", x, infinity, infinity, value)
    value = lanes.select("oeq", x, constant(0.0), constant(float("-inf")), value)
    # Unordered too, so that NaN stays NaN.
    return lanes.select("ult", x, constant(0.0), constant(float("nan")), value)


def emit_tanh(emitter: Emitter, widen: Widen, x: str, dtype: str, width: int) -> str:
    """tanh by a rational function in x**2 where |x| is small, else from exp(2 |x|).

    Source: S. L. Moshier, Methods and Programs for Mathematical Functions (1989); Cephes 2.8, tanh.c and tanhf.c.
    """
    above, below = _TANH[dtype]
    lanes = _Lanes(emitter, widen, dtype, width)
    constant, call, binary = lanes.constant, lanes.call, lanes.binary

    z = binary("fmul", x, x)
    ratio = lanes.polynomial(above, z)
    if len(below) > 1:
        ratio = binary("fdiv", ratio, lanes.polynomial(below, z))
    small = call("fma", binary("fmul", ratio, z), x, x)
    magnitude = call("fabs", x)
    power = emit_exp(emitter, widen, binary("fadd", magnitude, magnitude), dtype, width)
    rest = binary("fdiv", constant(2.0), binary("fadd", power, constant(1.0)))
    value = lanes.select("olt", magnitude, constant(0.625), small, binary("fsub", constant(1.0), rest))
    return call("copysign", value, x)


def _double_bits(value: float) -> int:
    return int(struct.unpack("q", struct.pack("d", value))[0])


EMITTERS = {"exp": emit_exp, "log": emit_log, "tanh": emit_tanh}
