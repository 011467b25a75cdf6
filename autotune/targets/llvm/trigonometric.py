"""sin, cos and atan without a library."""

from __future__ import annotations

from math import factorial, pi

from autotune.targets.llvm.lanes import FloatLanes

# pi / 2 as a sum, and a number whose addition rounds to whole numbers and leaves them in the lowest bits
_HALF_PI = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33)
_SHIFTER = 1.5 * 2.0**52
_LARGEST = 2.0**50
# (atan(x) - x) / x**3 in x**2 for |x| below tan(pi / 8), the lowest power first; interpolated at Chebyshev's nodes
_ATAN = {
    "float32": (-0.33333331754, 0.19999538795, -0.14263897113, 0.10743099668, -0.064498352246),
    "float64": (
        -0.3333333333333333, 0.19999999999999993, -0.1428571428571149, 0.11111111110751482, -0.0909090906681608,
        0.07692306729194896, -0.06666641869131183, 0.058819230561140225, -0.05258020272656758, 0.04719259188242093,
        -0.04103887546862687, 0.030622995553735516, -0.013905374533113234,
    ),
}  # fmt: skip
# pi / 4 and pi / 2, each as a sum of two
_ANGLES = {
    "float32": ((0.7853981852531433, -2.1855695000931213e-08), (1.5707963705062866, -4.3711390001862426e-08)),
    "float64": ((0.7853981633974483, 3.061616997868383e-17), (1.5707963267948966, 6.123233995736766e-17)),
}


def emit_sin(lanes: FloatLanes, x: str) -> str:
    """The sine of an angle in radians, within 2 ulp for |x| up to 2**50; NaN beyond.

    x less the nearest multiple of pi / 2, where a Taylor polynomial of sine or cosine is taken. Where multiply-adds
    round once, the first difference is exact, and two more parts of pi / 2 leave an error of 2**-160 times |x|.
    Source: W. J. Cody and W. Waite, Software Manual for the Elementary Functions (1980), chapter 8. float32 is computed
    in float64.
    """
    return lanes.select("oeq", x, lanes.constant(0.0), x, _circular(lanes, x, 0))


def emit_cos(lanes: FloatLanes, x: str) -> str:
    """The cosine of an angle in radians, within 2 ulp for |x| up to 2**50; NaN beyond. Computed like the sine."""
    return _circular(lanes, x, 1)


def _circular(lanes: FloatLanes, x: str, quarters: int) -> str:
    """sin(x + quarters * pi / 2)."""
    if lanes.dtype == "float32":
        wide = lanes.as_type("float64")
        return wide.narrowed(_circular(wide, lanes.widened(x), quarters))
    constant, number, call, integers = lanes.constant, lanes.number, lanes.call, lanes.integers

    shifted = call("fma", x, constant(2 / pi), constant(_SHIFTER))
    n = lanes.binary("fsub", constant(_SHIFTER), shifted)
    r = x
    for part in _HALF_PI:
        r = call("fma", n, constant(part), r)
    z = lanes.binary("fmul", r, r)
    sine = lanes.polynomial([(-1) ** k / factorial(2 * k + 1) for k in range(1, 9)], z)
    sine = call("fma", lanes.binary("fmul", r, z), sine, r)
    cosine = lanes.polynomial([(-1) ** k / factorial(2 * k) for k in range(2, 10)], z)
    cosine = call("fma", lanes.binary("fmul", z, z), cosine, call("fma", z, constant(-0.5), constant(1.0)))
    quadrant = integers("add", lanes.bits(shifted), number(quarters))
    odd = lanes.emit(f"icmp ne {lanes.whole} {integers('and', quadrant, number(1))}, {number(0)}")
    sign = integers("shl", integers("and", quadrant, number(2)), number(62))
    value = lanes.from_bits(integers("xor", lanes.bits(lanes.choose(odd, cosine, sine)), sign))
    return lanes.select("ole", call("fabs", x), constant(_LARGEST), value, constant(float("nan")))


def emit_atan(lanes: FloatLanes, x: str) -> str:
    """The arc tangent, within 3 ulp: of x, (x - 1) / (x + 1) or -1 / x, whichever is below tan(pi / 8).

    Source: S. L. Moshier, Methods and Programs for Mathematical Functions (1989), for the reduction.
    """
    constant, binary, call = lanes.constant, lanes.binary, lanes.call
    magnitude, one = call("fabs", x), constant(1.0)
    middle = lanes.compare("ogt", magnitude, constant(2.0**0.5 - 1))
    far = lanes.compare("ogt", magnitude, constant(2.0**0.5 + 1))
    above = lanes.choose(far, constant(-1.0), lanes.choose(middle, binary("fsub", magnitude, one), magnitude))
    below = lanes.choose(far, magnitude, lanes.choose(middle, binary("fadd", magnitude, one), one))
    t = binary("fdiv", above, below)
    z = binary("fmul", t, t)
    value = call("fma", binary("fmul", t, z), lanes.polynomial(_ATAN[lanes.dtype], z), t)
    for low_part in (1, 0):
        quarter, half = (constant(angle[low_part]) for angle in _ANGLES[lanes.dtype])
        offset = lanes.choose(far, half, lanes.choose(middle, quarter, constant(0.0)))
        value = binary("fadd", value, offset)
    return call("copysign", value, x)
