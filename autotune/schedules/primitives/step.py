"""The base of schedule steps, their registry, and knobs.

A primitive is one file with one frozen dataclass that derives from ``Step``: its fields are the primitive's arguments
and the step's JSON, ``apply`` checks legality and returns the new state. Registering the class gives ``Schedule`` a
method of its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, TypeAlias, TypeVar

import numpy as np

from autotune.errors import ScheduleError, unknown
from autotune.schedules.details import PLAIN
from autotune.schedules.state import Number, Stage, State
from autotune.schedules.tape import Traced

MAX_FACTOR = 2**31 - 1  # what the largest extent of an operator is


@dataclass(frozen=True, slots=True)
class Knob:
    """A number left open in a schedule, and the choices there are; ``ScheduleError`` for what are none."""

    name: str
    choices: tuple[int, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise ScheduleError(f"a knob is named {self.name!r}; names are text")
        choices = tuple(self.choices) if isinstance(self.choices, (list, tuple, range)) else ()
        if not choices or not all(isinstance(item, (int, np.integer)) for item in choices):
            raise ScheduleError(f"knob {self.name!r} has the choices {self.choices!r:.100}; give it whole numbers")
        object.__setattr__(self, "choices", tuple(map(int, choices)))

    def __bool__(self) -> bool:
        raise ScheduleError(f"knob {self.name!r} is left open, so nothing can depend on it but steps' arguments")


Factor: TypeAlias = "Number | Knob"


@dataclass(frozen=True, slots=True)
class Step:
    """One schedule step."""

    name: ClassVar[str]

    def apply(self, state: State) -> State:
        """The state after this step; ``ScheduleError`` where it is not legal."""
        raise AssertionError("every primitive defines apply")

    def taken(self, state: State) -> State:
        """The state after this step, which must leave what earlier steps have asked for true."""
        state = self.apply(state)
        for stage in state.stages.values():
            if stage.details is not PLAIN:
                for holds in _INVARIANTS:
                    holds(state, stage)
        return state

    def knobs(self) -> list[Knob]:
        """The knobs among the arguments."""
        return [item for f in fields(self) for item in _flatten(getattr(self, f.name)) if isinstance(item, Knob)]

    def resolve(self, values: Mapping[str, Number]) -> Step:
        """This step with knobs replaced by their values."""
        if not self.knobs():
            return self
        return replace(self, **{f.name: _substitute(getattr(self, f.name), values) for f in fields(self)})

    def to_json(self) -> list[Any]:
        """``[name, {argument: value}]``."""
        return [self.name, {f.name: _encode(getattr(self, f.name)) for f in fields(self)}]


def _flatten(value: Any) -> list[Any]:
    if isinstance(value, tuple):
        return [leaf for item in value for leaf in _flatten(item)]
    return [value]


def _substitute(value: Any, values: Mapping[str, Number]) -> Any:
    if isinstance(value, Knob):
        return values[value.name]
    return tuple(_substitute(item, values) for item in value) if isinstance(value, tuple) else value


def _encode(value: Any) -> Any:
    if isinstance(value, Knob):
        return {"knob": value.name, "choices": list(value.choices)}
    if isinstance(value, tuple):
        return [_encode(item) for item in value]
    return int(value) if isinstance(value, np.integer) else value


def _decode(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"knob", "choices"}:
        return Knob(value["knob"], value["choices"])
    return tuple(_decode(item) for item in value) if isinstance(value, (list, tuple)) else value


def _is_name(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    """Whether this may be a number or a knob; what it must be like is for the primitive to say."""
    return value is None or isinstance(value, (int, float, np.number, Knob))


def _list_of(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, tuple) and all(map(fits, value))


def _is_block(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], (int, np.integer))


# What an argument must be, by the type that its field is declared with.
_TYPES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "str": ("a name", _is_name),
    "tuple[str, ...]": ("a list of names", _list_of(_is_name)),
    "tuple[str | int, ...]": ("a list of names", _list_of(lambda item: isinstance(item, (str, int)))),
    "str | tuple[str, ...]": ("a name or a list of names", lambda item: _is_name(item) or _list_of(_is_name)(item)),
    "bool": ("True or False", lambda item: isinstance(item, bool)),
    "int": ("a number", _is_number),
    "int | None": ("a number", _is_number),
    "int | float": ("a number", _is_number),
    "Factor": ("a number", _is_number),
    "tuple[Factor, ...]": ("a list of numbers", _list_of(_is_number)),
    "tuple[tuple[int, Factor], ...]": ("a list of pairs of a dimension and a factor", _list_of(_is_block)),
}


def _check_types(step: Step) -> None:
    declared = fields(step)
    for field in declared:
        words, fits = _TYPES[str(field.type)]
        value = getattr(step, field.name)
        if not fits(value):
            about = getattr(step, declared[0].name)
            raise ScheduleError(f"stage {about!r}: {step.name} takes {words} as {field.name}, got {value!r:.100}")


_STEPS: dict[str, type[Step]] = {}
Invariant = Callable[[State, Stage], None]
_INVARIANTS: list[Invariant] = []
StepClass = TypeVar("StepClass", bound=type[Step])


def primitive(name: str) -> Callable[[StepClass], StepClass]:
    """Register a step under the name that schedules know it by."""

    def decorate(cls: StepClass) -> StepClass:
        cls.name = name
        _STEPS[name] = cls
        return cls

    return decorate


def invariant(holds: Invariant) -> Invariant:
    """Register what must stay true of a stage with ``Details`` whatever step follows; raises ``ScheduleError``."""
    _INVARIANTS.append(holds)
    return holds


@invariant
def _loops_exist(state: State, stage: Stage) -> None:
    for loop in stage.details.loops:
        stage.require_loop(loop)


def primitives() -> Mapping[str, type[Step]]:
    """All primitives by name."""
    return dict(sorted(_STEPS.items()))


def make_step(name: str, *args: Any, **kwargs: Any) -> Step:
    """A step from a primitive's arguments, lists taken as tuples.

    Raises ``UsageError`` for an unknown primitive, ``ScheduleError`` for arguments that it does not take.
    """
    if name not in _STEPS:
        raise unknown("primitive", name, _STEPS)
    try:
        step = _STEPS[name](*map(_decode, args), **{key: _decode(value) for key, value in kwargs.items()})
    except TypeError:
        takes = ", ".join(f.name for f in fields(_STEPS[name]))
        raise ScheduleError(f"{name} takes ({takes})") from None
    _check_types(step)
    return step


def is_whole(value: Any) -> bool:
    """Whether this is a whole number, or a column of them."""
    return isinstance(value, (int, np.integer, np.ndarray, Traced)) and not isinstance(value, bool)


def check_factors(stage: Stage, axis: str | int, factors: tuple[Factor, ...], what: str = "factor") -> None:
    """Refuse what is not whole numbers from 1 to ``MAX_FACTOR``, of an axis, or of a dimension by its number."""
    where = f"axis {axis!r}" if isinstance(axis, str) else f"dimension {axis}"
    for factor in factors:
        if not is_whole(factor) or not np.all((factor >= 1) & (factor <= MAX_FACTOR)):  # type: ignore[operator]
            raise ScheduleError(
                f"stage {stage.name!r}, {where}: {what} {factor!r} must be a whole number from 1 to {MAX_FACTOR}"
            )


def check_name(stage: Stage, name: str) -> None:
    """Refuse a name for a loop that another axis or loop of the stage has or had."""
    if name in stage.names:
        raise name_taken(stage, name)


def name_taken(stage: Stage, name: str) -> ScheduleError:
    """The refusal of a name that cannot be given to one more loop."""
    return ScheduleError(f"stage {stage.name!r}: the name {name!r} is taken; its axes are: {', '.join(stage.loops)}")


def check_own_buffer(state: State, stage: Stage) -> None:
    """Refuse the output, whose memory belongs to the caller."""
    if stage.name == state.output:
        raise ScheduleError(
            f"stage {stage.name!r} is the output, whose memory belongs to the caller; cache_write it and take the copy"
        )


def check_plain(stage: Stage, axis: str) -> None:
    """Refuse to reshape a loop that is already parallel, unrolled or vectorised, or that stages are computed in."""
    stage.require_loop(axis)
    if stage.kind(axis) != "serial":
        known = ", ".join(loop for loop in stage.loops if stage.kind(loop) == "serial")
        raise ScheduleError(
            f"stage {stage.name!r}: axis {axis!r} is already {stage.kind(axis)}; its plain axes are: {known or 'none'}"
        )


def check_no_attached(state: State, stage: Stage, axis: str) -> None:
    """Refuse to take away a loop inside which another stage is computed."""
    inside = state.attached(stage.name, axis)
    if inside:
        raise ScheduleError(
            f"stage {stage.name!r}: axis {axis!r} holds the computation of {inside[0].name!r}; "
            f"its axes are: {', '.join(stage.loops)}"
        )
