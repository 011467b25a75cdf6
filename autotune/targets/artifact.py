"""What a generator hands on: a kernel's object code and all that is needed to call it.

The object is freestanding: it refers to no symbol outside itself. Its entry has the C signature
``void entry(void **arguments)``, where ``arguments`` holds, in this order, one pointer per parameter (inputs in the
order of the operator, then the outputs), the pointer to the workspace (``workspace_bytes``, 64-byte aligned; null when
0) and the pointer to the runtime table (null for a kernel without parallel loops). The runtime table is
``{void (*parallel)(void (*body)(void *), void *data, unsigned threads, unsigned flags), int64 threads}``; its first
entry has the signature of libgomp's ``GOMP_parallel``.

Each array is passed in its parameter's layout (``Layout.pack``), or plain and C-contiguous where that has none. What
is computed of a constant ahead of time (``Ahead``) is passed in the constant's place: ``Parameter.pack`` gives it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from autotune.schedules.layout import Layout
from autotune.tensor_expr.evaluate import evaluate
from autotune.tensor_expr.serialize import from_json
from autotune.tensor_expr.tensor import graph

if TYPE_CHECKING:  # a measuring worker imports this module, and has no use for what these would load
    from autotune.lowering.loops import Loops
    from autotune.schedules.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Ahead:
    """What a kernel takes in a constant's place: an array of this shape and dtype, whose ``definition`` is a compute of
    the constant alone, as the JSON text of ``tensor_expr.serialize``."""

    shape: tuple[int, ...]
    dtype: str
    definition: str

    def of(self, constant: np.ndarray) -> np.ndarray:
        """The array, evaluated in float64 where it is floating point, and rounded once."""
        tensor = from_json(json.loads(self.definition))
        source = graph(tensor)[0]
        return evaluate(tensor, {source.name: constant}).astype(_element(self.dtype))

    def to_json(self) -> list[Any]:
        return [list(self.shape), self.dtype, self.definition]


def _element(dtype: str) -> np.dtype[Any]:
    return np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One array that a kernel takes: ``role`` is ``input``, ``constant`` (packed ahead of time) or ``output``.

    ``shape`` and ``dtype`` are the caller's array's; ``stored_shape`` and ``stored`` those of what the code takes.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    role: str
    layout: Layout | None = None
    ahead: Ahead | None = None

    @property
    def element(self) -> np.dtype[Any]:
        """The NumPy dtype of its elements."""
        return _element(self.dtype)

    @property
    def stored(self) -> np.dtype[Any]:
        """The NumPy dtype of the array that the kernel's code takes."""
        return self.element if self.ahead is None else _element(self.ahead.dtype)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape of the array that the kernel's code takes: in its layout."""
        logical = self.shape if self.ahead is None else self.ahead.shape
        return logical if self.layout is None else self.layout.shape(logical)

    def pack(self, array: np.ndarray) -> np.ndarray:
        """The caller's array as the kernel's code takes it; itself where that is the same."""
        known = array if self.ahead is None else self.ahead.of(array)
        return known if self.layout is None else self.layout.pack(known)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name, "shape": list(self.shape), "dtype": self.dtype, "role": self.role,
            "layout": self.layout.to_json() if self.layout else None,
            "ahead": self.ahead.to_json() if self.ahead else None,
        }  # fmt: skip

    @staticmethod
    def from_json(data: dict[str, Any]) -> Parameter:
        layout = Layout.from_json(data["layout"]) if data["layout"] is not None else None
        shape, dtype, definition = data["ahead"] or ((), "", "")
        ahead = Ahead(tuple(shape), dtype, definition) if data["ahead"] else None
        return Parameter(data["name"], tuple(data["shape"]), data["dtype"], data["role"], layout, ahead)


@dataclass(frozen=True, slots=True)
class KernelObject:
    """A relocatable object (ELF), its entry's name and its parameters.

    ``algorithm`` names the definition of its workload that it computes. ``schedule`` and ``loops`` are what it was made
    from, in the process that made it; elsewhere they are None.
    """

    code: bytes
    entry: str
    parameters: tuple[Parameter, ...]
    workspace_bytes: int
    threads: int = 1
    algorithm: str = "direct"
    schedule: Schedule | None = field(default=None, repr=False, compare=False)
    loops: Loops | None = field(default=None, repr=False, compare=False)

    def header(self) -> dict[str, Any]:
        """What another process needs beside the code, as JSON; ``from_header`` reads it back."""
        return {
            "entry": self.entry, "parameters": [p.to_json() for p in self.parameters],
            "workspace_bytes": self.workspace_bytes, "threads": self.threads, "algorithm": self.algorithm,
        }  # fmt: skip

    @staticmethod
    def from_header(header: dict[str, Any], code: bytes) -> KernelObject:
        parameters = tuple(Parameter.from_json(p) for p in header["parameters"])
        return KernelObject(
            code, header["entry"], parameters, header["workspace_bytes"], header["threads"], header["algorithm"]
        )
