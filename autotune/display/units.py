"""Times in units that suit them."""

from __future__ import annotations

_UNITS = ((1.0, "s", 2), (1e-3, "ms", 3), (1e-6, "us", 1), (1e-9, "ns", 1))


def duration(seconds: float) -> str:
    """A kernel's time as a measurement: ``1.250 ms``."""
    size, unit, digits = _unit(seconds)
    return f"{seconds / size:.{digits}f} {unit}"


def round_duration(seconds: float) -> str:
    """A round time, say of a tick on an axis: ``2 ms``."""
    size, unit, _ = _unit(seconds)
    return f"{seconds / size:g} {unit}"


def _unit(seconds: float) -> tuple[float, str, int]:
    return next((found for found in _UNITS if seconds >= found[0] * (1 - 1e-9)), _UNITS[-1])
