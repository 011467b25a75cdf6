"""Random schedules: sequences of all primitives that are registered, most steps sensible, some of them not.

An argument is drawn by its name, and by its type where the name is new, so that a new primitive is exercised at once; a
primitive gets a line of its own where good arguments are rare.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from itertools import permutations
from typing import Any

from autotune.errors import UsageError
from autotune.fuzz.check import helpful
from autotune.fuzz.choices import Choices
from autotune.schedules.bounds import Bounds
from autotune.schedules.dependences import producers
from autotune.schedules.details import SCOPES, THREADS
from autotune.schedules.primitives import Step, make_step, primitives
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.schedules.state import Stage, reads
from autotune.schedules.tensor_intrinsics import tensor_intrinsics
from autotune.tensor_expr import Tensor

MAX_STEPS = 14
MAX_UNROLLED = 300  # copies of the innermost statement: beyond, compiling takes longer than it is worth
# How often each is tried, beside others; 1 where nothing is said.
WEIGHTS: Mapping[str, int] = {
    "split": 5,
    "reorder": 3,
    "vectorize": 4,
    "unroll": 3,
    "compute_at": 4,
    "fold_storage": 2,
    "compute_with": 2,
    "fuse": 2,
    "parallel": 2,
    "rfactor": 2,
    "reverse_compute_at": 2,
}


@dataclass(slots=True)
class Draft:
    """A schedule that grows by random steps, and what became of each step."""

    schedule: Schedule
    accepted: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    trouble: tuple[Step, Exception] | None = None  # a step whose refusal is no message for a user

    def attempt(self, step: Step) -> bool:
        """Append a step unless it is refused; whether it was appended."""
        try:
            self.schedule = self.schedule.append(step)
        except UsageError as refusal:
            self.refused[step.name] = self.refused.get(step.name, 0) + 1
            if not helpful(refusal):
                self.trouble = (step, refusal)
            return False
        except Exception as error:  # what it is belongs into the report
            self.trouble = (step, error)
            return False
        self.accepted[step.name] = self.accepted.get(step.name, 0) + 1
        return True

    def call(self, primitive: str, *arguments: Any) -> bool:
        """Attempt a step by name."""
        return self.attempt(make_step(primitive, *arguments))


def draw_schedule(choices: Choices, output: Tensor) -> Draft:
    """Random steps; those that a primitive refuses are left out."""
    draft = Draft(create_schedule(output))
    if choices.integer(0, 3):
        choices.choice((_tiled, _tiled, _instructed, _derived, _shared))(choices, draft)
    names = [name for name in primitives() for _ in range(WEIGHTS.get(name, 1))]
    for _ in range(choices.integer(0, MAX_STEPS)):
        draft.attempt(_step(choices, draft.schedule, choices.choice(names)))
        if draft.trouble is not None:
            break
    draft.schedule = _bounded(draft.schedule)
    return draft


def _bounded(schedule: Schedule) -> Schedule:
    """Without unrolling where the body would grow beyond what is worth compiling."""
    bounds, size = Bounds(schedule.state), 1
    for stage in bounds.stages.values():
        for loop in stage.stage.loops:
            if stage.stage.kind(loop) == "unroll":
                size *= int(stage.extents[loop])
    if size <= MAX_UNROLLED:
        return schedule
    try:
        return Schedule(schedule.output, tuple(step for step in schedule.steps if step.name != "unroll"))
    except UsageError:  # a vector loop had unrolled ones inside
        return create_schedule(schedule.output)


def _tiled(choices: Choices, draft: Draft) -> None:
    """The usual structure with random numbers: a tile in registers, producers computed inside the tile's loops."""
    output = draft.schedule.output.name
    stages = lambda: draft.schedule.state.stages  # noqa: E731
    draft.call("cache_write", output)
    axes = [axis.name for axis in draft.schedule.output.axes]
    for axis in axes:
        if not choices.one_in(4):
            draft.call("split", output, axis, [choices.integer(1, 16) for _ in range(choices.integer(1, 2))])
    outer = [loop for loop in stages()[output].loops if loop.endswith(".0") or loop in axes]
    draft.call("reorder", output, outer + [loop for loop in stages()[output].loops if loop not in outer])
    if choices.one_in(3) and len(outer) > 1:
        draft.call("fuse", output, outer[: choices.integer(2, len(outer))])
    names = list(stages())
    for name in reversed(names[:-1]):
        holder = choices.choice([name for name in names if stages()[name].loops])
        if choices.integer(0, 3) and stages()[name].loops:
            draft.call("compute_at", name, holder, choices.choice(stages()[holder].loops))
    tile = f"{output}.tile"
    if tile in stages():
        for loop in stages()[tile].loops:
            if choices.one_in(2):
                draft.call("split", tile, loop, [choices.choice((1, 2, 3, 4, 8, 16))])
        loops = stages()[tile].loops
        draft.call("reorder", tile, sorted(loops, key=lambda loop: loop not in stages()[tile].reduce_loops))
    for name in list(stages()):
        loops = stages()[name].loops
        if loops and choices.integer(0, 3):
            draft.call("vectorize", name, loops[-1])
            for loop in reversed(loops[:-1][-choices.integer(0, 3) :]):
                draft.call("unroll", name, loop)


