"""How far every loop runs and how much of every tensor it touches, in numbers or in columns of numbers.

This is the one place that infers extents: lowering asks it with integers, the cost model with a column per knob, so
that what the model sees is what is lowered. Extents are those of a full tile; the last, partial tile of an extent that
does not divide is smaller, so that products of extents are upper bounds there.

Extents use only ``+ * ceildiv min where``, which NumPy evaluates for a whole population at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from autotune.schedules.state import Fuse, Number, Split, Stage, State, Unit, reads
from autotune.tensor_expr.affine import interval_length, lowest_index
from autotune.tensor_expr.expr import Expr


def ceildiv(a: Number, b: Number) -> Number:
    """``a / b`` rounded up."""
    return -(-a // b)


def minimum(a: Number, b: Number) -> Number:
    """The smaller, elementwise over columns."""
    return min(a, b) if isinstance(a, int) and isinstance(b, int) else np.minimum(a, b)


def maximum(a: Number, b: Number) -> Number:
    """The larger, elementwise over columns."""
    return max(a, b) if isinstance(a, int) and isinstance(b, int) else np.maximum(a, b)


def where_above_one(a: Number, b: Number) -> Number:
    """``b`` where ``a`` exceeds 1, else 1."""
    if isinstance(a, int):
        return b if a > 1 else 1
    return np.where(a > 1, b, 1)


def product(values: list[Number]) -> Number:
    """The product of all, 1 for none."""
    result: Number = 1
    for value in values:
        result = result * value
    return result


@dataclass(frozen=True)
class StageBounds:
    """A stage's extents: of its axes (the region computed at once) and of every loop, split or fused ones included."""

    stage: Stage
    axes: Mapping[str, Number]

    @cached_property
    def extents(self) -> dict[str, Number]:
        """Extent of every loop ever made, by name."""
        extents = dict(self.axes)
        for relation in self.stage.relations:
            if isinstance(relation, Fuse):
                extents[relation.child] = extents[relation.outer] * extents[relation.inner]
                continue
            if isinstance(relation, Unit):
                extents[relation.child] = 1
                continue
            rest = extents[relation.parent]
            for child, factor in zip(reversed(relation.children[1:]), reversed(relation.factors), strict=True):
                extents[child] = minimum(factor, rest)
                rest = ceildiv(rest, extents[child])
            extents[relation.children[0]] = rest
        return extents

    @cached_property
    def strides(self) -> dict[str, Number]:
        """How far one step of a split's child moves its parent."""
        strides: dict[str, Number] = {}
        for relation in self.stage.relations:
            if isinstance(relation, Split):
                step: Number = 1
                for child in reversed(relation.children):
                    strides[child] = step
                    step = step * self.extents[child]
        return strides

    def covers(self, inner: frozenset[str]) -> dict[str, Number]:
        """How many consecutive values each axis takes while the ``inner`` loops run and the others stand still."""
        cover: dict[str, Number] = {loop: self.extents[loop] if loop in inner else 1 for loop in self.stage.loops}
        for relation in reversed(self.stage.relations):
            if isinstance(relation, Fuse):
                for part in (relation.outer, relation.inner):
                    cover[part] = where_above_one(cover[relation.child], self.extents[part])
            elif isinstance(relation, Split):
                span: Number = 1
                for child in relation.children:
                    span = span + (cover[child] - 1) * self.strides[child]
                cover[relation.parent] = minimum(span, self.extents[relation.parent])
        return {axis: cover[axis] for axis in self.stage.axis_names}


class Bounds:
    """The extents of every stage of a state."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.stages: dict[str, StageBounds] = {}
        for name in reversed(list(state.stages)):
            stage = state.stages[name]
            if stage.tensor.is_placeholder:
                continue
            if stage.attach is None:
                axes: dict[str, Number] = {axis.name: axis.extent for axis in stage.tensor.axes}
            else:
                region = self.region(name, *stage.attach)
                axes = {axis.name: extent for axis, extent in zip(stage.tensor.axes, region, strict=True)}
            axes.update({axis.name: axis.extent for axis in stage.tensor.reduce_axes})
            self.stages[name] = StageBounds(stage, axes)

    def covers(self, name: str, stage: str, loop: str | None) -> Mapping[str, Number]:
        """How many values each axis of ``name`` takes in one iteration of ``stage``'s ``loop`` (None: all of it)."""
        own = self.stages.get(name)
        if name == stage and own is not None:
            position = own.stage.loops.index(loop) + 1 if loop is not None else 0
            return own.covers(frozenset(own.stage.loops[position:]))
        tensor = self.state.stages[name].tensor
        region = self.region(name, stage, loop) if loop is not None else tensor.shape
        spatial = {axis.name: extent for axis, extent in zip(tensor.axes, region, strict=True)}
        return {**spatial, **{axis.name: axis.extent for axis in tensor.reduce_axes}}

    def region(self, name: str, stage: str, loop: str | None) -> tuple[Number, ...]:
        """How much of tensor ``name``, per dimension, is read within one iteration of ``stage``'s ``loop``."""
        shape = self.state.stages[name].tensor.shape
        readers = self.readers(name, stage, loop)
        if not readers:
            return (1,) * len(shape)
        if len(readers) > 1:
            return shape
        reader = readers[0]
        covers = self.covers(reader.name, stage, loop)
        by_axis = {axis: covers[axis.name] for axis in (*reader.tensor.axes, *reader.tensor.reduce_axes)}
        extents: list[Number] = []
        for dim, access in enumerate(accesses(reader, name)):
            if access is None:
                extents.append(shape[dim])
            else:
                index, spread = access
                extents.append(minimum(interval_length(index, by_axis) + spread, shape[dim]))
        return tuple(extents)

    def readers(self, name: str, stage: str, loop: str | None) -> list[Stage]:
        """The stages that read tensor ``name`` within one iteration of ``stage``'s ``loop``."""
        return [
            consumer
            for consumer in self.state.consumers(name)
            if consumer.name == stage or (loop is not None and self.state.nested_in(consumer.name, stage, loop))
        ]


def accesses(reader: Stage, name: str) -> list[tuple[Expr, int] | None]:
    """Per dimension of tensor ``name``: the lowest index at which ``reader`` reads it and how far the reads spread.

    None for a dimension of which any part may be read.
    """
    found = [read.indices for read in reads(reader.tensor) if read.tensor.name == name]
    return [lowest_index(indices) for indices in zip(*found, strict=True)]


def physical_shape(stage: Stage, logical: list[Number]) -> list[Number]:
    """The shape of the stage's buffer in its layout, for the given logical extents."""
    if stage.layout is None:
        return logical
    shape: list[Number] = []
    for dim in stage.layout:
        blocks = ceildiv(logical[dim.logical], dim.divisor)
        bounded = isinstance(dim.modulus, np.ndarray) or dim.modulus
        shape.append(dim.modulus if bounded else blocks)
    return shape
