"""What is known at one place of the loop nest under construction: open loops, axis values, ranges, buffers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from autotune.lowering.ir import Buffer
from autotune.lowering.ranges import Ranges
from autotune.schedules.bounds import StageBounds
from autotune.schedules.state import Fuse, Split
from autotune.tensor_expr.expr import Expr, const


@dataclass(frozen=True, slots=True)
class Context:
    """Immutable, so that a peeled tail is built from the same context as the main loop.

    ``pins``: per stage, the value of loops and split or fused loops that are open. ``limits``: per stage, how many values
    each axis has from its base on. ``bases``: per tensor, where its region begins, per dimension. ``buffers``: per tensor.
    """

    ranges: Ranges = field(default_factory=Ranges)
    pins: Mapping[str, Mapping[str, Expr]] = field(default_factory=dict)
    limits: Mapping[str, Mapping[str, Expr]] = field(default_factory=dict)
    bases: Mapping[str, tuple[Expr, ...]] = field(default_factory=dict)
    buffers: Mapping[str, Buffer] = field(default_factory=dict)

    def pin(self, stage: str, loop: str, value: Expr) -> Context:
        """With a loop of a stage open at a value."""
        return replace(self, pins={**self.pins, stage: {**self.pins.get(stage, {}), loop: value}})

    def enter(self, stage: str, limits: Mapping[str, Expr], bases: tuple[Expr, ...]) -> Context:
        """With a stage begun whose region is known."""
        return replace(
            self,
            pins={**self.pins, stage: {}},
            limits={**self.limits, stage: limits},
            bases={**self.bases, stage: bases},
        )

    def with_buffer(self, tensor: str, buffer: Buffer) -> Context:
        return replace(self, buffers={**self.buffers, tensor: buffer})

    def with_ranges(self, ranges: Ranges) -> Context:
        return replace(self, ranges=ranges)

    def values(self, bounds: StageBounds) -> dict[str, Expr]:
        """The value, from its region's base, of every axis and every loop ever made; loops not yet open count as 0."""
        pins = self.pins[bounds.stage.name]
        zero = const(0, "int64")
        value: dict[str, Expr] = {loop: pins.get(loop, zero) for loop in bounds.stage.loops}
        for relation in reversed(bounds.stage.relations):
            if isinstance(relation, Split):
                total: Expr = zero
                for child in relation.children:
                    total = total + value[child] * int(bounds.strides[child])
                value[relation.parent] = pins.get(relation.parent, total)
            else:
                assert isinstance(relation, Fuse)
                inner = int(bounds.extents[relation.inner])
                value[relation.outer] = pins.get(relation.outer, value[relation.child] // inner)
                value[relation.inner] = pins.get(relation.inner, value[relation.child] % inner)
        return {name: self.ranges.simplify(expr) for name, expr in value.items()}
