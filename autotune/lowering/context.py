"""What is known at one place of the loop nest under construction: open loops, axis limits, ranges, buffers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from autotune.lowering.ir import Buffer
from autotune.tensor_expr.affine import Affine
from autotune.tensor_expr.ranges import Ranges


@dataclass(frozen=True, slots=True)
class Kept:
    """A stage whose buffer outlives an iteration of the loop around it, which runs ``count`` times.

    ``origins``: per dimension, which element the buffer begins with, where that is not where computing begins.
    ``slot``: the copy of the buffer that is in use, where there are two.
    """

    count: Affine
    origins: tuple[Affine, ...] | None = None
    slot: Affine | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """Immutable, so that a peeled tail is built from the same context as the main loop.

    ``pins``: per stage, the value of loops and split or fused loops that are open. ``limits``: per stage, how many
    values each axis has from its base on. ``bases``: per tensor, where its region begins, per dimension. ``buffers``:
    per tensor, one for each component. ``kept``: per stage, where one iteration leaves something to the next.
    """

    ranges: Ranges = field(default_factory=Ranges)
    pins: Mapping[str, Mapping[str, Affine]] = field(default_factory=dict)
    limits: Mapping[str, Mapping[str, Affine]] = field(default_factory=dict)
    bases: Mapping[str, tuple[Affine, ...]] = field(default_factory=dict)
    buffers: Mapping[str, tuple[Buffer, ...]] = field(default_factory=dict)
    kept: Mapping[str, Kept] = field(default_factory=dict)

    def pin(self, stage: str, loop: str, value: Affine) -> Context:
        """With a loop of a stage open at a value."""
        pins = {**self.pins, stage: {**self.pins.get(stage, {}), loop: value}}
        return Context(self.ranges, pins, self.limits, self.bases, self.buffers, self.kept)

    def enter(self, stage: str, limits: Mapping[str, Affine], bases: tuple[Affine, ...]) -> Context:
        """With a stage begun whose region is known."""
        return replace(
            self,
            pins={**self.pins, stage: {}},
            limits={**self.limits, stage: limits},
            bases={**self.bases, stage: bases},
        )

    def with_buffers(self, tensor: str, buffers: tuple[Buffer, ...]) -> Context:
        return replace(self, buffers={**self.buffers, tensor: buffers})

    def with_ranges(self, ranges: Ranges) -> Context:
        return Context(ranges, self.pins, self.limits, self.bases, self.buffers, self.kept)

    def keeping(self, stage: str, kept: Kept) -> Context:
        return replace(self, kept={**self.kept, stage: kept})
