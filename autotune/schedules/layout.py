"""How a tensor's logical indices map to a physical, possibly blocked, array.

A layout is a tuple of physical dimensions. Each takes one logical index apart as ``(index // divisor) % modulus``
(a modulus of 0 means none). NCHW16c of an NCHW tensor with C channels is ::

    Layout((Dim(0), Dim(1, 16), Dim(2), Dim(3), Dim(1, 1, 16)))

Extents that do not divide are padded with zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Dim:
    """One physical dimension: ``(index[logical] // divisor) % modulus``, unbounded above where modulus is 0."""

    logical: int
    divisor: int = 1
    modulus: int = 0

    def extent(self, shape: Sequence[int]) -> int:
        """How many values this dimension takes for a tensor of the given logical shape."""
        blocks = -(-shape[self.logical] // self.divisor)
        return self.modulus if self.modulus else blocks


@dataclass(frozen=True, slots=True)
class Layout:
    """The physical dimensions of a tensor, outermost first."""

    dims: tuple[Dim, ...]

    def shape(self, logical: Sequence[int]) -> tuple[int, ...]:
        """The physical shape of a tensor of the given logical shape, padding included."""
        return tuple(dim.extent(logical) for dim in self.dims)

    def pack(self, array: np.ndarray) -> np.ndarray:
        """A new C-contiguous array in this layout; what pads an extent is zero."""
        parts, padded = self._parts(array.shape)
        work = array
        if padded != array.shape:
            work = np.zeros(padded, array.dtype)
            work[tuple(slice(0, size) for size in array.shape)] = array
        work = work.reshape([dim.extent(array.shape) for dim in parts])
        return np.ascontiguousarray(work.transpose([parts.index(dim) for dim in self.dims]))

    def unpack(self, packed: np.ndarray, plain: np.ndarray) -> None:
        """Fill ``plain`` with what an array in this layout holds, padding left out."""
        parts, padded = self._parts(plain.shape)
        work = packed.transpose([self.dims.index(dim) for dim in parts]).reshape(padded)
        plain[...] = work[tuple(slice(0, size) for size in plain.shape)]

    def _parts(self, shape: Sequence[int]) -> tuple[list[Dim], tuple[int, ...]]:
        """The dimensions in the order of a plain array that is cut into them, and that array's shape with padding."""
        parts: list[Dim] = []
        padded: list[int] = []
        for logical, size in enumerate(shape):
            own = sorted((d for d in self.dims if d.logical == logical), key=lambda d: (-d.divisor, d.modulus))
            padded.append(int(np.prod([d.extent(shape) for d in own], dtype=np.int64)))
            parts += own
            assert padded[-1] >= size
        return parts, tuple(padded)

    def to_json(self) -> list[list[int]]:
        return [[d.logical, d.divisor, d.modulus] for d in self.dims]

    @staticmethod
    def from_json(data: Sequence[Sequence[Any]]) -> Layout:
        return Layout(tuple(Dim(*map(int, d)) for d in data))
