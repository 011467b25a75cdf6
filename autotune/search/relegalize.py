"""A schedule that was measured for one shape, made legal for another."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from autotune.errors import AutotuneError
from autotune.lowering.pipeline import lower
from autotune.schedules.schedule import Schedule
from autotune.search.space import Population, SearchSpace


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
    alike = [number for number, outline in enumerate(own) if outline.structure == recorded.structure]
    alike.sort(key=lambda number: own[number].names != recorded.names)
    for number in alike:
        row = _nearest(space, number, dict(zip(own[number].knobs, values, strict=True)))
        if space.evaluate(row).legal[0]:
            yield space.schedule(row, 0)
    try:
        yield Schedule.from_json(space.output, json.loads(sketch)).with_knobs(knobs)
    except (AutotuneError, ValueError, LookupError, TypeError, AttributeError):
        return


def _nearest(space: SearchSpace, number: int, values: Mapping[str, int]) -> Population:
    """The sketch's candidate whose knobs are nearest to the values."""
    genes = np.zeros((1, space.width), np.int64)
    for position, (name, choices) in enumerate(zip(space.names[number], space.choices[number], strict=True)):
        distances = [abs(math.log2(max(int(choice), 1) / max(values[name], 1))) for choice in choices]
        genes[0, position] = int(np.argmin(distances))
    return Population(np.array([number]), genes)


@dataclass(slots=True)
class _Outline:
    """A schedule's JSON taken apart: the steps with words replaced by the order in which they first come up, the words
    and the knobs in that order. The choices of knobs are left out."""

    structure: str = ""
    names: list[str] = field(default_factory=list)
    knobs: list[str] = field(default_factory=list)

    @staticmethod
    def of(data: Mapping[str, Any]) -> _Outline:
        outline = _Outline()
        steps = [[name, outline._strip(arguments)] for name, arguments in data["steps"]]
        outline.structure = json.dumps(steps)
        return outline

    def _strip(self, value: Any) -> Any:
        if isinstance(value, dict):
            if "knob" in value:
                return {"knob": _place(self.knobs, value["knob"])}
            return {key: self._strip(item) for key, item in sorted(value.items())}
        if isinstance(value, list):
            return [self._strip(item) for item in value]
        if isinstance(value, str):  # c.tile, i.0: the parts of a name stand for something each
            return ".".join(word if word.isdigit() else f"${_place(self.names, word)}" for word in value.split("."))
        return value


def _place(known: list[str], name: str) -> int:
    """Where a name stands in the list, at whose end it is put where it is new."""
    if name not in known:
        known.append(name)
    return known.index(name)