def _instructed(choices: Choices, draft: Draft) -> None:
    """The innermost spatial axis of a sum of products in vectors, with its last reduction, as one instruction."""
    stages = draft.schedule.state.stages
    name = next((name for name in reversed(list(stages)) if stages[name].reduce_loops), None)
    if name is None:
        return
    intrinsic = choices.choice(list(tensor_intrinsics().values()))
    axis = stages[name].tensor.axes[-1].name
    draft.call("split", name, axis, [intrinsic.lanes])
    loops = draft.schedule.state.stages[name].loops
    inner = [f"{axis}.1", *loops[-1:]][: len(intrinsic.axes)]
    draft.call("reorder", name, [*(loop for loop in loops if loop not in inner), *inner])
    draft.call("tensorize", name, f"{axis}.1", intrinsic.name)


def _derived(choices: Choices, draft: Draft) -> None:
    """Stages made from others, or joined, which comes before these are scheduled."""
    for _ in range(choices.integer(1, 2)):
        drawn = _Arguments(choices, draft.schedule)
        name = choices.choice(("rfactor", "rfactor", "pad", "reverse_compute_at", "compute_with", "specialize"))
        if name == "rfactor" and choices.integer(0, 2):
            draft.call("split", drawn.reduction(), drawn.reducing_loop(), [choices.integer(1, 9)])
        if name == "compute_with":  # copies of inputs are siblings
            output = draft.schedule.state.stages[draft.schedule.state.output]
            for source in output.tensor.inputs[:2]:
                draft.call("cache_read", source.name, output.name)
        draft.attempt(_step(choices, draft.schedule, name))


def _shared(choices: Choices, draft: Draft) -> None:
    """A reduction's loop, or a part of it, on all threads."""
    drawn = _Arguments(choices, draft.schedule)
    stage, loop = drawn.reduction(), drawn.reducing_loop()
    if choices.one_in(2) and draft.call("split", stage, loop, [choices.integer(1, 9)]):
        loop = f"{loop}.0"
    loops = draft.schedule.state.stages[stage].loops
    draft.call("reorder", stage, [loop, *(other for other in loops if other != loop)])
    draft.call("atomic", stage)
    draft.call("parallel", stage, loop)


# -- one step --------------------------------------------------------------------------------------------------------


def _step(choices: Choices, schedule: Schedule, name: str) -> Step:
    """A step of a primitive with random arguments."""
    if name in _WHOLE:
        return make_step(name, *_WHOLE[name](_Arguments(choices, schedule)))
    drawn = _Arguments(choices, schedule)
    given: dict[str, Any] = {}
    for argument in fields(primitives()[name]):
        has_default = argument.default is not MISSING or argument.default_factory is not MISSING
        if not (has_default and choices.one_in(2)):
            given[argument.name] = drawn.argument(name, argument)
    return make_step(name, **given)


