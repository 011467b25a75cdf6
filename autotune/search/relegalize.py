"""A schedule that was measured for one shape, made legal for another."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np

from autotune.errors import AutotuneError
from autotune.lowering.pipeline import lower
from autotune.schedules.schedule import Schedule
from autotune.search.space import Population, SearchSpace
from autotune.tensor_expr.algorithms import DIRECT


def relegalized(space: SearchSpace, sketch: str, knobs: Mapping[str, int]) -> Schedule | None:
    """The candidate of the space that is most like a recorded one; None where nothing like it can be lowered.

    Alike are sketches of the same steps, whatever the choices of their knobs; tensors and axes may have other names.
    Each knob takes the choice nearest to the recorded value, by ratio. Where the space has no such sketch (its rules
    changed), the recorded steps themselves are replayed.
    """
    for schedule in _candidates(space, sketch, knobs):
        try:
            lower(schedule, space.target)
        except AutotuneError:
            continue
        return schedule
    return None


def _candidates(space: SearchSpace, sketch: str, knobs: Mapping[str, int]) -> Iterator[Schedule]:
    try:
        recorded = _Outline.of(json.loads(sketch))
        values = [knobs[name] for name in recorded.knobs]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return
    own = [_Outline.of(json.loads(one.schedule.text)) for one in space.sketches]
    alike = [
        number
        for number, outline in enumerate(own)
        if (outline.algorithm, outline.structure) == (recorded.algorithm, recorded.structure)
    ]
    alike.sort(key=lambda number: own[number].names != recorded.names)
    for number in alike:
        row = _nearest(space, number, dict(zip(own[number].knobs, values, strict=True)))
        if space.evaluate(row).legal[0]:
            yield space.schedule(row, 0)
    if recorded.algorithm not in space.definitions:
        return
    try:
        yield Schedule.from_json(space.definitions[recorded.algorithm], json.loads(sketch)).with_knobs(knobs)
    except (AutotuneError, ValueError, LookupError, TypeError, AttributeError):
        return


def _nearest(space: SearchSpace, number: int, values: Mapping[str, int]) -> Population:
    """The sketch's candidate whose knobs are nearest to the values."""
    genes = np.zeros((1, space.width), np.int64)
    for position, (name, choices) in enumerate(zip(space.names[number], space.choices[number], strict=True)):
        distances = [abs(math.log2(max(int(choice), 1) / max(values[name], 1))) for choice in choices]
        genes[0, position] = int(np.argmin(distances))
    return Population(np.array([number]), genes)


# The arguments of steps that name tensors and axes; other words (a layout's 0.inner, a scope) mean what they say.
_TENSORS = ("stage", "consumer", "producer", "sibling", "tensor")
_AXES = ("axis", "axes", "loop", "before", "names", "fused", "unit")
_OWNERS = ("producer", "consumer", "stage")  # whose axes a step's axes are: of the first of these that it has


@dataclass(slots=True)
class _Outline:
    """A schedule's JSON taken apart: the steps with names replaced by the order in which they first come up, the names
    and the knobs in that order. The choices of knobs are left out.

    An axis is one of its stage: that another stage, or the stage itself, has the same name changes nothing.
    """

    algorithm: str = DIRECT
    structure: str = ""
    names: list[tuple[str, str]] = field(default_factory=list)  # of whom ("" for a tensor), and the name
    knobs: list[str] = field(default_factory=list)

    @staticmethod
    def of(data: Mapping[str, Any]) -> _Outline:
        outline = _Outline(data.get("algorithm", DIRECT))
        steps = [[name, outline._arguments(arguments)] for name, arguments in data["steps"]]
        outline.structure = json.dumps(steps)
        return outline

    def _arguments(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        owner = next((arguments[name] for name in _OWNERS if name in arguments), "")
        stripped = {}
        for name, value in sorted(arguments.items(), key=lambda item: item[0] not in _TENSORS):
            if name in _TENSORS:
                stripped[name] = self._strip(value, self._tensor)
            else:
                stripped[name] = self._strip(value, partial(self._axis, owner) if name in _AXES else str)
        return stripped

    def _strip(self, value: Any, word: Callable[[str], str]) -> Any:
        """The value with its words replaced."""
        if isinstance(value, dict):
            return {"knob": _place(self.knobs, value["knob"])}
        if isinstance(value, list):
            return [self._strip(item, word) for item in value]
        return word(value) if isinstance(value, str) else value

    def _tensor(self, name: str) -> str:
        """Its number, and that of the one it is made of (c.tile of c)."""
        origin = self._origin("", name)
        number = _place(self.names, ("", name))
        return f"${number}" if origin is None else f"${number} of ${origin}"

    def _axis(self, owner: str, name: str) -> str:
        """The number of the one it is made of, or its own, and what follows: i.0 of i."""
        while (origin := self._origin("", owner)) is not None:
            owner = self.names[origin][1]
        origin = self._origin(owner, name)
        number = _place(self.names, (owner, name)) if origin is None else origin
        return f"${number}{name[len(self.names[number][1]) :]}"

    def _origin(self, owner: str, name: str) -> int | None:
        """Of the known names that this one begins with, before a dot, the longest."""
        made_of = [n for n, (whose, known) in enumerate(self.names) if whose == owner and name.startswith(f"{known}.")]
        return max(made_of, key=lambda n: len(self.names[n][1]), default=None)


Name = TypeVar("Name")


def _place(known: list[Name], name: Name) -> int:
    """Where a name stands in the list, at whose end it is put where it is new."""
    if name not in known:
        known.append(name)
    return known.index(name)
