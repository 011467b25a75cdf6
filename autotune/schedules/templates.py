"""Hand-written templates: a function that schedules an operator and says what it leaves open.

As in AutoTVM (Chen et al., Learning to Optimize Tensor Programs, NeurIPS 2018), a template is handed a configuration
on which it defines its choices. Numbers that are left open are knobs; choices of structure, such as an order of loops,
make a sketch each, for which the function is called once. What comes out is the same as what the automatic rules
derive.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import permutations, product
from typing import Any, TypeAlias, TypeVar

from autotune.errors import AutotuneError, ScheduleError, UsageError, unknown
from autotune.schedules.primitives import Knob
from autotune.schedules.schedule import Schedule
from autotune.schedules.sketches import Sketch
from autotune.tensor_expr.expr import Axis
from autotune.tensor_expr.tensor import Tensor

MOST = 256  # sketches of a template: evaluation costs per sketch
CALLS = 4096  # of a template, most of them in vain
DEEPEST = 256  # choices in one call: one that never ends defines more
T = TypeVar("T")
Function: TypeAlias = "Callable[[Config, Tensor], Schedule]"


class TemplateError(AutotuneError):
    """A template that raises, or that gives no schedule."""


def _divisors(extent: int) -> list[int]:
    return [size for size in range(1, extent + 1) if extent % size == 0]


def _powers(extent: int) -> list[int]:
    return [1 << power for power in range(extent.bit_length())]


# The sizes of an inner loop that a split of an extent may have, by policy.
POLICIES: dict[str, Callable[[int], list[int]]] = {
    "factors": _divisors,
    "power2": _powers,
    "verbose": lambda extent: sorted({*_divisors(extent), *_powers(extent)}),
    "imperfect": lambda extent: list(range(1, extent + 1)),
}
ANNOTATIONS: dict[str, tuple[str, ...]] = {
    "unroll": ("unroll",), "try_unroll": ("none", "unroll"), "vec": ("none",), "try_vec": ("none",),
    "try_unroll_vec": ("none", "unroll"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Annotation:
    """What is asked of each loop: ``none``, ``unroll`` or ``vectorize``."""

    kinds: tuple[tuple[str, str], ...]

    def apply(self, schedule: Schedule, stage: str) -> Schedule:
        """The schedule with the loops of a stage unrolled and vectorised."""
        for loop, kind in self.kinds:
            if kind != "none":
                schedule = getattr(schedule, kind)(stage, loop)
        return schedule


class Config:
    """What a template defines its choices on. Names are the template's own, each for one choice."""

    def __init__(self, path: Sequence[int] = ()) -> None:
        self._path = path  # which option each structural choice takes; the first one beyond its end
        self.counts: list[int] = []  # how many options each structural choice of this call had
        self.label: list[str] = []

    def define_knob(self, name: str, choices: Sequence[int]) -> Knob:
        """A number left open, for an argument of a schedule step."""
        return Knob(name, tuple(choices))

    def define_split(
        self, name: str, extent: int | Axis, parts: int = 2, *, policy: str = "factors", max_factor: int | None = None,
        candidates: Sequence[int | Sequence[int]] | None = None,
    ) -> tuple[int | Knob, ...]:  # fmt: skip
        """The factors for ``schedule.split``, which cuts a loop of the extent into ``parts`` loops: a knob for the
        extent of each loop but the outermost.

        ``policy``: ``factors`` (divisors of the extent), ``power2`` (powers of two up to it), ``verbose`` (both) or
        ``imperfect`` (all sizes: what does not divide leaves a smaller last tile). ``max_factor`` bounds each of them.
        ``candidates`` are the sizes themselves instead; lists of ``parts - 1`` sizes are tried as they are, each in
        sketches of its own.
        """
        if parts < 2:
            raise UsageError(f"split {name!r} has {parts} parts; it needs at least 2")
        if candidates is not None and any(not isinstance(item, int) for item in candidates):
            joint = [tuple(item) if isinstance(item, Sequence) else (item,) for item in candidates]
            if any(len(item) != parts - 1 for item in joint):
                raise UsageError(f"split {name!r} has {parts} parts, so each of its candidates is {parts - 1} numbers")
            return self.define_choice(name, joint)
        if candidates is not None:
            sizes = [int(item) for item in candidates if isinstance(item, int)]
        elif policy in POLICIES:
            sizes = POLICIES[policy](extent.extent if isinstance(extent, Axis) else extent)
        else:
            raise unknown("policy", policy, POLICIES)
        sizes = [size for size in sizes if max_factor is None or size <= max_factor]
        if not sizes:
            raise UsageError(f"split {name!r} leaves no size: max_factor is {max_factor}")
        return tuple(self.define_knob(f"{name}.{part}" if parts > 2 else name, sizes) for part in range(1, parts))

    def define_choice(self, name: str, options: Sequence[T]) -> T:
        """One of the options, which decides on structure: the template is called once for each."""
        if not options:
            raise UsageError(f"choice {name!r} has no options")
        place = len(self.counts)
        if place == DEEPEST:
            raise UsageError(f"choice {name!r} comes after {DEEPEST} others, the most that a template may define")
        taken = self._path[place] if place < len(self._path) else 0
        self.counts.append(len(options))
        self.label.append(f"{name} {_words(options[taken])}")
        return options[taken]

    def define_reorder(
        self, name: str, axes: Sequence[str], candidates: Sequence[Sequence[str]] | None = None
    ) -> tuple[str, ...]:
        """An order of loops for ``schedule.reorder``: one of the candidates, or any there is."""
        orders = [tuple(order) for order in candidates] if candidates is not None else list(permutations(axes))
        wrong = [order for order in orders if sorted(order) != sorted(axes)]
        if wrong:
            raise UsageError(f"reorder {name!r}: {', '.join(wrong[0])} is not an order of {', '.join(axes)}")
        return self.define_choice(name, orders)

    def define_annotate(self, name: str, axes: Sequence[str], policy: str = "try_unroll_vec") -> Annotation:
        """What is asked of some loops, innermost last: its ``apply`` takes a schedule and a stage.

        ``policy``: ``unroll`` all of them, ``try_unroll`` any of them, ``vec`` the last one, ``try_vec`` perhaps, or
        ``try_unroll_vec``: any unrolled, and the last one perhaps vectorised.
        """
        if policy not in ANNOTATIONS:
            raise unknown("policy", policy, ANNOTATIONS)
        kinds = [ANNOTATIONS[policy]] * len(axes)
        if policy.endswith("vec") and axes:
            kinds[-1] = ("vectorize",) if policy == "vec" else (*kinds[-1], "vectorize")
        return self.define_choice(name, [Annotation(tuple(zip(axes, k, strict=True))) for k in product(*kinds)])


