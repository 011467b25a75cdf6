"""Executes lowered functions in plain Python, and finds what compiled code would hide.

``interpret`` runs the loop IR of any target on NumPy arrays and raises ``Fault``, naming the loop and the access, for

* reads and writes out of bounds,
* reads of memory that nothing has been written to; a buffer is such memory each time that it is allocated,
* races: two iterations of one run of a parallel or vectorised loop touch one element of a buffer that outlives the
  iteration, and at least one of them writes it,
* vectors of more lanes than their loop has,
* elements of outputs that are never written.

Values are the generators': floating point operations are rounded to their dtype one by one (half precision is computed
in float32, and rounded where it is stored or cast), integers wrap around, and the operand that a select does not choose
is not evaluated. Iterations of a parallel loop run one after another, shuffled by a seed.

The lanes of a vectorised loop run statement by statement, all loads of a statement before its store. Race-free is more
than that needs: lanes must not touch each other's elements in different statements either, since a generator may also
run them one after another, as it does where a target has no masks. Without races both are the same, and they run one
after another here.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from ctypes import c_float
from functools import partial
from math import copysign, inf, nan
from typing import Any

import numpy as np

from autotune.errors import AutotuneError
from autotune.lowering.ir import Buffer, For, Function, Param, Stmt
from autotune.lowering.printer import show_statement
from autotune.lowering.python_source import Access, Source, python_source
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.evaluate import evaluate
from autotune.tensor_expr.expr import INTRINSICS

MAX_STATEMENTS = 1_000_000


class Fault(AutotuneError):
    """Something that a lowered function must not do; ``kind`` says what, the sentence where."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class TooLarge(AutotuneError):
    """A function executes more statements than the interpreter was given."""


def interpret(
    function: Function, arrays: Sequence[np.ndarray], seed: int = 0, limit: int = MAX_STATEMENTS
) -> list[np.ndarray]:
    """The outputs of a lowered function for its inputs, all in their logical shapes, in the order of its parameters.

    Raises ``Fault`` for what a function must not do, and ``TooLarge`` where it executes more than ``limit`` stores.
    """
    source = python_source(function)
    machine = _Machine(source, seed, limit)
    inputs = iter(arrays)
    for param in function.params:
        if param.buffer.role != "output":
            machine.memory(param.buffer)[:] = packed(param, next(inputs)).ravel().tolist()
    with np.errstate(all="ignore"):
        machine.run()
    return [
        _read_out(param, machine.memory(param.buffer)) for param in function.params if param.buffer.role == "output"
    ]


def packed(param: Param, array: np.ndarray) -> np.ndarray:
    """An array as a parameter lies in memory."""
    if param.ahead is not None:
        array = evaluate(param.ahead, {param.name: array}).astype(param.buffer.dtype)
    return array if param.layout is None else param.layout.pack(array)


def unpacked(param: Param, memory: np.ndarray) -> np.ndarray:
    """The array that a parameter's memory holds."""
    if param.layout is None:
        return memory.reshape(param.shape)
    array = np.empty(int(np.prod(param.shape)), memory.dtype)
    elements = _elements(param)
    array[elements[elements >= 0]] = memory.ravel()[elements >= 0]
    return array.reshape(param.shape)


def _elements(param: Param) -> np.ndarray:
    """For each place in a parameter's memory the logical element that lies there; -1 where none does."""
    numbers = np.arange(1, int(np.prod(param.shape)) + 1).reshape(param.shape)
    places: np.ndarray = packed(param, numbers).ravel() - 1
    return places


def _read_out(param: Param, memory: list[Any]) -> np.ndarray:
    elements = _elements(param)
    missing = [int(element) for element, value in zip(elements, memory, strict=True) if element >= 0 and value is None]
    name = param.buffer.name
    if missing:
        first = _shown(name, np.unravel_index(min(missing), param.shape))
        raise Fault("unwritten", f"output {name!r} is not written: {len(missing)} of its elements, first {first}")
    values = [0 if value is None else value for value in memory]
    return unpacked(param, np.asarray(values).astype(np.dtype(param.buffer.dtype)).reshape(param.buffer.shape))


