"""What a schedule's steps have made of an operator: stages, their loops, and where each is computed.

A stage is one tensor of the operator (or a cached copy that a primitive added) with a loop nest of its own. Stages
refer to each other by tensor *name*, so that rewriting one stage's body leaves the others alone.

A loop is a leaf of a tree that starts at an axis: ``Split`` cuts a loop into loops, outermost first, and ``Fuse``
merges two adjacent loops into one; ``Unit`` adds a loop of one iteration. Factors are numbers, or NumPy columns with
one entry per candidate: the same steps replayed over columns describe a whole population
(``autotune.schedules.bounds``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from autotune.errors import ScheduleError
from autotune.schedules.details import PLAIN, THREADS, Details
from autotune.tensor_expr.expr import Read, walk
from autotune.tensor_expr.tensor import Tensor, graph

Number: TypeAlias = "int | np.ndarray"
KINDS = ("serial", "parallel", "unroll", "vectorize", *THREADS)


@dataclass(frozen=True, slots=True)
class Split:
    """``parent`` becomes ``children``; ``factors`` are the extents of all children but the first."""

    parent: str
    children: tuple[str, ...]
    factors: tuple[Number, ...]


@dataclass(frozen=True, slots=True)
class Fuse:
    """``outer`` and ``inner``, adjacent, become ``child``."""

    outer: str
    inner: str
    child: str


@dataclass(frozen=True, slots=True)
class Unit:
    """``child`` is a loop of one iteration that no axis has a part in."""

    child: str


Relation: TypeAlias = "Split | Fuse | Unit"


@dataclass(frozen=True, slots=True)
class LayoutDim:
    """A physical dimension whose divisor and modulus may be columns; see ``autotune.schedules.layout.Dim``."""

    logical: int
    divisor: Number = 1
    modulus: Number = 0


@dataclass(frozen=True, slots=True)
class Stage:
    """One tensor and how it is computed.

    ``attach`` is the (stage, loop) inside which it is computed, or None at the root; ``init_at`` the loop before which
    a reduction's result is initialised, or None for the innermost possible place. The loops from ``block`` on are one
    indivisible block. ``atomic``: threads may update one element at a time. ``ahead`` is how a placeholder is computed
    of a constant before the kernel runs.
    """

    tensor: Tensor
    loops: tuple[str, ...] = ()
    relations: tuple[Relation, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    attach: tuple[str, str] | None = None
    layout: tuple[LayoutDim, ...] | None = None
    init_at: str | None = None
    block: str | None = None
    atomic: bool = False
    details: Details = PLAIN
    ahead: Tensor | None = None

    @property
    def name(self) -> str:
        return self.tensor.name

    def kind(self, loop: str) -> str:
        """``serial``, ``parallel``, ``unroll``, ``vectorize`` or a thread index (``KINDS``)."""
        return self.kinds.get(loop, "serial")

    @property
    def axis_names(self) -> tuple[str, ...]:
        """Spatial, then reduction axes."""
        return tuple(axis.name for axis in (*self.tensor.axes, *self.tensor.reduce_axes))

    @property
    def reduce_loops(self) -> frozenset[str]:
        """The loops that a reduction axis has a part in."""
        return self._loops_of({axis.name for axis in self.tensor.reduce_axes})

    @property
    def scan_loops(self) -> frozenset[str]:
        """The loops that the axis has a part in along which results accumulate."""
        return self._loops_of({self.tensor.scan_axis.name} if self.tensor.scan_axis is not None else set())

    def _loops_of(self, found: set[str]) -> frozenset[str]:
        for relation in self.relations if found else ():
            if found.intersection(consumed(relation)):
                found.update(produced(relation))
        return frozenset(found)

    def require_loop(self, loop: str) -> int:
        """The loop's position, or ``ScheduleError`` naming the stage, the axis and the axes that exist."""
        if loop not in self.loops:
            known = ", ".join(self.loops) or "none"
            gone = any(loop in consumed(relation) for relation in self.relations)
            state = "was split or fused away" if gone else "does not exist"
            raise ScheduleError(f"stage {self.name!r}: axis {loop!r} {state}; its axes are: {known}")
        position = self.loops.index(loop)
        if self.block is not None and position >= self.loops.index(self.block):
            free = ", ".join(self.loops[: self.loops.index(self.block)]) or "none"
            raise ScheduleError(
                f"stage {self.name!r}: axis {loop!r} is inside the block that begins at {self.block!r}; "
                f"the axes outside it are: {free}"
            )
        return position

    @property
    def is_scheduled(self) -> bool:
        """Whether a step has touched its loops or its place."""
        touched = (
            self.atomic
            or bool(self.kinds)
            or self.attach is not None
            or self.block is not None
            or self.details is not PLAIN
        )
        return touched or self.loops != self.axis_names

    @property
    def names(self) -> frozenset[str]:
        """Every name that an axis or loop of it has or had."""
        made = (name for relation in self.relations for name in produced(relation))
        return frozenset((*self.loops, *self.axis_names, *made))

    def with_kind(self, loop: str, kind: str) -> Stage:
        return replace(self, kinds=MappingProxyType({**self.kinds, loop: kind}))

    def with_details(self, **changes: Any) -> Stage:
        return replace(self, details=replace(self.details, **changes))