@dataclass(frozen=True, slots=True)
class Template:
    """A function ``(cfg, output) -> Schedule`` as a space of schedules for whatever operator it can schedule."""

    function: Function

    @property
    def name(self) -> str:
        return str(getattr(self.function, "__name__", type(self.function).__name__))

    def sketches(self, output: Tensor) -> tuple[Sketch, ...]:
        """A sketch for every structure that is legal with the first choice of each knob.

        Raises ``TemplateError`` where there is none, and where the function fails in another way than by asking for a
        step that is not legal.
        """
        found: dict[str, Sketch] = {}
        refused = ""
        calls = 0
        path: list[int] | None = []
        while path is not None:
            config = Config(path)
            try:
                schedule = self._called(config, output)
                found.setdefault(schedule.text, Sketch("; ".join(config.label) or self.name, schedule))
            except ScheduleError as error:
                refused = refused or str(error)
            calls += 1
            if len(found) > MOST or calls > CALLS:
                raise TemplateError(
                    f"template {self.name} has too many structures (at most {MOST}); leave numbers to knobs"
                )
            path = _following(path, config.counts)
        if not found:
            raise TemplateError(f"template {self.name} gives no legal schedule: {refused}")
        return tuple(found.values())

    def _called(self, config: Config, output: Tensor) -> Schedule:
        try:
            schedule = self.function(config, output)
        except ScheduleError:
            raise
        except (Exception, SystemExit) as error:
            raise TemplateError(f"template {self.name} raised {type(error).__name__}: {_one_line(error)}") from error
        if not isinstance(schedule, Schedule):
            raise TemplateError(f"template {self.name} returned {schedule!r:.60}; it must return a Schedule")
        if schedule.output is not output:
            raise TemplateError(f"template {self.name} returned the schedule of another operator")
        return schedule


def template(function: Function) -> Template:
    """A hand-written space of schedules, for ``tune(template=...)``: of a function ``(cfg, output) -> Schedule``."""
    if not callable(function):
        raise UsageError(f"a template is a function (cfg, output) -> Schedule, not {function!r:.100}")
    return Template(function)


def fingerprint(sketches: Sequence[Sketch]) -> str:
    """What tells one set of sketches from another."""
    return sha256(json.dumps([sketch.schedule.text for sketch in sketches]).encode()).hexdigest()[:16]


def _following(path: Sequence[int], counts: Sequence[int]) -> list[int] | None:
    """The choices that come after those of a call whose structural choices had so many options; None after the last."""
    taken = [*path, *[0] * (len(counts) - len(path))][: len(counts)]
    while taken and taken[-1] + 1 >= counts[len(taken) - 1]:
        taken.pop()
    return [*taken[:-1], taken[-1] + 1] if taken else None


def _words(option: Any) -> str:
    if isinstance(option, Annotation):
        return ",".join(f"{kind} {loop}" for loop, kind in option.kinds if kind != "none") or "none"
    return ",".join(map(str, option)) if isinstance(option, tuple) else str(option)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
