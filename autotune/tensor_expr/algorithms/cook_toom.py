"""The Cook-Toom transforms of short convolutions: from points at which polynomials are evaluated and interpolated.

``F(m, r)`` computes m outputs of a filter of r taps with m + r - 1 multiplications:
``y = A^T [(G g) * (B^T d)]`` (Winograd 1980; Lavin and Gray 2016, arXiv:1509.09308, section 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import prod

Matrix = tuple[tuple[Fraction, ...], ...]

# Small points keep the transforms' numbers, and so their rounding errors, small. The last point is at infinity.
POINTS = (0, 1, -1, 2, -2)


@dataclass(frozen=True, slots=True)
class Transforms:
    """``output`` is A^T [m, n], ``filter`` G [n, r], ``data`` B^T [n, n] for n = m + r - 1, exactly."""

    output: Matrix
    filter: Matrix
    data: Matrix


@lru_cache(maxsize=16)
def cook_toom(outputs: int, taps: int) -> Transforms:
    """The transforms of F(outputs, taps), which needs at most one point more than ``POINTS`` has."""
    count = outputs + taps - 1
    points = [Fraction(point) for point in POINTS[: count - 1]]
    assert len(points) == count - 1, f"F({outputs}, {taps}) needs {count - 1} points"
    output, filters, data = [], [], []
    for point in points:
        others = [other for other in points if other != point]
        scale = prod((point - other for other in others), start=Fraction(1))
        sign = 1 if scale > 0 else -1  # goes from G's row to B's, which only changes the sign of both
        filters.append(tuple(point**power / abs(scale) for power in range(taps)))
        data.append((*(sign * coefficient for coefficient in _expanded(others)), Fraction(0)))
    filters.append(tuple(Fraction(power == taps - 1) for power in range(taps)))
    data.append(_expanded(points))
    for power in range(outputs):
        output.append((*(point**power for point in points), Fraction(power == outputs - 1)))
    return Transforms(tuple(output), tuple(filters), tuple(data))


def _expanded(roots: list[Fraction]) -> tuple[Fraction, ...]:
    """Coefficients of the polynomial with these roots, the constant term first."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        coefficients = [a - root * b for a, b in zip(shifted, [*coefficients, Fraction(0)], strict=True)]
    return tuple(coefficients)


def norm(matrix: Matrix) -> float:
    """The largest sum of absolute values in a row: how much larger the product with a vector can be."""
    return float(max(sum(map(abs, row)) for row in matrix))


def terms(matrix: Matrix) -> int:
    """The most numbers other than zero in a row."""
    return max(sum(value != 0 for value in row) for row in matrix)
