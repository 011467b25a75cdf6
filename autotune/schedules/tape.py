"""What a function does to columns of numbers, recorded once and played for other columns.

A sketch's structure is the same for every population: replaying its steps and describing its loops takes thousands of
Python calls, and ends in some hundreds of NumPy operations on columns, many of them equal. ``record`` runs a function
over ``Traced`` columns, which write down each distinct operation; the ``Tape`` that it gives runs nothing else.

A decision that depends on the numbers (``if np.any(factor < 1)``) is written down with its outcome. Where it would be
another for new columns, the tape does not hold for them and says so. Whatever is not an operation on columns, such as
``int(column)``, raises ``Untraceable``: nothing that depends on the numbers escapes the tape.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from operator import getitem
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

Operation: TypeAlias = "tuple[Callable[..., Any], tuple[int, ...], int]"


class Untraceable(Exception):
    """A function does more with its columns than to compute other columns of them."""


class Traced(NDArrayOperatorsMixin):
    """A column that writes down what is made of it."""

    __slots__ = ("recorder", "slot", "value")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, recorder: _Recorder, slot: int, value: Any) -> None:
        self.recorder, self.slot, self.value = recorder, slot, value

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options:
            raise Untraceable(f"{ufunc.__name__}.{method} with {options}")
        return self.recorder.apply(ufunc, inputs)

    def __add__(self, other: Any) -> Any:  # the commonest operators, at half the time of going through NumPy
        return self.recorder.apply(np.add, (self, other))

    def __mul__(self, other: Any) -> Any:
        return self.recorder.apply(np.multiply, (self, other))

    __radd__, __rmul__ = __add__, __mul__

    def __array_function__(self, function: Callable[..., Any], types: Any, args: Any, options: Any) -> Any:
        if options:
            raise Untraceable(f"{function.__name__} with {options}")
        return self.recorder.apply(function, args)

    def __bool__(self) -> bool:
        return self.recorder.decide(self)

    def __getitem__(self, row: int) -> Any:
        return self.recorder.apply(getitem, (self, row))

    def _refuse(self, *args: Any) -> NoReturn:
        raise Untraceable("a column's numbers are asked for")

    __array__ = __int__ = __float__ = __index__ = __len__ = __iter__ = _refuse


def columnwise(function: Callable[..., Any]) -> Callable[..., Any]:
    """Have a function of numbers and columns recorded as one operation."""

    @wraps(function)
    def apply(*columns: Any) -> Any:
        for item in columns:
            if type(item) is Traced:
                return item.recorder.apply(function, columns)
        return function(*columns)

    return apply


@columnwise
def stacked(*columns: Any) -> Any:
    """[len(columns) x candidates]; [len(columns) x 1] where all of them are numbers."""
    matrix = np.empty((len(columns), max(getattr(column, "size", 1) for column in columns)))
    for row, column in enumerate(columns):
        matrix[row] = column
    return matrix


class _Recorder:
    """The operations so far: a slot for each number or column, equal ones shared."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.operations: list[Operation] = []
        self.constants: list[tuple[int, Any]] = []
        self.decisions: dict[int, bool] = {}
        self._known: dict[Any, Any] = {}

    def column(self, value: Any) -> Traced:
        self.values.append(value)
        return Traced(self, len(self.values) - 1, value)

    def apply(self, function: Callable[..., Any], inputs: Sequence[Any]) -> Traced:
        slots = tuple([item.slot if type(item) is Traced else self._constant(item) for item in inputs])
        key = (function, slots)
        found = self._known.get(key)
        if found is None:
            values = self.values
            found = self._known[key] = self.column(function(*[values[slot] for slot in slots]))
            self.operations.append((function, slots, found.slot))
        return found  # type: ignore[no-any-return]

    def decide(self, asked: Traced) -> bool:
        return self.decisions.setdefault(asked.slot, bool(asked.value))

    def slot(self, item: Any) -> int:
        """Where a number or column lies."""
        return item.slot if type(item) is Traced else self._constant(item)

    def _constant(self, item: Any) -> int:
        number = item.item() if np.ndim(item) == 0 and isinstance(item, (np.ndarray, np.generic)) else item
        key: Any = (type(number), number)
        if isinstance(number, np.ndarray) and number.shape[-1] == 1:  # the same for however many candidates
            key = (number.shape, number.dtype, number.tobytes())
        elif not isinstance(number, (int, float)):
            raise Untraceable(f"{type(item).__name__} is neither a number nor a column")
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = len(self.values)
            self.values.append(number)
            self.constants.append((found, number))
        return found  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Tape:
    """Operations on slots in their order: (function, the slots it reads, the slot it writes)."""

    names: tuple[str, ...]
    operations: tuple[Operation, ...]
    memory: tuple[Any, ...]  # the slots before anything runs: columns by ``names`` first, and constants
    decisions: tuple[tuple[int, bool], ...]
    results: tuple[int, ...]

    def play(self, columns: Mapping[str, np.ndarray]) -> list[Any] | None:
        """What the function gives for other columns; None where it would decide otherwise than when recorded."""
        memory = list(self.memory)
        for slot, name in enumerate(self.names):
            memory[slot] = columns[name]
        with np.errstate(all="ignore"):  # of columns for which a decision is another
            for function, inputs, slot in self.operations:
                if len(inputs) == 2:
                    memory[slot] = function(memory[inputs[0]], memory[inputs[1]])
                else:
                    memory[slot] = function(*[memory[position] for position in inputs])
        if any(bool(memory[slot]) != outcome for slot, outcome in self.decisions):
            return None
        return [memory[slot] for slot in self.results]


def record(
    function: Callable[[Mapping[str, Any]], Sequence[Any]], columns: Mapping[str, np.ndarray]
) -> tuple[Tape, list[Any]]:
    """The function's operations on columns, and what it gives for these; ``Untraceable`` where it does anything else.

    It must do the same for any columns but for what it decides by their numbers, and return numbers and columns.
    """
    recorder = _Recorder()
    results = function({name: recorder.column(column) for name, column in columns.items()})
    kept = tuple(recorder.slot(item) for item in results)
    operations = _needed(recorder.operations, {*kept, *recorder.decisions})
    memory: list[Any] = [None] * len(recorder.values)
    for slot, number in recorder.constants:
        memory[slot] = number
    tape = Tape(tuple(columns), tuple(operations), tuple(memory), tuple(recorder.decisions.items()), kept)
    return tape, [recorder.values[slot] for slot in kept]


def _needed(operations: Sequence[Operation], wanted: set[int]) -> list[Operation]:
    """The operations that what is wanted depends on, in their order."""
    found = []
    for operation in reversed(operations):
        if operation[2] in wanted:
            wanted.update(operation[1])
            found.append(operation)
    return found[::-1]
