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
    ``folded``: the dimension that is stored modulo the extent (0: the least power of two that holds the window).
    ``prefetches``: (tensor, loop, distance). ``specialized``: (tensor, value). ``shared``: the stage whose loops it
    shares, and its own innermost loop that is shared. ``tensorized``: the outermost loop of an instruction, and that.
    """

    scope: str = "auto"
    aligned: tuple[int, Number, Number] | None = None
    streamed: bool = False
    pragmas: tuple[tuple[str, str, Number], ...] = ()
    partitions: tuple[tuple[str, tuple[Number, ...]], ...] = ()
    folded: tuple[int, Number] | None = None
    double_buffered: bool = False
    prefetches: tuple[tuple[str, str, Number], ...] = ()
    specialized: tuple[tuple[str, int | float], ...] = ()
    shared: tuple[str, str] | None = None
    tensorized: tuple[str, str] | None = None

    @property
    def loops(self) -> tuple[str, ...]:
        """The loops that are referred to, which must go on to exist."""
        named = [pair[1] for pair in (self.shared,) if pair] + [pair[0] for pair in (self.tensorized,) if pair]
        return (*self.asking, *named)

    @property
    def asking(self) -> tuple[str, ...]:
        """The loops that something has been asked of."""
        return (
            *(loop for loop, _, _ in self.pragmas),
            *(loop for loop, _ in self.partitions),
            *(loop for _, loop, _ in self.prefetches),
        )

    @property
    def is_kept(self) -> bool:
        """Whether the buffer outlives an iteration of the loop that the stage is computed in."""
        return self.folded is not None or self.double_buffered


PLAIN = Details()
