"""Memory that kernels write to: guarded, poisoned, and compared with the reference."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from autotune.measure.check import Check
from autotune.targets.artifact import Parameter
from autotune.targets.callable import address_of, aligned_empty

_GUARD = 256  # bytes on both sides of what a kernel writes
_GUARD_BYTE = 0xA5


class GuardedBuffer:
    """Memory that kernels write to, with bytes on both sides that show when they write beyond it."""

    def __init__(self) -> None:
        self._memory = aligned_empty((2 * _GUARD,), np.dtype(np.uint8))
        self.reserve(0)

    def reserve(self, size: int) -> int:
        """The address of ``size`` bytes, aligned to a cache line; what was reserved before is given up."""
        if self._memory.size < size + 2 * _GUARD:
            self._memory = aligned_empty((size + 2 * _GUARD,), np.dtype(np.uint8))
            # Not zero, so that a kernel that counts on a clean workspace is caught: all ones are NaN and -1.
            self._memory.fill(0xFF)
        self._guards = (self._memory[:_GUARD], self._memory[_GUARD + size : 2 * _GUARD + size])
        for guard in self._guards:
            guard.fill(_GUARD_BYTE)
        return address_of(self._memory) + _GUARD

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """An array in this memory."""
        self.reserve(math.prod(shape) * dtype.itemsize)
        return np.ndarray(shape, dtype, self._memory, _GUARD)

    def damaged(self) -> bool:
        """Whether something wrote beyond the buffer."""
        return not all((guard == _GUARD_BYTE).all() for guard in self._guards)


class CheckedOutput:
    """One output of the kernels: guarded memory, and the reference that it is compared with.

    Kernels may write it in layouts of their own.
    """

    def __init__(self, parameter: Parameter, reference: np.ndarray) -> None:
        self._buffer = GuardedBuffer()
        self._check = Check(reference)
        self.begin(parameter, 0.0)
        self.poisons = len(self._check.poisons)
        self.size = 0  # bytes that are reserved

    def reserve(self, parameters: Iterable[Parameter]) -> int:
        """The address of memory that is enough for the output in any of these layouts."""
        self.size = max(math.prod(parameter.stored_shape) for parameter in parameters) * self._array.itemsize
        return self._buffer.reserve(self.size)

    def begin(self, parameter: Parameter, tolerance: float) -> None:
        """Expect the output in this layout, in memory that is guarded just there, with no larger an error."""
        self._parameter, self._tolerance = parameter, tolerance
        self._array = self._buffer.array(parameter.stored_shape, parameter.element)

    def poison(self, turn: int) -> None:
        """Fill the output with the poison of a turn."""
        self._check.poison(self._array, self._check.poisons[turn % self.poisons])

    def compare(self) -> tuple[float, str | None]:
        """The relative error, and a sentence about what is wrong or None."""
        if self._parameter.layout is None:
            return self._check.compare(self._array, self._tolerance)
        plain = np.empty(self._parameter.shape, self._array.dtype)
        self._parameter.layout.unpack(self._array, plain)
        return self._check.compare(plain, self._tolerance)

    def damaged(self) -> bool:
        """Whether something wrote beyond the output."""
        return self._buffer.damaged()
