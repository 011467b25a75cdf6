"""A workload: an operator with its shapes and dtypes, and the key under which the tuning database knows it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod

import numpy as np

from autotune.tensor_expr import dtypes
from autotune.tensor_expr.evaluate import evaluate_all
from autotune.tensor_expr.expr import Accumulation, Binary, Call, Expr, walk
from autotune.tensor_expr.serialize import canonical_text
from autotune.tensor_expr.tensor import Output, Tensor, as_output, graph

Arrays = tuple[np.ndarray, ...]
Reference = Callable[[Mapping[str, np.ndarray]], np.ndarray | Arrays]


@dataclass(frozen=True, slots=True)
class Workload:
    """What is to be computed.

    ``operator`` and ``params`` name one of the library's operators; a user's own expression has the operator
    ``expression`` and no parameters, and its text is the expression's. ``reference`` computes the output (a tuple where
    it has several components) from the placeholders' arrays by name, in float64 for floating point. ``domains`` says
    from which half-open interval the values of an input are drawn where not every number makes sense: indices, or the
    operand of a logarithm.

    A component, or a tuple of arrays of one shape, may be given as the output, too: a compute that copies them becomes
    the output, inside whose loops a schedule can compute what they come from.
    """

    output: Tensor
    operator: str = "expression"
    params: Mapping[str, int | float | str | bool] = field(default_factory=dict)
    reference: Reference | None = None
    operations: int | None = None
    domains: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given: Output = self.output
        object.__setattr__(self, "output", as_output(given))

    @property
    def text(self) -> str:
        """The canonical text: equal on every platform and version of Python."""
        if self.operator == "expression":
            return f"expression {canonical_text(self.output)}"
        params = ", ".join(f"{name}={value}" for name, value in sorted(self.params.items()))
        return f"{self.operator}({params})"

    @property
    def key(self) -> str:
        """The SHA-256 of the text, in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def placeholders(self) -> tuple[Tensor, ...]:
        """The inputs, in the order in which a built kernel takes them."""
        return tuple(tensor for tensor in graph(self.output) if tensor.is_placeholder)

    @property
    def flops(self) -> int:
        """Arithmetic operations of the definition: a multiply-add counts two; padding counts nothing."""
        return self.operations if self.operations is not None else count_operations(self.output)

    @property
    def bytes(self) -> int:
        """Bytes of all inputs and of the output: the least that any kernel must move."""
        tensors = (*self.placeholders, self.output)
        return sum(prod(t.shape) * dtypes.itemsize(dtype) for t in tensors for dtype in t.dtypes)

    def compute_reference(self, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
        """The output (its first component) in NumPy; floating point in float64."""
        return self.compute_references(inputs)[0]

    def compute_references(self, inputs: Mapping[str, np.ndarray]) -> Arrays:
        """Every component of the output in NumPy; floating point in float64."""
        if self.reference is None:
            return evaluate_all(self.output, inputs)
        result = self.reference(inputs)
        return result if isinstance(result, tuple) else (result,)

    def random_inputs(self, seed: int) -> dict[str, np.ndarray]:
        """Inputs by name: floats uniform in [-1, 1), integers over a range whose sums cannot overflow quickly."""
        generator = np.random.default_rng(seed)
        arrays = {}
        for tensor in self.placeholders:
            if tensor.name in self.domains:
                array = _drawn(generator, tensor, *self.domains[tensor.name])
            elif dtypes.is_float(tensor.dtype):
                array = (generator.random(tensor.shape, np.float32) * 2 - 1).astype(tensor.dtype)
            elif tensor.dtype == "bool":
                array = generator.integers(0, 2, tensor.shape).astype(bool)
            else:
                array = generator.integers(0 if tensor.dtype == "uint8" else -8, 8, tensor.shape).astype(tensor.dtype)
            arrays[tensor.name] = array
        return arrays


def _drawn(generator: np.random.Generator, tensor: Tensor, low: float, high: float) -> np.ndarray:
    if dtypes.is_float(tensor.dtype):
        return (low + (high - low) * generator.random(tensor.shape, np.float32)).astype(tensor.dtype)
    return generator.integers(int(low), int(high), tensor.shape).astype(tensor.dtype)


def count_operations(output: Tensor) -> int:
    """Arithmetic on values (not on indices) of all computes, a reduction's combination included."""
    return sum(map(operations_of, graph(output)))


def operations_of(tensor: Tensor) -> int:
    """The same of one compute alone."""
    points = prod(tensor.shape) * prod(axis.extent for axis in tensor.reduce_axes)
    return points * sum(map(_operations, walk(tensor.bodies)))


def _operations(node: Expr) -> int:
    if isinstance(node, Accumulation):  # all components of one are combined at once
        return node.reducer.operations if node.component == 0 else 0
    return int(isinstance(node, Call) or (isinstance(node, Binary) and node.dtype not in (dtypes.INDEX, "bool")))
