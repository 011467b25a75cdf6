"""What primitives have asked of a stage beyond its loops, its place and its layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autotune.schedules.state import Number

GPU_SCOPES = ("shared", "local")
SCOPES = ("auto", "stack", "workspace", "register", *GPU_SCOPES)
THREADS = ("blockIdx.x", "blockIdx.y", "blockIdx.z", "threadIdx.x", "threadIdx.y", "threadIdx.z", "vthread")


@dataclass(frozen=True, slots=True)
class Details:
    """Each field belongs to the primitives of that name; where none is named, the generator and lowering decide.

    ``scope``: where the buffer lives (``SCOPES``). ``aligned``: dimension, factor and offset of ``storage_align``.
    ``streamed``: stores bypass the caches. ``double_buffered``: two copies of the buffer take turns.
    ``pragmas``: (loop, key, value). ``partitions``: per loop, where it is cut; points below 0 count from its end.
    """

    scope: str = "auto"
    aligned: tuple[int, Number, Number] | None = None
    streamed: bool = False
    pragmas: tuple[tuple[str, str, Number], ...] = ()
    partitions: tuple[tuple[str, tuple[Number, ...]], ...] = ()

    @property
    def loops(self) -> tuple[str, ...]:
        """The loops that are referred to, which must go on to exist."""
        return (*(loop for loop, _, _ in self.pragmas), *(loop for loop, _ in self.partitions))


PLAIN = Details()
