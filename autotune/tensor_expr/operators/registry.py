"""The operators that the library declares, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from autotune.errors import UsageError, unknown
from autotune.tensor_expr.workload import Workload

Value = int | str | bool
MAX_SIZE = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of an operator; ``default`` gives its type and the value of the operator's showcase."""

    name: str
    default: Value
    help: str


@dataclass(frozen=True, slots=True)
class Operator:
    """A named operator: ``declare(**params)`` checks the parameters and gives its workload."""

    name: str
    summary: str
    params: tuple[Param, ...]
    declare: Callable[..., Workload]

    def __call__(self, **given: Any) -> Workload:
        """The workload for the given parameters, the others at their defaults.

        Raises ``UsageError`` for a parameter that does not exist or a value that makes no sense.
        """
        known = {param.name: param for param in self.params}
        for name in given:
            if name not in known:
                raise unknown(f"parameter of {self.name}", name, known)
        return self.declare(**{name: given.get(name, param.default) for name, param in known.items()})


_OPERATORS: dict[str, Operator] = {}


def register(name: str, summary: str, params: tuple[Param, ...]) -> Callable[[Callable[..., Workload]], Operator]:
    """Register the decorated function as the declaration of an operator."""

    def decorate(declare: Callable[..., Workload]) -> Operator:
        _OPERATORS[name] = Operator(name, summary, params, declare)
        return _OPERATORS[name]

    return decorate


def operators() -> Mapping[str, Operator]:
    """All operators by name."""
    return dict(sorted(_OPERATORS.items()))


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