class _Machine:
    """The memory of one run, and the functions that the generated source calls."""

    def __init__(self, source: Source, seed: int, limit: int) -> None:
        self.source = source
        self.random = random.Random(seed)
        self.left = limit
        self.started = 0
        self.globals: dict[str, Any] = {
            "spend": self._spend, "iterations": self._iterations, "shuffled": self._shuffled,
            "out_of_bounds": self._out_of_bounds, "uninitialised": self._uninitialised,
            "too_wide": self._too_wide, **_ARITHMETIC,
        }  # fmt: skip
        for buffer, name in source.buffers.items():
            self.globals[f"E{name[1:]}"] = [None] * _places(buffer)
            self.globals[name] = [None] * _places(buffer)
        for name, (loop, buffer) in source.shadows.items():
            self.globals[name] = _Shadow(loop, buffer, source.accesses)

    def memory(self, buffer: Buffer) -> list[Any]:
        held: list[Any] = self.globals[self.source.buffers[buffer]]
        return held

    def run(self) -> None:
        exec(compile(self.source.text, "<loop IR>", "exec"), self.globals)
        self.globals["run"]()

    def _spend(self, statements: int) -> None:
        self.left -= statements
        if self.left < 0:
            raise TooLarge("the function executes more statements than the interpreter's limit")

    def _iterations(self, extent: int) -> int:
        """Numbers for the iterations of a concurrent loop that begins; the first of them."""
        self.started += extent
        return self.started - extent

    def _shuffled(self, extent: int) -> list[int]:
        order = list(range(extent))
        self.random.shuffle(order)
        return order

    # -- faults ------------------------------------------------------------------------------------------------

    def _fault(self, kind: str, what: str, access: Access, values: Sequence[int]) -> Fault:
        names = [loop.var.name for loop in access.loops]
        where = ", ".join(f"{name} = {value}" for name, value in zip(names, values, strict=True))
        around = f"in loop {names[-1]!r}, at {where}" if names else "outside of loops"
        return Fault(kind, f"{what}, {around}, by: {_line(access.stmt)}")

    def _out_of_bounds(self, number: int, values: Sequence[int], indices: Sequence[int]) -> Fault:
        access = self.source.accesses[number]
        assert access.buffer is not None
        element, shape = _shown(access.buffer.name, indices), list(access.buffer.shape)
        return self._fault(
            "out of bounds", f"out-of-bounds {access.verb} of {element}, whose shape is {shape}", access, values
        )

    def _uninitialised(self, number: int, values: Sequence[int], offset: int) -> Fault:
        access = self.source.accesses[number]
        assert access.buffer is not None
        element = _shown(access.buffer.name, _position(access.buffer, offset))
        return self._fault("uninitialised", f"read of uninitialised memory {element}", access, values)

    def _too_wide(self, number: int, values: Sequence[int], extent: int) -> Fault:
        access = self.source.accesses[number]
        assert isinstance(access.stmt, For)
        what = f"vectorised loop {access.stmt.var.name!r} runs {extent} lanes of {access.stmt.lanes}"
        return self._fault("lanes", what, access, values)


