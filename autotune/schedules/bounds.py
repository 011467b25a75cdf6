"""How far every loop runs and how much of every tensor it touches, in numbers or in columns of numbers.

This is the one place that infers extents: lowering asks it with integers, the cost model with a column per knob, so
that what the model sees is what is lowered. Extents are those of a full tile; the last, partial tile of an extent that
does not divide is smaller, so that products of extents are upper bounds there.

Extents use only ``+ * ceildiv min where``, which NumPy evaluates for a whole population at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np

from autotune.schedules.state import Fuse, Number, Split, Stage, State, Unit, reads
from autotune.tensor_expr.affine import index_form, interval_length, lowest_index
from autotune.tensor_expr.expr import Axis, Expr


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


@dataclass(frozen=True, slots=True)
class Span:
    """The indices from ``form + low`` to ``form + high``; ``form`` is linear over where a holder's axes begin."""

    form: Mapping[str, int]
    low: Number
    high: Number

    def hull(self, other: Span) -> Span | None:
        """The smallest span that holds both; None where they do not move together."""
        if self.form != other.form:
            return None
        return Span(self.form, minimum(self.low, other.low), maximum(self.high, other.high))


class Bounds:
    """The extents of every stage of a state."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._spans: dict[tuple[str, str, str], list[Span | None]] = {}
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
            return tuple(
                size if span is None else minimum(span.high - span.low + 1, size)
                for span, size in zip(self.spans(name, stage, loop), shape, strict=True)
            )
        reader = readers[0]
        covers = self.covers(reader.name, stage, loop)
        by_axis = {axis: covers[axis.name] for axis in (*reader.tensor.axes, *reader.tensor.reduce_axes)}
        extents: list[Number] = []
        for dim, access in enumerate(accesses(reader, self.state.stages[name])):
            if access is None:
                extents.append(shape[dim])
            else:
                index, spread = access
                extents.append(minimum(interval_length(index, by_axis) + spread, shape[dim]))
        return tuple(extents)

    def spans(self, name: str, stage: str, loop: str | None) -> list[Span | None]:
        """Per dimension of tensor ``name``, what is read within one iteration of ``stage``'s ``loop``.

        The hull of what all its readers read, in terms of where ``stage``'s axes stand. None, any part of the
        dimension, where an index is not linear, or readers do not move together.
        """
        key = (name, stage, loop or "")
        if key not in self._spans:
            spans: list[list[Span | None]] = [
                self._read(reader, name, stage, loop) for reader in self.readers(name, stage, loop)
            ]
            self._spans[key] = [reduce(_hull, column) for column in zip(*spans, strict=True)]
        return self._spans[key]

    def _read(self, reader: Stage, name: str, stage: str, loop: str | None) -> list[Span | None]:
        axes: dict[Axis, Span | None] = {
            axis: Span({}, 0, axis.extent - 1) for axis in (*reader.tensor.axes, *reader.tensor.reduce_axes)
        }
        if reader.name == stage:
            covers = self.covers(stage, stage, loop)
            axes = {axis: Span({axis.name: 1}, 0, covers[axis.name] - 1) for axis in axes}
        else:
            axes.update(zip(reader.tensor.axes, self.spans(reader.name, stage, loop), strict=True))
        return [
            _indexed(*access, axes) if access is not None else None
            for access in accesses(reader, self.state.stages[name])
        ]

    def readers(self, name: str, stage: str, loop: str | None) -> list[Stage]:
        """The stages that read tensor ``name`` within one iteration of ``stage``'s ``loop``."""
        return [
            consumer
            for consumer in self.state.consumers(name)
            if consumer.name == stage or (loop is not None and self.state.nested_in(consumer.name, stage, loop))
        ]


def _hull(one: Span | None, other: Span | None) -> Span | None:
    return one.hull(other) if one is not None and other is not None else None


def _indexed(index: Expr, spread: int, axes: Mapping[Axis, Span | None]) -> Span | None:
    """What an index takes on while its axes take on their spans, and ``spread`` further; None if it is not linear."""
    linear = index_form(index)
    form: dict[str, int] = {}
    low: Number = linear.const
    high: Number = linear.const + spread
    for atom, coefficient in linear.terms.values():
        span = axes[atom] if isinstance(atom, Axis) else None
        if span is None:
            return None
        for name, factor in span.form.items():
            form[name] = form.get(name, 0) + coefficient * factor
        ends = (span.low, span.high) if coefficient > 0 else (span.high, span.low)
        low, high = low + coefficient * ends[0], high + coefficient * ends[1]
    return Span({name: factor for name, factor in form.items() if factor}, low, high)


def accesses(reader: Stage, source: Stage) -> list[tuple[Expr, int] | None]:
    """Per dimension of a tensor: the lowest index at which ``reader`` reads it and how far the reads spread.

    None for a dimension of which any part may be read, and for one along which the tensor accumulates: what is read of
    it needs all that comes before.
    """
    found = [read.indices for read in reads(reader.tensor) if read.tensor.name == source.name]
    lowest = [lowest_index(indices) for indices in zip(*found, strict=True)]
    if source.tensor.scan_dim is not None:
        lowest[source.tensor.scan_dim] = None
    return lowest


def physical_shape(stage: Stage, logical: list[Number]) -> list[Number]:
    """The shape of the stage's buffer in its layout, for the given logical extents."""
    if stage.layout is None:
        return logical
    shape: list[Number] = []
    for dim in stage.layout:
        blocks = ceildiv(logical[dim.logical], dim.divisor)
        bounded = not isinstance(dim.modulus, int) or dim.modulus
        shape.append(dim.modulus if bounded else blocks)
    return shape
