"""Whether a kernel's output is right: compared as a whole with the reference, over an output that was poisoned."""

from __future__ import annotations

import numpy as np


class Check:
    """Compares outputs with ``reference``."""

    def __init__(self, reference: np.ndarray) -> None:
        dtype = reference.dtype
        self._floating = dtype.kind not in "biu"  # bfloat16 has a kind of its own
        work = dtype if dtype in (np.float32, np.float64) else np.dtype(np.float64)
        self._reference = np.array(reference)
        magnitude = np.abs(self._reference.astype(work))
        self._scale = float(magnitude[np.isfinite(magnitude)].max(initial=0.0)) or 1.0
        self._scratch = np.empty(reference.shape, work)
        # NaN shows what was not written. Integers have no such value, so two runs over different bytes show it: at
        # most one of them is right by accident.
        self.poisons = (0xFF,) if self._floating else (0x00, 0x01) if dtype.kind == "b" else (0x55, 0xAA)

    def poison(self, output: np.ndarray, poison: int) -> None:
        """Fill an output with what a kernel must overwrite."""
        output.view(np.uint8).fill(poison)

    def compare(self, output: np.ndarray, tolerance: float) -> tuple[float, str | None]:
        """The relative error, and a sentence about what is wrong or None.

        Right is an absolute error of at most ``tolerance`` times the largest finite absolute value of the reference (or
        1 where it is all zero).
        """
        scratch, reference = self._scratch, self._reference
        with np.errstate(invalid="ignore", over="ignore"):
            np.subtract(output, reference, out=scratch, dtype=scratch.dtype)
            np.abs(scratch, out=scratch)
            error = float(scratch.max(initial=0.0)) / self._scale
            if tolerance == 0 and not self._floating:
                wrong = output != reference  # 64-bit integers differ by less than a float64 can tell
            elif error <= tolerance:
                return error, None
            else:  # the reference itself may hold infinities and NaN
                same = (output == reference) | ((output != output) & (reference != reference))
                wrong = ~same & ~(scratch <= tolerance * self._scale)
        if not wrong.any():
            return (0.0 if np.isnan(error) else error), None
        unwritten = wrong & (output != output)
        if unwritten.any():
            return error, f"{_where(unwritten)} not written, or NaN"
        index = _first(wrong)
        return error, f"{_where(wrong)} wrong: got {output[index]!s}, expected {reference[index]!s}"


def _first(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(int(mask.argmax()), mask.shape))


def _where(mask: np.ndarray) -> str:
    count = np.count_nonzero(mask)
    return f"{count} of {mask.size} elements, the first at {_first(mask)}, {'is' if count == 1 else 'are'}"
