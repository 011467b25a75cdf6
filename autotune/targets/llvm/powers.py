"""pow and the remainder of a division, without a library."""

from __future__ import annotations

from autotune.targets.llvm.exponential import emit_exp, emit_log
from autotune.targets.llvm.lanes import LAYOUT, FloatLanes

# ln 2, the first part with so few bits that its multiples by exponents are exact; 2/3 in two parts
_LN2 = (0.6931471803691238, 1.9082149292705877e-10)
_TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)
_BEYOND = 1e4  # what exp makes 0 or infinity of in any case


def emit_pow(lanes: FloatLanes, x: str, y: str) -> str:
    """x**y as exp(y log |x|), with C's special values: 1 for y = 0 or x = 1, NaN for fractional powers below 0.

    Within 1 ulp for float32, which is computed in float64; within 4 ulp for float64, whose logarithm is a sum of two
    numbers (T. J. Dekker, A floating-point technique for extending the available precision, 1971).
    """
    constant, binary, call = lanes.constant, lanes.binary, lanes.call
    one, zero, infinity = constant(1.0), constant(0.0), constant(float("inf"))
    magnitude = call("fabs", x)
    if lanes.dtype == "float32":
        wide = lanes.as_type("float64")
        logarithm = emit_log(wide, lanes.widened(magnitude))
        value = wide.narrowed(emit_exp(wide, wide.binary("fmul", lanes.widened(y), logarithm)))
    else:
        value = _from_two_parts(lanes, magnitude, y)
    # Where x or y is 0 or infinite, only the side of 1 on which x lies counts.
    tendency = binary("fmul", y, binary("fsub", magnitude, one))
    limit = lanes.select("ogt", tendency, zero, infinity, zero)
    extreme = lanes.compare("oeq", call("fabs", y), infinity)
    for edge in (zero, infinity):
        extreme = lanes.both("or", extreme, lanes.compare("oeq", magnitude, edge))
    value = lanes.choose(extreme, limit, value)
    whole = lanes.compare("oeq", call("floor", y), y)
    half = binary("fmul", y, constant(0.5))
    odd = lanes.both("and", whole, lanes.compare("une", call("floor", half), half))
    value = lanes.choose(odd, call("copysign", value, x), value)
    fractional = lanes.both("and", lanes.compare("olt", x, zero), lanes.both("xor", whole, _true(lanes)))
    fractional = lanes.both("and", fractional, lanes.compare("olt", magnitude, infinity))
    value = lanes.choose(fractional, constant(float("nan")), value)
    value = lanes.choose(lanes.compare("uno", x, y), constant(float("nan")), value)
    value = lanes.choose(lanes.compare("oeq", magnitude, one), lanes.choose(extreme, one, value), value)
    ones = lanes.both("or", lanes.compare("oeq", x, one), lanes.compare("oeq", y, zero))
    return lanes.choose(ones, one, value)


def _true(lanes: FloatLanes) -> str:
    return "true" if lanes.width == 1 else f"<{', '.join(['i1 true'] * lanes.width)}>"


def _from_two_parts(lanes: FloatLanes, x: str, y: str) -> str:
    """exp(y log x) for float64, x positive, with log x as the sum of two numbers."""
    constant, binary, call = lanes.constant, lanes.binary, lanes.call
    _, mantissa, bias = LAYOUT[lanes.dtype]

    # x = 2**k m, m between the square roots of 1/2 and 2, as emit_log has it.
    least = constant(2.0 ** (1 - bias))
    scaled = lanes.select("olt", x, least, binary("fmul", x, constant(2.0 ** (mantissa + 2))), x)
    bits, root = lanes.bits(scaled), lanes.number(0x3FE6A09E667F3BCD)
    power = lanes.integers("ashr", lanes.integers("sub", bits, root), lanes.number(mantissa))
    m = lanes.from_bits(lanes.integers("sub", bits, lanes.integers("shl", power, lanes.number(mantissa))))
    k = lanes.emit(f"sitofp {lanes.whole} {power} to {lanes.kind}")
    k = lanes.select("olt", x, least, binary("fsub", k, constant(float(mantissa + 2))), k)

    def minus(value: str) -> str:
        return binary("fsub", constant(-0.0), value)

    # s = (m - 1) / (m + 1) and z = s**2 in two parts each; log m = 2 s + 2/3 s z + s z**2 (2/5 + ...).
    f = binary("fsub", m, constant(1.0))
    below = binary("fadd", f, constant(2.0))
    below_low = binary("fsub", f, binary("fsub", below, constant(2.0)))
    s = binary("fdiv", f, below)
    left = call("fma", minus(s), below_low, call("fma", minus(s), below, f))
    s_low = binary("fdiv", left, below)
    z = binary("fmul", s, s)
    z_low = call("fma", binary("fadd", s, s), s_low, call("fma", s, s, minus(z)))
    cube = binary("fmul", s, z)
    cube_low = call("fma", s, z_low, call("fma", s_low, z, call("fma", s, z, minus(cube))))
    third = binary("fmul", cube, constant(_TWO_THIRDS[0]))
    third_low = call("fma", cube, constant(_TWO_THIRDS[0]), minus(third))
    third_low = call("fma", cube_low, constant(_TWO_THIRDS[0]), third_low)
    third_low = call("fma", cube, constant(_TWO_THIRDS[1]), third_low)
    tail = lanes.polynomial([2 / (2 * order + 5) for order in range(11)], z)
    tail = binary("fmul", binary("fmul", cube, z), tail)

    high, low = binary("fmul", k, constant(_LN2[0])), binary("fmul", k, constant(_LN2[1]))
    low = binary("fadd", low, call("fma", s_low, constant(2.0), binary("fadd", third_low, tail)))
    for part in (binary("fadd", s, s), third):
        total = binary("fadd", high, part)
        # What the sum lost, whichever of both was the larger.
        other = binary("fsub", total, high)
        lost = binary("fadd", binary("fsub", high, binary("fsub", total, other)), binary("fsub", part, other))
        high, low = total, binary("fadd", low, lost)

    product = binary("fmul", y, high)
    rest = call("fma", y, low, call("fma", y, high, minus(product)))
    return emit_exp(lanes, product, lanes.select("olt", call("fabs", product), constant(_BEYOND), rest, constant(0.0)))


