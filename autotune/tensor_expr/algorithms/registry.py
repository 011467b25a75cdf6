"""Algorithms: named alternative definitions of an operator, with the error that each may make.

An algorithm is no schedule step: it is another expression of the same result. A schedule is one of an output tensor, so
that an alternative is scheduled, lowered and measured as any other output, under the key of the workload it belongs to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from autotune.errors import UsageError
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.tensor import Tensor
from autotune.tensor_expr.workload import Workload

UNIT_ROUNDOFF = {"float32": 2.0**-24, "float64": 2.0**-53}


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another definition of a workload's output, over the same placeholders in the same order.

    ``dataclasses.replace(workload, output=alternative.output)`` is the same workload, by text and key.

    ``error_bound``: no element differs from the exact result by more than this times ``max |x|`` times the largest sum
    of ``|w|`` over an output channel, whatever the data and the order of the sums. It is a worst case, which the
    rounding errors of real data stay far below; ``error_factor`` is what they reach: how many times the largest error
    of the direct definition in the same dtype, measured over random data with and without a mean.
    """

    output: Tensor
    error_bound: float
    error_factor: float
    note: str


Algorithm = Callable[[Workload], "Alternative | None"]
_ALGORITHMS: dict[str, dict[str, Algorithm]] = {}


def algorithm(operator: str, name: str) -> Callable[[Algorithm], Algorithm]:
    """Register the decorated function, which returns None for workloads that the algorithm cannot compute."""

    def decorate(define: Algorithm) -> Algorithm:
        _ALGORITHMS.setdefault(operator, {})[name] = define
        return define

    return decorate


def algorithms() -> Mapping[str, Mapping[str, Algorithm]]:
    """The algorithms of each operator that has any, by name."""
    return {operator: dict(sorted(found.items())) for operator, found in sorted(_ALGORITHMS.items())}


def alternatives(workload: Workload) -> Mapping[str, Alternative]:
    """The other definitions that the library has for a workload, by name; none for a user's own expression.

    Each is scheduled by ``create_schedule(alternative.output)``. Raises ``UsageError`` for what is no workload.
    """
    if not isinstance(workload, Workload):
        raise UsageError(f"alternatives are those of a Workload, such as conv2d() makes, not of {workload!r:.100}")
    found = {name: define(workload) for name, define in algorithms().get(workload.operator, {}).items()}
    return {name: alternative for name, alternative in found.items() if alternative is not None}


def accumulated(operations: int, dtype: str) -> float:
    """The relative error that this many roundings in a row add up to (Higham 2002, section 3.1); 0 for integers."""
    if not dtypes.is_float(dtype):
        return 0.0
    total = operations * UNIT_ROUNDOFF[dtype]
    return total / (1 - total)