class _Arguments:
    """Draws the arguments of one step; an axis belongs to the stage that was drawn last."""

    def __init__(self, choices: Choices, schedule: Schedule) -> None:
        self.choices = choices
        self.state = schedule.state
        self.stages = schedule.state.stages
        self.computes = [name for name, stage in self.stages.items() if not stage.tensor.is_placeholder]
        self.last: Stage = self.stages[schedule.state.output]
        self.blocked: list[int] = []

    def argument(self, primitive: str, argument: Field[Any]) -> Any:
        """A value by the primitive and the argument's name, by the name alone, or by the type."""
        for key in (f"{primitive}.{argument.name}", argument.name, str(argument.type).split(" = ")[0]):
            if key in _DRAWN:
                return _DRAWN[key](self)
        raise AssertionError(f"no random value for {primitive}.{argument.name}: {argument.type}; give it a line here")

    def compute(self) -> str:
        """A stage that is computed."""
        name = self.choices.choice(self.computes)
        self.last = self.stages[name]
        return name

    def tensor(self) -> str:
        """Any stage, mostly one that some other reads."""
        name = self.choices.choice(list(self.stages))
        self.last = self.stages[name]
        return name

    def read(self) -> list[str]:
        """The tensors that the last stage reads, if any."""
        return list(dict.fromkeys(read.tensor.name for read in reads(self.last.tensor))) or list(self.stages)

    def reduction(self) -> str:
        """A stage that reduces, where there is one."""
        reducing = [name for name in self.computes if self.stages[name].reduce_loops]
        self.last = self.stages[self.choices.choice(reducing or self.computes)]
        return self.last.name

    def of_constants(self) -> str:
        """A stage that reads constants alone, where there is one."""
        found = [name for name in self.computes if all(read.constant for read in self.stages[name].tensor.inputs)]
        return self.choices.choice(found or self.computes)

    def reducing_loop(self) -> str:
        """A loop of the last stage, one of a reduction where it has one."""
        return self.choices.choice([loop for loop in self.last.loops if loop in self.last.reduce_loops] or ["none"])

    def loop(self) -> str:
        """A loop of the last stage."""
        return self.choices.choice(self.last.loops or ("none",))

    def innermost(self) -> str:
        """A loop of the last stage, mostly the innermost one."""
        return self.last.loops[-1] if self.last.loops and self.choices.integer(0, 2) else self.loop()

    def outermost(self) -> str:
        """A loop of the last stage, mostly the outermost one."""
        return self.last.loops[0] if self.last.loops and self.choices.integer(0, 3) else self.loop()

    def neighbours(self) -> list[str]:
        """Loops of the last stage that stand inside each other."""
        start = self.choices.integer(0, max(0, len(self.last.loops) - 1))
        return list(self.last.loops[start : start + self.choices.integer(2, 3)])

    def order(self) -> list[str]:
        """The loops of the last stage in an order near theirs."""
        order = list(self.last.loops)
        for _ in range(self.choices.integer(1, 5)):
            a, b = (self.choices.integer(0, len(order) - 1) for _ in range(2)) if order else (0, 0)
            order[a : a + 1], order[b : b + 1] = order[b : b + 1], order[a : a + 1]
        return order

    def blocks(self) -> list[list[int]]:
        """Blocks of some dimensions of the last stage."""
        rank = len(self.last.tensor.shape)
        self.blocked = [dim for dim in range(rank) if self.choices.one_in(3)]
        return [[dim, self.choices.integer(1, 9)] for dim in self.blocked]

    def dims(self) -> list[str]:
        """The physical dimensions of the last stage, mostly those that the blocks leave, in any order."""
        rank = len(self.last.tensor.shape)
        parts = [(f"{dim}.outer", f"{dim}.inner") if dim in self.blocked else (str(dim),) for dim in range(rank)]
        order = [part for dim in parts for part in dim]
        return self.choices.shuffled(order) if self.choices.one_in(2) else order

    def factor(self) -> int:
        return self.choices.integer(1, 9) if self.choices.integer(0, 2) else 16

    def factors(self) -> list[int]:
        return [self.factor() for _ in range(self.choices.choice((1, 1, 1, 2, 3)))]

    def dim(self) -> int:
        return self.choices.integer(0, max(0, len(self.last.tensor.shape) - 1))


def _split(drawn: _Arguments) -> list[Any]:
    return [drawn.compute(), drawn.loop(), drawn.factors()]


def _tile(drawn: _Arguments) -> list[Any]:
    stage, axes = drawn.compute(), drawn.neighbours()
    return [stage, axes, [drawn.factor() for _ in axes]]


def _pragma(drawn: _Arguments) -> list[Any]:
    """About a parallel loop, where there is one."""
    stages = [drawn.stages[name] for name in drawn.computes]
    known = [(stage.name, loop) for stage in stages for loop in stage.loops if stage.kind(loop) == "parallel"]
    stage, loop = drawn.choices.choice(known) if known else (drawn.compute(), drawn.loop())
    return [stage, loop, "parallel_chunk", drawn.factor()]


