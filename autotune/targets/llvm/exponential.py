"""exp, exp2, log, tanh and erf without a library: generated code refers to no symbol outside itself.

Each takes the lanes to work in and a value, and returns the result's name. Errors are in units in the last place of
the result, where that is a normal number; ``tests/test_intrinsics.py`` measures them.
"""

from __future__ import annotations

import struct
from math import factorial, log

from autotune.targets.llvm.lanes import LAYOUT, FloatLanes

# log2(e), high and low part of ln 2, the largest and the smallest argument, the polynomial's degree
_EXP = {
    "float32": (1.4426950408889634, 0.693359375, -2.12194440e-4, 88.72283, -103.972, 7),
    "float64": (1.4426950408889634, 0.693145751953125, 1.42860682030941723212e-6, 709.782712893384, -745.14, 13),
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
# erf(x) / x - 1 in x**2 below 1, and exp(x**2) (1 - erf(x)) in 1 / (2 + x) above; the lowest power first.
# Interpolated at Chebyshev's nodes, in 60 digits.
_ERF = {
    "float32": (
        (
            0.12837916706, -0.37612638468, 0.11283782495, -0.026865430728, 0.0052210318079, -8.4840805405e-4,
            1.1265961026e-4, -9.6670445715e-6,
        ),
        (
            -1.642363871e-4, 0.5701232402, 1.035005466, 2.808242585, -1.763332705, 18.28048563, -30.49761756,
            15.46911144,
        ),
    ),
    "float64": (
        (
            0.1283791670955126, -0.37612638903183754, 0.1128379167095512, -0.02686617064512984,
            0.0052239776254232985, -0.000854832702193483, 0.00012055332902888736, -1.4925647567519332e-05,
            1.6462045441468418e-06, -1.6364642158167616e-07, 1.4792401209404813e-08, -1.216456005728345e-09,
            8.709045129053106e-11, -4.230945824295338e-12,
        ),
        (
            1.273194538411999e-08, 0.5641886748920729, 1.1284077674102482, 1.9741595366538842, 2.8258324602066986,
            2.6697328216797693, -0.7228605651893688, 0.4045558368126824, -86.45933445351965, 471.55570766079865,
            -2180.9601729464644, 7781.0890875471505, -18775.426689495016, 29840.22786377935, -30368.2623604029,
            18137.16016576931, -4875.8923220392635,
        ),
    ),
}  # fmt: skip


def emit_exp(lanes: FloatLanes, x: str, low: str | None = None) -> str:
    """exp by range reduction to [-ln2/2, ln2/2] and a Taylor polynomial, within 2 ulp.

    ``low`` is what the argument has beyond x. NaN, infinities and underflow as IEEE asks.
    Source: W. J. Cody and W. Waite, Software Manual for the Elementary Functions (1980), chapter 6.
    """
    log2e, ln2_high, ln2_low, largest, smallest, degree = _EXP[lanes.dtype]
    constant, call = lanes.constant, lanes.call

    # What underflows is replaced below; meanwhile it must not make subnormal numbers, which cost 150 cycles each.
    bounded = lanes.select("ogt", x, constant(largest), constant(largest), x)
    bounded = lanes.select("olt", x, constant(smallest), constant(0.0), bounded)
    n = call("rint", lanes.binary("fmul", bounded, constant(log2e)))
    r = call("fma", n, constant(-ln2_high), bounded)
    r = call("fma", n, constant(-ln2_low), r)
    if low is not None:
        r = lanes.binary("fadd", r, low)
    value = _times_power(lanes, lanes.polynomial([1 / factorial(order) for order in range(degree + 1)], r), n)
    for op, limit, result in (("ogt", largest, float("inf")), ("olt", smallest, 0.0)):
        value = lanes.select(op, x, constant(limit), constant(result), value)
    return lanes.select("uno", x, x, x, value)


def emit_exp2(lanes: FloatLanes, x: str) -> str:
    """2**x from the nearest whole power and exp's polynomial, within 2 ulp; exact where x is whole."""
    _, mantissa, bias = LAYOUT[lanes.dtype]
    clamped = _clamped(lanes, x, float(-bias - mantissa - 2), float(bias + 2))
    n = lanes.call("rint", clamped)
    r = lanes.binary("fmul", lanes.binary("fsub", clamped, n), lanes.constant(log(2)))
    degree = _EXP[lanes.dtype][-1]
    value = _times_power(lanes, lanes.polynomial([1 / factorial(order) for order in range(degree + 1)], r), n)
    return lanes.select("uno", x, x, x, value)


def _clamped(lanes: FloatLanes, x: str, smallest: float, largest: float) -> str:
    """x between both; NaN stays."""
    high, low = lanes.constant(largest), lanes.constant(smallest)
    x = lanes.select("ogt", x, high, high, x)
    return lanes.select("olt", x, low, low, x)


def _times_power(lanes: FloatLanes, value: str, n: str) -> str:
    """value * 2**n in two factors, since n itself may be beyond the exponents that normal numbers have."""
    _, mantissa, bias = LAYOUT[lanes.dtype]
    exponent = lanes.emit(f"fptosi {lanes.kind} {n} to {lanes.whole}")
    half = lanes.integers("ashr", exponent, lanes.number(1))
    for part in (half, lanes.integers("sub", exponent, half)):
        bits = lanes.integers("shl", lanes.integers("add", part, lanes.number(bias)), lanes.number(mantissa))
        value = lanes.binary("fmul", value, lanes.from_bits(bits))
    return value


def emit_log(lanes: FloatLanes, x: str) -> str:
    """The natural logarithm: x is 2**k m with m near 1, and log m an odd series in (m - 1) / (m + 1).

    Within 2 ulp. Source: Sun Microsystems, fdlibm 5.3 (1995), e_log.c; its coefficients for float32 as FreeBSD's msun
    has them.
    """
    (ln2_high, ln2_low), coefficients = _LOG[lanes.dtype]
    _, mantissa, bias = LAYOUT[lanes.dtype]
    constant, number, call, binary = lanes.constant, lanes.number, lanes.call, lanes.binary

    # Subnormal numbers are scaled to normal ones first.
    least, scale = constant(2.0 ** (1 - bias)), mantissa + 2
    normal = lanes.select("olt", x, least, binary("fmul", x, constant(2.0**scale)), x)
    # Counted from the square root of one half, so that m is between it and its double.
    root = struct.unpack("i", struct.pack("f", 0.5**0.5))[0] if lanes.dtype == "float32" else _double_bits(0.5**0.5)
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


def emit_tanh(lanes: FloatLanes, x: str) -> str:
    """tanh by a rational function in x**2 where |x| is small, else from exp(2 |x|).

    Within 3 ulp. Source: S. L. Moshier, Methods and Programs for Mathematical Functions (1989); Cephes 2.8, tanh.c and
    tanhf.c.
    """
    above, below = _TANH[lanes.dtype]
    constant, call, binary = lanes.constant, lanes.call, lanes.binary

    z = binary("fmul", x, x)
    ratio = lanes.polynomial(above, z)
    if len(below) > 1:
        ratio = binary("fdiv", ratio, lanes.polynomial(below, z))
    small = call("fma", binary("fmul", ratio, z), x, x)
    magnitude = call("fabs", x)
    power = emit_exp(lanes, binary("fadd", magnitude, magnitude))
    rest = binary("fdiv", constant(2.0), binary("fadd", power, constant(1.0)))
    value = lanes.select("olt", magnitude, constant(0.625), small, binary("fsub", constant(1.0), rest))
    return call("copysign", value, x)


def emit_erf(lanes: FloatLanes, x: str) -> str:
    """The error function by a polynomial in x**2 below 1, else from exp(-x**2) and a polynomial in 1 / (2 + |x|).

    Within 3 ulp.
    """
    near, far = _ERF[lanes.dtype]
    constant, call, binary = lanes.constant, lanes.call, lanes.binary

    magnitude = call("fabs", x)
    square = binary("fmul", x, x)
    small = call("fma", x, lanes.polynomial(near, square), x)
    t = binary("fdiv", constant(1.0), binary("fadd", magnitude, constant(2.0)))
    rest = binary("fmul", emit_exp(lanes, binary("fsub", constant(-0.0), square)), lanes.polynomial(far, t))
    large = call("copysign", binary("fsub", constant(1.0), rest), x)
    return call("copysign", lanes.select("olt", magnitude, constant(1.0), small, large), x)


def _double_bits(value: float) -> int:
    return int(struct.unpack("q", struct.pack("d", value))[0])