def consumed(relation: Relation) -> tuple[str, ...]:
    """The loops that a relation takes away."""
    if isinstance(relation, Split):
        return (relation.parent,)
    return (relation.outer, relation.inner) if isinstance(relation, Fuse) else ()


def produced(relation: Relation) -> tuple[str, ...]:
    """The loops that a relation makes."""
    return relation.children if isinstance(relation, Split) else (relation.child,)


def fresh_stage(tensor: Tensor) -> Stage:
    """A stage computed at the root, one loop per axis."""
    stage = Stage(tensor)
    if len(set(stage.axis_names)) != len(stage.axis_names):
        raise ScheduleError(
            f"stage {tensor.name!r}: two axes share a name; its axes are: {', '.join(stage.axis_names)}"
        )
    return replace(stage, loops=stage.axis_names)


@dataclass(frozen=True, slots=True)
class State:
    """All stages by name, producers before consumers; placeholders are among them and have no loops."""

    stages: Mapping[str, Stage]
    output: str

    @staticmethod
    def initial(output: Tensor) -> State:
        """The default state: every compute at the root, in the loop order of its axes."""
        return State(MappingProxyType({t.name: fresh_stage(t) for t in graph(output)}), output.name)

    def stage(self, name: str) -> Stage:
        """The stage, or ``ScheduleError`` naming the ones that exist."""
        if name not in self.stages:
            raise ScheduleError(f"there is no stage {name!r}; the stages are: {', '.join(self.stages)}")
        return self.stages[name]

    def compute_stage(self, name: str) -> Stage:
        """The stage, which must not be a placeholder."""
        stage = self.stage(name)
        if stage.tensor.is_placeholder:
            raise ScheduleError(f"stage {name!r} is a placeholder: it has no loops to schedule")
        return stage

    def with_stage(self, stage: Stage) -> State:
        """This state with one stage replaced."""
        return replace(self, stages=MappingProxyType({**self.stages, stage.name: stage}))

    def with_stage_before(self, stage: Stage, before: str) -> State:
        """This state with a new stage inserted in front of another."""
        if stage.name in self.stages:
            raise ScheduleError(f"there is already a stage {stage.name!r}; the stages are: {', '.join(self.stages)}")
        stages: dict[str, Stage] = {}
        for name, existing in self.stages.items():
            if name == before:
                stages[stage.name] = stage
            stages[name] = existing
        return replace(self, stages=MappingProxyType(stages))

    def consumers(self, name: str) -> list[Stage]:
        """The stages that read the tensor, in order."""
        return [
            stage for stage in self.stages.values() if any(read.tensor.name == name for read in reads(stage.tensor))
        ]

    def attached(self, stage: str, loop: str) -> list[Stage]:
        """The stages computed inside the loop, producers first."""
        return [s for s in self.stages.values() if s.attach == (stage, loop)]

    def nested_in(self, name: str, stage: str, loop: str) -> bool:
        """Whether stage ``name`` runs, directly or through others, within one iteration of ``stage``'s ``loop``."""
        current = self.stages[name]
        while current.attach is not None:
            parent, at = current.attach
            if parent == stage:
                return self.stages[parent].loops.index(at) >= self.stages[parent].loops.index(loop)
            current = self.stages[parent]
        return False


@lru_cache(maxsize=4096)
def reads(tensor: Tensor) -> tuple[Read, ...]:
    """Every distinct read node in the tensor's bodies."""
    return tuple(node for node in walk(tensor.bodies) if isinstance(node, Read))