class _Shadow:
    """Who touched the elements of a buffer in the present run of a concurrent loop.

    Iterations have numbers that grow from run to run; those of the present one begin at ``base``. For each element: the
    last iteration that wrote it, the first that read it, and another one that read it; each with the access. So, too,
    for atomic updates, which do not race with each other.
    """

    def __init__(self, loop: For, buffer: Buffer, accesses: Sequence[Access]) -> None:
        self.loop, self.buffer, self.accesses = loop, buffer, accesses
        self.base = 0
        self.written, self.first, self.other, self.updated, self.also = ([(-1, -1)] * _places(buffer) for _ in range(5))

    def read(self, offset: int, iteration: int, access: int) -> None:
        first = self.first[offset]
        for seen in (self.written[offset], self.updated[offset], self.also[offset]):
            if seen[0] >= self.base and seen[0] != iteration:
                raise self._race(offset, seen, (iteration, access))
        if first[0] < self.base:
            self.first[offset] = (iteration, access)
        elif first[0] != iteration:
            self.other[offset] = (iteration, access)

    def write(self, offset: int, iteration: int, access: int) -> None:
        touched = (self.written, self.first, self.other, self.updated, self.also)
        for seen in [touches[offset] for touches in touched]:
            if seen[0] >= self.base and seen[0] != iteration:
                raise self._race(offset, seen, (iteration, access))
        self.written[offset] = (iteration, access)

    def update(self, offset: int, iteration: int, access: int) -> None:
        for seen in (self.written[offset], self.first[offset], self.other[offset]):
            if seen[0] >= self.base and seen[0] != iteration:
                raise self._race(offset, seen, (iteration, access))
        if self.updated[offset][0] < self.base:
            self.updated[offset] = (iteration, access)
        elif self.updated[offset][0] != iteration:
            self.also[offset] = (iteration, access)

    def _race(self, offset: int, *touches: tuple[int, int]) -> Fault:
        element = _shown(self.buffer.name, _position(self.buffer, offset))
        told = []
        for iteration, number in touches:
            access = self.accesses[number]
            told.append(f"iteration {iteration - self.base} {access.verb}s it by: {_line(access.stmt)}")
        kind = "vectorised" if self.loop.kind == "vectorize" else self.loop.kind
        return Fault("race", f"race in {kind} loop {self.loop.var.name!r} on {element}: {'; '.join(told)}")


def _places(buffer: Buffer) -> int:
    """The length of a buffer's list."""
    return 1 + sum((size - 1) * stride for size, stride in zip(buffer.shape, buffer.strides, strict=True))


def _position(buffer: Buffer, offset: int) -> list[int]:
    """The indices of the element at an offset."""
    position = []
    for stride in buffer.strides:
        position.append(offset // stride)
        offset %= stride
    return position


def _shown(name: str, indices: Sequence[Any]) -> str:
    return f"{name}[{', '.join(map(str, map(int, indices)))}]"


def _line(stmt: Stmt) -> str:
    """A statement's own text, without what it holds."""
    return show_statement(stmt).splitlines()[0].strip().rstrip(":")


# -- what the generated source calls -------------------------------------------------------------------------------


def _float32(value: float) -> float:
    return c_float(value).value


def _divided(a: float, b: float) -> float:
    if b != 0:
        return a / b
    return nan if a == 0 or a != a else copysign(inf, a) * copysign(1.0, b)


def _minimum(a: float, b: float) -> float:
    return a if a <= b or a != a else b


def _maximum(a: float, b: float) -> float:
    return a if a >= b or a != a else b


def _saturated(value: float, low: int, high: int) -> int:
    if value != value:
        return 0
    return low if value <= low else high if value >= high else int(value)


def _arithmetic() -> dict[str, Any]:
    table: dict[str, Any] = {
        "INF": inf, "NAN": nan, "float32": _float32, "minimum": _minimum, "maximum": _maximum, "saturated": _saturated,
        "floordiv_integer": lambda a, b: a // b if b else 0, "mod_integer": lambda a, b: a % b if b else 0,
        "shl_integer": lambda a, b, bits: a << b if 0 <= b < bits else 0,
        "shr_integer": lambda a, b, bits: a >> (b if 0 <= b < bits else bits),
    }  # fmt: skip
    for dtype in ("float32", "float64"):
        table[f"div_{dtype}"] = _divided
        table[f"floordiv_{dtype}"] = partial(_in_dtype, np.floor_divide, dtype)
        table[f"mod_{dtype}"] = partial(_in_dtype, np.mod, dtype)
    for dtype in dtypes.NARROW:
        table[dtype] = partial(_narrowed, dtype)
    for name, function in INTRINSICS.items():
        table[f"call_{name}"] = partial(_called, function)
    return table


def _in_dtype(function: Callable[..., Any], dtype: str, a: float, b: float) -> float:
    result: float = function(np.asarray(a, dtype), np.asarray(b, dtype)).item()
    return result


def _narrowed(dtype: str, value: float) -> float:
    result: float = dtypes.converted(np.asarray(value, np.float64), dtype).item()
    return result


def _called(function: Callable[..., Any], *values: Any) -> Any:
    return function(*values).item()


_ARITHMETIC = _arithmetic()
