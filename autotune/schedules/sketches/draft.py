"""A sketch under construction, and what rules read off an operator's expression."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod
from typing import Any

from autotune.schedules.primitives import Knob
from autotune.schedules.schedule import Schedule
from autotune.schedules.state import Stage, State, reads
from autotune.targets.facts import Target
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.affine import affine
from autotune.tensor_expr.expr import Accumulation, Axis, Read, Reduce, Select, walk


@dataclass(frozen=True, slots=True)
class Grouped:
    """An instruction of the anchor, by name, and how many steps of which reduction axis it adds up."""

    instruction: str
    axis: str
    steps: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A schedule with knobs, and the choices that rules have made so far.

    ``anchor`` is the stage that does the work (the largest reduction; None where there is none), ``out`` the stage
    whose loops are tiled and inside which the anchor is computed, ``vector`` the anchor's vectorised axis, and
    ``grouped`` the instruction that its register tiles are made of, if any. ``outer``, ``middle`` are the loops of
    ``out`` around a register tile; ``label`` says in words what was chosen. What is ``complete`` is left as it is by
    the rules that follow.
    """

    schedule: Schedule
    target: Target
    threads: int
    anchor: str | None = None
    out: str = ""
    vector: str | None = None
    grouped: Grouped | None = None
    outer: tuple[str, ...] = ()
    middle: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    complete: bool = False

    @property
    def state(self) -> State:
        return self.schedule.state

    def step(self, name: str, *args: Any, **kwargs: Any) -> Draft:
        """With one more schedule step."""
        return replace(self, schedule=getattr(self.schedule, name)(*args, **kwargs))

    def named(self, *words: str) -> Draft:
        """With words added to the label."""
        return replace(self, label=(*self.label, *words))

    @property
    def anchor_stage(self) -> Stage:
        assert self.anchor is not None
        return self.state.stages[self.anchor]

    def lanes(self, stage: str) -> int:
        """Vector lanes of a stage's element type."""
        return self.target.lanes(dtypes.computed_size(self.state.stages[stage].tensor.dtype))


Rule = Callable[[Draft], list[Draft]]


def work(stage: Stage) -> int:
    """Points of a stage's iteration space."""
    return prod(stage.tensor.shape) * prod(axis.extent for axis in stage.tensor.reduce_axes)


def find_anchor(state: State) -> str | None:
    """The reduction with the most points, or None."""
    reductions = [stage for stage in state.stages.values() if isinstance(stage.tensor.body, Reduce)]
    return max(reductions, key=work).name if reductions else None


def axes_of(stage: Stage, read: Read, dim: int | None = None) -> set[str]:
    """The stage's axes that occur in a read's indices (or in one of them)."""
    indices = read.indices if dim is None else (read.indices[dim],)
    return {node.name for node in walk(indices) if isinstance(node, Axis)}


@lru_cache(maxsize=4096)
def lane_step(read: Read, axis: str) -> int | None:
    """How many elements of the innermost dimension one step along ``axis`` moves; 0 where it moves nothing at all.

    None where it moves another dimension, or not linearly.
    """
    if any(axis in {n.name for n in walk([index]) if isinstance(n, Axis)} for index in read.indices[:-1]):
        return None
    form = affine(read.indices[-1])
    for atom, coefficient in form.terms.values():
        if isinstance(atom, Axis) and atom.name == axis:
            return coefficient
        if not isinstance(atom, Axis) and any(isinstance(n, Axis) and n.name == axis for n in walk([atom])):
            return None
    return 0


def is_pointwise(stage: Stage) -> bool:
    """Whether every element depends on elements at the same place, or on fewer dimensions of it, and on no test."""
    body = stage.tensor.body
    if body is None or isinstance(body, Accumulation):
        return False
    if any(isinstance(node, Select) for node in walk(stage.tensor.bodies)):
        return False
    own = set(stage.tensor.axes)
    return all(isinstance(index, Axis) and index in own for read in reads(stage.tensor) for index in read.indices)


def crosses_rows(stage: Stage) -> bool:
    """Whether neighbours along the stage's last axis lie rows apart in what it reads, which another axis runs along."""
    *others, last = (axis.name for axis in stage.tensor.axes)
    return any(
        lane_step(read, last) is None and any(lane_step(read, axis) == 1 for axis in others)
        for read in reads(stage.tensor)
    )


def tile_choices(extent: int, most: int, waste: float = 1.26) -> tuple[int, ...]:
    """Sizes of tiles that cover an extent with little left over, at most ``most``."""
    sizes = [size for size in range(1, min(extent, most) + 1) if -(-extent // size) * size <= waste * extent]
    return tuple(sizes) or (1,)


def block_choices(extent: int) -> tuple[int, ...]:
    """How many tiles make a block: powers of two and three halves of them, and all."""
    sizes = {1, extent} | {size for size in (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256, 512) if size < extent}
    return tuple(sorted(sizes))


def knob(name: str, choices: tuple[int, ...]) -> Any:
    """A knob, or the number itself where there is no choice."""
    return Knob(name, choices) if len(choices) > 1 else choices[0]


def tile_factor(draft: Draft, axis: str) -> int | Knob:
    """The factor of the register tile along an axis, as the split of the output has it."""
    position = [a.name for a in draft.anchor_stage.tensor.axes].index(axis)
    own = draft.state.stages[draft.out].tensor.axes[position].name
    for step in draft.schedule.steps:
        if step.name == "split" and getattr(step, "stage", "") == draft.out and getattr(step, "axis", "") == own:
            factor: int | Knob = step.factors[-1]  # type: ignore[attr-defined]
            return factor
    raise AssertionError(f"axis {own} was not tiled")
