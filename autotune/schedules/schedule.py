"""A schedule: an operator and the list of steps that say how to compute it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from typing import Any

from autotune.display import html
from autotune.display.diff import Diff, compare
from autotune.errors import ScheduleError, UsageError
from autotune.schedules import outline
from autotune.schedules.primitives import Knob, Step, make_step, primitives
from autotune.schedules.state import Number, State
from autotune.tensor_expr.algorithms import DIRECT, definition
from autotune.tensor_expr.tensor import Output, Tensor, as_output
from autotune.tensor_expr.workload import Workload

VERSION = 1


@dataclass(frozen=True, slots=True)
class Schedule:
    """An operator's output and schedule steps; every primitive is a method that returns a new schedule.

    A schedule whose steps hold knobs is a sketch: ``with_knobs`` gives the schedule for one choice of each. Until then
    its ``state`` shows the first choices. ``algorithm`` names the definition of a workload that ``output`` is.
    """

    output: Tensor
    steps: tuple[Step, ...] = ()
    state: State = field(default=None, repr=False, compare=False)  # type: ignore[assignment]  # None: by replay
    algorithm: str = DIRECT

    def __post_init__(self) -> None:
        if self.state is None:
            object.__setattr__(self, "state", self.replay(self._first_choices()))

    def _first_choices(self) -> dict[str, Number]:
        return {knob.name: knob.choices[0] for knob in self.knobs}

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """The knobs of all steps, each once."""
        return _distinct(self.steps)

    def replay(self, values: Mapping[str, Number]) -> State:
        """The state after all steps with the knobs at ``values``: numbers, or one column of numbers per knob."""
        count = _until_knobs(self.steps)
        state = _taken(self.output, self.steps[:count])
        for step in self.steps[count:]:
            state = step.resolve(values).taken(state)
        return state

    def append(self, step: Step) -> Schedule:
        """The schedule with one more step."""
        longer = (*self.steps, step)
        first = {knob.name: knob.choices[0] for knob in (_distinct(longer) if step.knobs() else ())}
        return Schedule(self.output, longer, step.resolve(first).taken(self.state), self.algorithm)

    def with_knobs(self, values: Mapping[str, int]) -> Schedule:
        """The schedule with every knob set; ``UsageError`` for one that is missing."""
        missing = [knob.name for knob in self.knobs if knob.name not in values]
        if missing:
            raise UsageError(
                f"no value for knob {missing[0]!r}; the knobs are: {', '.join(k.name for k in self.knobs)}"
            )
        return Schedule(self.output, tuple(step.resolve(values) for step in self.steps), algorithm=self.algorithm)

    def to_json(self) -> dict[str, Any]:
        """The steps as JSON data, and the name of the algorithm unless that is the operator's own definition; the
        operator is not part of it."""
        named = {} if self.algorithm == DIRECT else {"algorithm": self.algorithm}
        return {"version": VERSION, **named, "steps": [step.to_json() for step in self.steps]}

    @staticmethod
    def from_json(of: Output | Workload, data: Mapping[str, Any]) -> Schedule:
        """The schedule of ``to_json``: of a workload, by the algorithm that the data name, or of a given output.

        Raises ``UsageError`` for what is none, of a version unknown to this release, or of an algorithm that cannot
        compute the workload.
        """
        if not isinstance(data, Mapping):
            raise UsageError(f"a schedule's JSON is an object with a version and steps, not {data!r:.100}")
        if data.get("version") != VERSION:
            raise UsageError(
                f"schedule version {data.get('version')!r} is not known here; this release reads version {VERSION}"
            )
        steps = data.get("steps")
        if not isinstance(steps, (list, tuple)) or not all(map(_is_step, steps)):
            raise UsageError("a schedule's steps are a list of pairs [name, {argument: value}]")
        algorithm = data.get("algorithm", DIRECT)
        if not isinstance(algorithm, str):
            raise UsageError(f"a schedule's algorithm is a name, not {algorithm!r:.100}")
        output = definition(of, algorithm) if isinstance(of, Workload) else as_output(of)
        made = tuple(make_step(name, **arguments) for name, arguments in steps)
        return Schedule(output, made, algorithm=algorithm)

    @property
    def text(self) -> str:
        """The steps as canonical JSON text: what a record keeps and a cache is keyed by."""
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))

    def __getattr__(self, name: str) -> Callable[..., Schedule]:
        if name.startswith("__") or name not in primitives():
            known = ", ".join(primitives())
            raise AttributeError(f"a schedule has no primitive {name!r}; known: {known}")

        def apply(*args: Any, **kwargs: Any) -> Schedule:
            return self.append(make_step(name, *args, **kwargs))

        apply.__doc__ = primitives()[name].__doc__
        return apply

    def __dir__(self) -> list[str]:
        return [*object.__dir__(self), *primitives()]

    def diff(self, other: Schedule, names: tuple[str, str] = ("this", "other")) -> Diff:
        """What to change in this schedule to get the other: their steps and loops as a unified diff."""
        if not isinstance(other, Schedule):
            raise UsageError(f"a schedule is compared with a schedule, not with {other!r:.100}")
        return compare(str(self), str(other), names)

    @property
    def calls(self) -> str:
        """The steps as Python: with ``import autotune as at``, pasting it gives this schedule again."""
        return outline.calls(self.output.name, self.steps)

    def __str__(self) -> str:
        return f"{self.calls}\n\n{outline.nest(self.state)}"

    def html_parts(self) -> tuple[str, ...]:
        """The sections that show the schedule in HTML."""
        return outline.parts(self.calls, self.state)

    def _repr_html_(self) -> str:
        return html.fragment(*self.html_parts())


def _is_step(item: Any) -> bool:
    pair = isinstance(item, (list, tuple)) and len(item) == 2
    return (
        pair and isinstance(item[0], str) and isinstance(item[1], Mapping) and all(isinstance(k, str) for k in item[1])
    )


def _distinct(steps: tuple[Step, ...]) -> tuple[Knob, ...]:
    found: dict[str, Knob] = {}
    for knob in (knob for step in steps for knob in step.knobs()):
        if found.setdefault(knob.name, knob) != knob:
            raise ScheduleError(f"knob {knob.name!r} must have the same choices wherever it is used")
    return tuple(found.values())


@lru_cache(maxsize=1024)
def _until_knobs(steps: tuple[Step, ...]) -> int:
    """How many steps come before the first knob."""
    return next((count for count, step in enumerate(steps) if step.knobs()), len(steps))


@lru_cache(maxsize=1024)
def _taken(output: Tensor, steps: tuple[Step, ...]) -> State:
    """The state after steps without knobs, which is the same for every replay, and which many sketches share."""
    return reduce(lambda state, step: step.taken(state), steps, State.initial(output))


def create_schedule(output: Output | Workload, algorithm: str = DIRECT) -> Schedule:
    """The schedule of no steps, for a workload or an operator's output: a tensor, a component, or a tuple of these.

    ``algorithm`` names one of a workload's definitions (``alternatives``); ``UsageError`` where it has no such one.
    """
    if isinstance(output, Workload):
        return Schedule(definition(output, algorithm), algorithm=algorithm)
    if algorithm != DIRECT:
        raise UsageError(f"algorithm {algorithm!r} is one of a workload, such as conv2d() makes, not of an expression")
    return Schedule(as_output(output))
