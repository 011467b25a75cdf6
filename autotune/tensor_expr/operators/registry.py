"""The operators that the library declares, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from autotune.errors import UsageError, unknown
from autotune.tensor_expr.workload import Workload

Value = int | float | str | bool
MAX_SIZE = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of an operator; ``default`` gives its type and the value of the operator's showcase."""

    name: str
    default: Value
    help: str


@dataclass(frozen=True, slots=True)
class Operator:
    """A named operator: ``declare(**params)`` checks the parameters and gives its workload.

    ``family`` is the heading under which listings show it.
    """

    name: str
    summary: str
    params: tuple[Param, ...]
    declare: Callable[..., Workload]
    family: str

    def __call__(self, *unnamed: Any, **given: Any) -> Workload:
        """The workload for the given parameters, the others at their defaults.

        Raises ``UsageError`` for a parameter that is not named, does not exist, or has a value that makes no sense.
        """
        known = {param.name: param for param in self.params}
        if unnamed:
            names = ", ".join(known)
            raise UsageError(f"{self.name} takes its parameters by name, not {unnamed[0]!r}; they are: {names}")
        for name in given:
            if name not in known:
                raise unknown(f"parameter of {self.name}", name, known)
        return self.declare(**{name: given.get(name, param.default) for name, param in known.items()})


_OPERATORS: dict[str, Operator] = {}


def register(
    name: str, summary: str, params: tuple[Param, ...], family: str
) -> Callable[[Callable[..., Workload]], Operator]:
    """Register the decorated function as the declaration of an operator."""

    def decorate(declare: Callable[..., Workload]) -> Operator:
        _OPERATORS[name] = Operator(name, summary, params, declare, family)
        return _OPERATORS[name]

    return decorate


def operators() -> Mapping[str, Operator]:
    """All operators by name."""
    return dict(sorted(_OPERATORS.items()))


def families() -> Mapping[str, Mapping[str, Operator]]:
    """The operators of each family by name, both in alphabetical order."""
    found: dict[str, dict[str, Operator]] = {}
    for name, operator in operators().items():
        found.setdefault(operator.family, {})[name] = operator
    return dict(sorted(found.items()))


def get_operator(name: str) -> Operator:
    """The operator, or ``UsageError`` naming the ones that exist."""
    if name not in _OPERATORS:
        raise unknown("operator", name, _OPERATORS)
    return _OPERATORS[name]


def size(name: str, value: Any, least: int = 1) -> int:
    """A whole number of at least ``least``, or ``UsageError`` naming the parameter."""
    try:
        number = int(str(value))
    except ValueError:
        raise UsageError(f"{name} is {value!r}; it must be a whole number of at least {least}") from None
    if not least <= number <= MAX_SIZE:
        raise UsageError(f"{name} is {number}; it must be a whole number from {least} to {MAX_SIZE}")
    return number


def sizes(name: str, value: Any, count: int, least: int = 1) -> tuple[int, ...]:
    """``count`` whole numbers from ``3``, ``"3"``, ``"3,5"`` or ``(3, 5)``; one number stands for all."""
    parts = str(value).strip("()[] ").split(",") if not isinstance(value, (tuple, list)) else list(value)
    numbers = tuple(size(name, str(part).strip(), least) for part in parts)
    if len(numbers) == 1:
        return numbers * count
    if len(numbers) != count:
        raise UsageError(f"{name} is {value!r}; it takes one number or {count} separated by commas")
    return numbers


def shape(name: str, value: Any) -> tuple[int, ...]:
    """The dimensions in ``"1,64,56,56"`` or ``(1, 64, 56, 56)``: one or more whole numbers of at least 1."""
    found = tuple(size(name, part) for part in _parts(value))
    if not found:
        raise UsageError(f"{name} is empty; a single value has the shape 1")
    return found


def integers(name: str, value: Any) -> tuple[int, ...]:
    """The whole numbers, of either sign, in ``"0,-1"`` or ``(0, -1)``; none in an empty text."""
    return tuple(size(name, part, -MAX_SIZE) for part in _parts(value))


def axes(name: str, value: Any, rank: int) -> tuple[int, ...]:
    """Different dimensions out of ``rank``, in the order given; negative ones count from the end."""
    found = tuple(axis(name, part, rank) for part in _parts(value))
    if len(set(found)) != len(found):
        raise UsageError(f"{name} is {value!r}; each axis is given once")
    return found


def axis(name: str, value: Any, rank: int) -> int:
    """One dimension out of ``rank``; a negative one counts from the end."""
    number = size(name, value, -MAX_SIZE)
    if not -rank <= number < rank:
        raise UsageError(f"{name} is {number}; with {rank} dimensions it is from {-rank} to {rank - 1}")
    return number % rank


def number(name: str, value: Any) -> float:
    """A finite number, or ``UsageError`` naming the parameter."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise UsageError(f"{name} is {value!r}; it must be a number") from None
    if not isfinite(found):
        raise UsageError(f"{name} is {found}; it must be finite")
    return found


def one_of(name: str, value: Any, known: Iterable[str]) -> str:
    """One of the known words, or ``UsageError`` naming them."""
    if value not in (words := tuple(known)):
        raise UsageError(f"{name} is {value!r}; it is one of {', '.join(words)}")
    return str(value)


def text(values: Iterable[int]) -> str:
    """Whole numbers as a parameter holds them: separated by commas."""
    return ",".join(map(str, values))


def _parts(value: Any) -> list[str]:
    parts = value if isinstance(value, (tuple, list)) else str(value).strip("()[] ").split(",")
    return [str(part).strip() for part in parts if str(part).strip()]