def _inside(drawn: _Arguments) -> str:
    """A stage that is computed in a loop, where there is one."""
    inside = [name for name in drawn.computes if drawn.stages[name].attach is not None]
    return drawn.choices.choice(inside) if inside else drawn.compute()


def _fold_storage(drawn: _Arguments) -> list[Any]:
    return [_inside(drawn), None, drawn.choices.choice((0, 0, 0, 4, 7, 16))]


def _compute_with(drawn: _Arguments) -> list[Any]:
    """Two stages of as many rows at one place, of which neither depends on the other, where there are such."""
    stages = {name: drawn.stages[name] for name in drawn.computes}
    above = {name: producers(drawn.state, name) for name in stages}
    pairs = [
        (a, b)
        for a, b in permutations(stages, 2)
        if stages[a].attach == stages[b].attach and a not in above[b] and b not in above[a]
        if stages[a].tensor.shape[0] == stages[b].tensor.shape[0]
    ]
    stage, sibling = drawn.choices.choice(pairs) if pairs else (drawn.compute(), drawn.compute())
    drawn.last = stages[stage]
    return [stage, sibling, drawn.outermost()]


def _specialize(drawn: _Arguments) -> list[Any]:
    """For an input of one element, where there is one."""
    single = [s.name for s in drawn.stages.values() if s.tensor.is_placeholder and set(s.tensor.shape) == {1}]
    return [drawn.compute(), drawn.choices.choice(single) if single else drawn.tensor(), drawn.choices.integer(0, 2)]


def _rfactor(drawn: _Arguments) -> list[Any]:
    """A loop of a reduction, where there is one."""
    stage = drawn.reduction()
    return [stage, drawn.reducing_loop(), drawn.choices.one_in(2)]


def _reverse_compute_at(drawn: _Arguments) -> list[Any]:
    """A stage without loops of its own making, at a loop of one that it reads."""
    pairs = [
        (name, read.name)
        for name in drawn.computes
        for read in drawn.stages[name].tensor.inputs
        if not drawn.stages[name].is_scheduled and drawn.stages[read.name].loops
    ]
    consumer, producer = drawn.choices.choice(pairs) if pairs else (drawn.compute(), drawn.compute())
    drawn.last = drawn.stages[producer]
    return [consumer, producer, drawn.outermost()]


# Primitives whose arguments depend on each other.
_WHOLE: Mapping[str, Callable[[_Arguments], list[Any]]] = {
    "split": _split,
    "tile": _tile,
    "pragma": _pragma,
    "fold_storage": _fold_storage,
    "double_buffer": lambda drawn: [_inside(drawn)],
    "compute_with": _compute_with,
    "specialize": _specialize,
    "rfactor": _rfactor,
    "reverse_compute_at": _reverse_compute_at,
}

# Arguments by primitive and name, by name, and by type.
_DRAWN: Mapping[str, Callable[[_Arguments], Any]] = {
    "vectorize.axis": _Arguments.innermost,
    "parallel.axis": _Arguments.outermost,
    "atomic.stage": lambda drawn: drawn.reduction(),
    "fuse.axes": _Arguments.neighbours,
    "fuse.fused": lambda drawn: "",
    "bind.thread": lambda drawn: drawn.choices.choice(THREADS),
    "set_scope.scope": lambda drawn: drawn.choices.choice(SCOPES),
    "tensor": _Arguments.tensor,
    "precompute.stage": lambda drawn: drawn.of_constants(),
    "stage": _Arguments.compute,
    "prefetch.tensor": lambda drawn: drawn.choices.choice(drawn.read()),
    "intrinsic": lambda drawn: drawn.choices.choice(list(tensor_intrinsics())),
    "consumer": lambda drawn: drawn.choices.choice(drawn.computes),
    "axis": _Arguments.loop,
    "before": _Arguments.loop,
    "loop": _Arguments.loop,
    "value": lambda drawn: drawn.choices.integer(0, 3),
    "unit": lambda drawn: drawn.choices.choice(("unit", "one")),
    "axes": _Arguments.order,
    "blocks": _Arguments.blocks,
    "order": _Arguments.dims,
    "dim": _Arguments.dim,
    "factor": _Arguments.factor,
    "factors": _Arguments.factors,
    "str": _Arguments.loop,
    "int": _Arguments.factor,
    "bool": lambda drawn: drawn.choices.one_in(2),
    "Factor": _Arguments.factor,
    "tuple[str, ...]": _Arguments.order,
    "tuple[Factor, ...]": _Arguments.factors,
}