def emit_fmod(lanes: FloatLanes, a: str, b: str) -> str:
    """C's fmod, the remainder with the sign of ``a``, without error; NaN where abs(a / b) is 2**150 or more.

    Each round takes off a multiple of b exactly and leaves a quotient 2**52 times smaller. float32 is computed in
    float64. NaN where a is infinite or b is 0; a where b is infinite.
    """
    if lanes.dtype == "float32":
        wide = lanes.as_type("float64")
        return wide.narrowed(emit_fmod(wide, lanes.widened(a), lanes.widened(b)))
    constant, binary, call = lanes.constant, lanes.binary, lanes.call
    infinity, nan, divisor = constant(float("inf")), constant(float("nan")), call("fabs", b)
    left = call("fabs", a)
    for _ in range(3):
        times = call("trunc", binary("fdiv", left, divisor))
        left = call("fma", binary("fsub", constant(-0.0), times), divisor, left)
    left = lanes.select("olt", left, constant(0.0), binary("fadd", left, divisor), left)
    left = lanes.select("olt", left, constant(0.0), nan, left)
    left = lanes.select("olt", left, divisor, left, nan)
    left = lanes.select("oeq", divisor, infinity, call("fabs", a), left)
    left = lanes.select("oeq", call("fabs", a), infinity, nan, left)
    return call("copysign", left, a)


def emit_mod(lanes: FloatLanes, a: str, b: str) -> str:
    """The remainder with the sign of ``b``, as Python's and NumPy's ``%``."""
    left = emit_fmod(lanes, a, b)
    moved = lanes.choose(_signs_differ(lanes, left, b), lanes.binary("fadd", left, b), left)
    zero = lanes.constant(0.0)
    return lanes.select("oeq", left, zero, lanes.call("copysign", zero, b), moved)


def emit_floordiv(lanes: FloatLanes, a: str, b: str) -> str:
    """``a // b`` as NumPy has it: (a - a % b) / b, which is nearly whole, rounded; a / b where b is 0."""
    zero, one, binary = lanes.constant(0.0), lanes.constant(1.0), lanes.binary
    left = emit_fmod(lanes, a, b)
    exact = binary("fdiv", binary("fsub", a, left), b)
    exact = lanes.choose(_signs_differ(lanes, left, b), binary("fsub", exact, one), exact)
    whole = lanes.call("floor", exact)
    above = binary("fsub", exact, whole)
    whole = lanes.select("ogt", above, lanes.constant(0.5), binary("fadd", whole, one), whole)
    quotient = binary("fdiv", a, b)
    whole = lanes.select("oeq", exact, zero, lanes.call("copysign", zero, quotient), whole)
    return lanes.select("oeq", b, zero, quotient, whole)


def _signs_differ(lanes: FloatLanes, left: str, b: str) -> str:
    """Whether a remainder is other than 0 and of the other sign than the divisor."""
    zero = lanes.constant(0.0)
    signs = lanes.both("xor", lanes.compare("olt", left, zero), lanes.compare("olt", b, zero))
    return lanes.both("and", signs, lanes.compare("une", left, zero))
