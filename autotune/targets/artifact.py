"""What a generator hands on: a kernel's object code and all that is needed to call it.

The object is freestanding: it refers to no symbol outside itself. Its entry has the C signature
``void entry(void **arguments)``, where ``arguments`` holds, in this order, one pointer per parameter (inputs in the
order of the operator, then the outputs), the pointer to the workspace (``workspace_bytes``, 64-byte aligned; null when
0) and the pointer to the runtime table (null for a kernel without parallel loops). The runtime table is
``{void (*parallel)(void (*body)(void *), void *data, unsigned threads, unsigned flags), int64 threads}``; its first
entry has the signature of libgomp's ``GOMP_parallel``.

Each array is passed in its parameter's layout (``Layout.pack``), or plain and C-contiguous where that has none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np

from autotune.schedules.layout import Layout

if TYPE_CHECKING:  # a measuring worker imports this module, and has no use for what these would load
    from autotune.lowering.loops import Loops
    from autotune.schedules.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Parameter:
    """One array that a kernel takes: ``role`` is ``input``, ``constant`` (packed ahead of time) or ``output``."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    role: str
    layout: Layout | None = None

    @property
    def element(self) -> np.dtype[Any]:
        """The NumPy dtype of its elements."""
        return np.dtype(ml_dtypes.bfloat16 if self.dtype == "bfloat16" else self.dtype)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape of the array that the kernel's code takes: in its layout."""
        return self.shape if self.layout is None else self.layout.shape(self.shape)

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name, "shape": list(self.shape), "dtype": self.dtype, "role": self.role,
            "layout": self.layout.to_json() if self.layout else None,
        }  # fmt: skip

    @staticmethod
    def from_json(data: dict[str, Any]) -> Parameter:
        layout = Layout.from_json(data["layout"]) if data["layout"] is not None else None
        return Parameter(data["name"], tuple(data["shape"]), data["dtype"], data["role"], layout)


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
