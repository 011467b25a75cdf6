"""Instructions on scalars and vectors of one floating point type, which the math functions are written in."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from autotune.targets.llvm.emitter import TYPES, Emitter, mangled, vector_type

LAYOUT = {"float32": ("int32", 23, 127), "float64": ("int64", 52, 1023)}  # bits of the mantissa, exponent's bias


def _hex(value: float, dtype: str) -> str:
    exact = struct.unpack("f", struct.pack("f", value))[0] if dtype == "float32" else value
    return f"0x{struct.unpack('>Q', struct.pack('>d', exact))[0]:016X}"


class FloatLanes:
    """Instructions on values of one floating point type and width."""

    def __init__(self, emitter: Emitter, dtype: str, width: int) -> None:
        self.emitter, self.dtype, self.width = emitter, dtype, width
        self.emit = emitter.emit
        self.integer = LAYOUT[dtype][0]
        self.kind, self.whole = vector_type(dtype, width), vector_type(self.integer, width)
        self.bools = vector_type("bool", width)

    def constant(self, value: float) -> str:
        return self._everywhere(_hex(value, self.dtype), self.dtype)

    def number(self, value: int) -> str:
        return self._everywhere(str(value), self.integer)

    def _everywhere(self, text: str, dtype: str) -> str:
        return f"<{', '.join([f'{TYPES[dtype]} {text}'] * self.width)}>" if self.width > 1 else text

    def as_type(self, dtype: str) -> FloatLanes:
        """The same lanes of the other type."""
        return FloatLanes(self.emitter, dtype, self.width)

    def call(self, name: str, *operands: str) -> str:
        full = f"llvm.{name}.{mangled(self.dtype, self.width)}"
        self.emitter.declare(f"{self.kind} @{full}({', '.join([self.kind] * len(operands))})", full)
        return self.emit(f"call {self.kind} @{full}({', '.join(f'{self.kind} {operand}' for operand in operands)})")

    def binary(self, op: str, a: str, b: str) -> str:
        return self.emit(f"{op} {self.kind} {a}, {b}")

    def integers(self, op: str, a: str, b: str) -> str:
        return self.emit(f"{op} {self.whole} {a}, {b}")

    def select(self, op: str, a: str, b: str, then: str, other: str) -> str:
        """``then`` where the comparison of ``a`` and ``b`` holds."""
        return self.choose(self.compare(op, a, b), then, other)

    def compare(self, op: str, a: str, b: str) -> str:
        return self.emit(f"fcmp {op} {self.kind} {a}, {b}")

    def choose(self, test: str, then: str, other: str) -> str:
        return self.emit(f"select {self.bools} {test}, {self.kind} {then}, {self.kind} {other}")

    def both(self, op: str, a: str, b: str) -> str:
        """``and``, ``or`` or ``xor`` of two tests."""
        return self.emit(f"{op} {self.bools} {a}, {b}")

    def polynomial(self, coefficients: Sequence[float], x: str) -> str:
        """By Horner's rule; the lowest power comes first."""
        value = self.constant(coefficients[-1])
        for coefficient in reversed(coefficients[:-1]):
            value = self.call("fma", value, x, self.constant(coefficient))
        return value

    def bits(self, value: str) -> str:
        return self.emit(f"bitcast {self.kind} {value} to {self.whole}")

    def from_bits(self, bits: str) -> str:
        return self.emit(f"bitcast {self.whole} {bits} to {self.kind}")

    def widened(self, value: str) -> str:
        """A float32 as a float64."""
        return self.emit(f"fpext {self.kind} {value} to {vector_type('float64', self.width)}")

    def narrowed(self, value: str) -> str:
        """A float64 as a float32, rounded to nearest."""
        return self.emit(f"fptrunc {self.kind} {value} to {vector_type('float32', self.width)}")
