"""Algorithms: named alternative definitions of an operator, with the error that each may make.

An algorithm is no schedule step: it is another expression of the same result. A schedule is one of an output tensor, so
that an alternative is scheduled, lowered and measured as any other output, under the key of the workload it belongs to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from autotune.errors import UsageError, unknown
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.tensor import Tensor, graph
from autotune.tensor_expr.workload import Workload, operations_of

DIRECT = "direct"  # the operator's own definition

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

    @property
    def flops(self) -> int:
        """Arithmetic operations of the definition's reductions: the least that a kernel of it executes."""
        return sum(operations_of(tensor) for tensor in graph(self.output) if tensor.reduce_axes)


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


def algorithm_names() -> tuple[str, ...]:
    """``direct`` and every algorithm of any operator."""
    return (DIRECT, *sorted({name for found in _ALGORITHMS.values() for name in found}))


def check_algorithms(given: str | Iterable[str] | None) -> tuple[str, ...] | None:
    """The names of accepted algorithms, as a sequence or separated by commas; None, as ``all`` is, accepts every one.

    Raises ``UsageError`` for an unknown name, which names the known ones, and for none at all.
    """
    if given is None or given == "all":
        return None
    if not isinstance(given, Iterable):
        raise UsageError(f"algorithms are names, or one string of them separated by commas, not {given!r}")
    names = tuple(dict.fromkeys([name.strip() for name in given.split(",")] if isinstance(given, str) else given))
    for name in names:
        if name not in algorithm_names():
            raise unknown("algorithm", name, algorithm_names())
    if not names:
        raise UsageError(f"no algorithm is accepted; there are: {', '.join(algorithm_names())}")
    return names


def definition(workload: Workload, name: str) -> Tensor:
    """The workload's output as an algorithm defines it; ``UsageError`` where that algorithm cannot compute it."""
    return workload.output if name == DIRECT else _alternative(workload, name).output


def _alternative(workload: Workload, name: str) -> Alternative:
    define = _ALGORITHMS.get(workload.operator, {}).get(name)
    found = define(workload) if define is not None else None
    if found is None:
        raise UsageError(f"{workload.text} has no algorithm {name!r}; it has: {', '.join(definitions(workload))}")
    return found


def definitions(workload: Workload, accepted: Iterable[str] | None = None) -> dict[str, Tensor]:
    """The workload's own output and its alternatives by name, the own one first; with ``accepted``, only those.

    Raises ``UsageError`` where none is left.
    """
    found = {DIRECT: workload.output, **{name: known.output for name, known in alternatives(workload).items()}}
    names = check_algorithms(accepted)
    left = {name: output for name, output in found.items() if names is None or name in names}
    if not left:
        raise UsageError(f"{workload.text} has the algorithms {', '.join(found)}, of which none is accepted")
    return left


def executed_flops(workload: Workload, name: str) -> int:
    """Arithmetic operations that a kernel by this algorithm executes at least: fewer than ``workload.flops`` for one
    that saves multiplications."""
    return workload.flops if name == DIRECT else _alternative(workload, name).flops


def algorithm_of(schedule_text: str) -> str:
    """The algorithm that a record's schedule, as JSON text, is one of."""
    return str(json.loads(schedule_text).get("algorithm", DIRECT))


def accumulated(operations: int, dtype: str) -> float:
    """The relative error that this many roundings in a row add up to (Higham 2002, section 3.1); 0 for integers."""
    if not dtypes.is_float(dtype):
        return 0.0
    total = operations * UNIT_ROUNDOFF[dtype]
    return total / (1 - total)
