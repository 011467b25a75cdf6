"""Random small parameters for any registered operator, found from its showcase: no operator needs a line here.

Numbers of the showcase become small ones, equal numbers equal ones, so that shapes that must agree do; a word becomes
another one that the operator names when it refuses a word. What the operator refuses is drawn again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from autotune.errors import UsageError
from autotune.fuzz.check import points
from autotune.fuzz.choices import Choices
from autotune.tensor_expr import Workload, dtypes
from autotune.tensor_expr.operators import Operator, get_operator, operators
from autotune.tensor_expr.operators.registry import Value

TRIES = 40
MAX_POINTS = 20_000  # iterations of all stages together
_NUMBERS = re.compile(r"-?\d+")
Shrink = Callable[[int], int]


def draw_operator(choices: Choices) -> Workload:
    """A workload of one of the library's operators."""
    return draw_workload_of(choices, get_operator(choices.choice(list(operators()))))


def draw_workload_of(choices: Choices, operator: Operator) -> Workload:
    """A small workload of an operator. Raises ``UsageError`` where none of ``TRIES`` is legal and small."""
    for _ in range(TRIES):
        shrink = choices.choice((_proportional, _renamed, _renamed, _independent))(choices)
        params = {param.name: _drawn(choices, operator, param.name, param.default, shrink) for param in operator.params}
        try:
            workload = operator(**params)
        except UsageError:
            continue
        if points(workload) <= MAX_POINTS:
            return workload
    raise UsageError(f"no small parameters of {operator.name} were found in {TRIES} tries")


def _proportional(choices: Choices) -> Shrink:
    """All sizes divided by one number, so that sums and multiples stay what they are."""
    divisor = choices.choice((8, 16, 32, 64))
    return lambda size: max(1, size // divisor) if size > 4 else size


def _renamed(choices: Choices) -> Shrink:
    """Equal sizes become equal ones, different sizes any."""
    known: dict[int, int] = {}

    def shrink(size: int) -> int:
        if size not in known:
            known[size] = choices.integer(1, choices.choice((3, 8, 19))) if size > 4 else _nearby(choices, size)
        return known[size]

    return shrink


def _independent(choices: Choices) -> Shrink:
    return lambda size: choices.integer(1, 9) if size > 4 else _nearby(choices, size)


def _nearby(choices: Choices, size: int) -> int:
    """Small numbers are strides, paddings, axes: mostly as they are."""
    return size if choices.integer(0, 2) else choices.integer(0, 3)


def _drawn(choices: Choices, operator: Operator, name: str, default: Value, shrink: Shrink) -> Value:
    if isinstance(default, bool):
        return choices.one_in(2)
    if isinstance(default, int):
        return shrink(default) if default >= 0 else default
    if isinstance(default, float):
        return choices.choice((default, default, 0.5, 2.0))
    if not re.search(r"\d", default) or default in dtypes.DTYPES:
        return choices.choice((default, *_words(operator.name, name)))
    return _NUMBERS.sub(lambda found: str(shrink(int(found[0]))) if found[0][0] != "-" else found[0], default)


@cache
def _words(operator: str, name: str) -> tuple[str, ...]:
    """The words that a parameter takes, as its refusal of another one names them."""
    try:
        get_operator(operator)(**{name: "?"})
    except UsageError as refusal:
        found = re.search(r"(?:one of|known:) ([\w, ]+)", str(refusal))
        return tuple(found[1].replace(" ", "").split(",")) if found else ()
    return ()
