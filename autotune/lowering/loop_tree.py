"""The loops of a stage as a tree: how loops that were split or fused make up the axes that they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from autotune.schedules.bounds import StageBounds
from autotune.schedules.state import Fuse, Split, Stage
from autotune.tensor_expr.affine import ZERO, Affine, weighted_sum
from autotune.tensor_expr.ranges import Ranges

Pins = Mapping[str, Affine]


@dataclass(frozen=True, slots=True)
class Level:
    """An axis or loop that a loop is a part of, and how far one iteration of the part moves it."""

    name: str
    stride: int


@dataclass(frozen=True)
class LoopTree:
    """A stage's loops with their extents as numbers.

    A *pin* is the value of a loop that is open (or of a split or fused loop, where that is known better). Loops that
    are not open count as 0, their lowest value; so does what a fused loop contributes until all of its parts are open.
    """

    bounds: StageBounds

    @property
    def stage(self) -> Stage:
        return self.bounds.stage

    @cached_property
    def extents(self) -> dict[str, int]:
        return {name: int(extent) for name, extent in self.bounds.extents.items()}

    @cached_property
    def reduce_loops(self) -> frozenset[str]:
        """The loops that a reduction axis has a part in."""
        return self.stage.reduce_loops

    @cached_property
    def init_position(self) -> int:
        """The position of the loop before which a reduction's result is initialised; -1 where there is none."""
        stage = self.stage
        first = next((place for place, loop in enumerate(stage.loops) if loop in self.reduce_loops), -1)
        if stage.details.tensorized is not None:
            first = min(first, stage.loops.index(stage.details.tensorized[0]))
        return min(first, stage.loops.index(stage.init_at)) if stage.init_at in stage.loops else first

    @cached_property
    def _splits(self) -> dict[str, Split]:
        return {relation.parent: relation for relation in self.stage.relations if isinstance(relation, Split)}

    @cached_property
    def _fuses(self) -> dict[str, Fuse]:
        return {part: r for r in self.stage.relations if isinstance(r, Fuse) for part in (r.outer, r.inner)}

    @cached_property
    def _parents(self) -> dict[str, Level]:
        strides = self.bounds.strides
        return {
            child: Level(split.parent, int(strides[child]))
            for split in self._splits.values()
            for child in split.children
        }

    @cached_property
    def _spans(self) -> dict[tuple[int, str], int]:
        return {}

    @cached_property
    def _levels(self) -> dict[str, tuple[Level, ...]]:
        return {}

    def levels(self, name: str) -> tuple[Level, ...]:
        """What a loop is a part of by splits, innermost first; the last is an axis or a fused loop."""
        held = self._levels.get(name)
        if held is None:
            levels: list[Level] = []
            stride, current = 1, name
            while current in self._parents:
                parent = self._parents[current]
                stride, current = stride * parent.stride, parent.name
                levels.append(Level(current, stride))
            held = self._levels[name] = tuple(levels)
        return held

    def complete(self, name: str, pins: Pins) -> bool:
        """Whether all loops that make up an axis or loop are open (or run only once)."""
        if name in pins or self.extents[name] == 1:
            return True
        if name in self._splits:
            return all(self.complete(child, pins) for child in self._splits[name].children)
        return name in self._fuses and self.complete(self._fuses[name].child, pins)

    def value(self, name: str, pins: Pins, ranges: Ranges) -> Affine:
        """The value of an axis or loop, from its region's base, with what is not open at its lowest."""
        held = pins.get(name)
        if held is not None:
            return held
        split = self._splits.get(name)
        if split is not None:
            return weighted_sum(
                [(self.value(child, pins, ranges), self._parents[child].stride) for child in split.children]
            )
        fuse = self._fuses.get(name)
        if fuse is None or not self.complete(fuse.child, pins):
            return ZERO
        merged, inner = self.value(fuse.child, pins, ranges), self.extents[fuse.inner]
        return ranges.floordiv(merged, inner) if name == fuse.outer else ranges.mod(merged, inner)

    def completed(self, loop: str, pins: Pins) -> list[str]:
        """The parts of the fused loops that are complete once ``loop``, the last to open, is."""
        if not self._fuses:
            return []
        before = {name: value for name, value in pins.items() if name != loop}
        return [
            part
            for part, fuse in self._fuses.items()
            if self.complete(fuse.child, pins) and (fuse.child == loop or not self.complete(fuse.child, before))
        ]

    def parts_inside(self, position: int, name: str) -> list[tuple[str, int]]:
        """The loops from a position on that ``name`` is made of by splits, each with its stride in it."""
        return [
            (loop, level.stride)
            for loop in self.stage.loops[position:]
            for level in self.levels(loop)
            if level.name == name
        ]

    def fixed_span(self, position: int, name: str) -> int:
        """How many values ``name`` takes in the loops from a position on, if all need constant extents; else 0."""
        held = self._spans.get((position, name))
        if held is None:
            inside = self.parts_inside(position, name)
            fixed = bool(inside) and all(self.stage.kind(loop) in ("unroll", "vectorize") for loop, _ in inside)
            held = 1 + sum((self.extents[loop] - 1) * stride for loop, stride in inside) if fixed else 0
            self._spans[position, name] = held
        return held
