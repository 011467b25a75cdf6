"""Features of candidates for the learned model: one row each, the same columns for every operator and sketch.

``FEATURES`` documents them in order. All are log2(1 + x) of an x in the unit that it states. ``FEATURE_VERSION`` counts
up whenever their number, order or meaning changes; a model trained on another version is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from autotune.cost_model.analytic import Cost, estimate
from autotune.cost_model.nest import Column, Nest, describe
from autotune.errors import UsageError
from autotune.schedules.schedule import Schedule
from autotune.schedules.state import Number, State
from autotune.schedules.tape import Tape, Untraceable, record
from autotune.targets.facts import Target

FEATURE_VERSION = 2


@dataclass(frozen=True, slots=True)
class Feature:
    """One column: its name, the unit of x, and what x is."""

    name: str
    unit: str
    meaning: str


_OPERAND = (
    ("loads", "instructions", "loads of operand {n} in one body"),
    ("split", "0 or 1", "whether vectors of operand {n} begin anywhere in a cache line"),
    ("inner", "cache lines", "what the innermost loop's body touches of operand {n}"),
    ("middle", "cache lines", "what one iteration of the middle loop of the nest touches of operand {n}"),
    ("near", "cache lines", "what one iteration of the fourth loop from the inside touches of operand {n}"),
)

FEATURES = (
    Feature("cycles", "cycles", "the analytic estimate of the whole run"),
    Feature("compute", "cycles", "of it, in the bodies of register tiles"),
    Feature("l2", "cycles", "of it, transfers from the L2 into the L1"),
    Feature("l3", "cycles", "of it, transfers from the L3 into the L2"),
    Feature("memory", "cycles", "of it, transfers from memory into the L3"),
    Feature("copies", "cycles", "of it, packing and padding"),
    Feature("overhead", "cycles", "of it, entering, leaving and storing register tiles"),
    Feature("accumulators", "vectors", "the size of a register tile"),
    Feature("vectors", "vectors", "along the vectorised axis of a register tile"),
    Feature("fill", "percent", "lanes that do work in the vectors of a full register tile"),
    Feature("registers", "vectors", "that one reduction step needs"),
    Feature("spilled", "vectors", "of them, more than the target has"),
    Feature("unrolled", "reduction steps", "in one body"),
    Feature("body", "multiply-adds", "vector instructions in one body"),
    Feature("code", "multiply-adds", "in the code, with the copies of bodies that partial tiles make"),
    Feature("tiles", "register tiles", "in all"),
    Feature("steps", "bodies", "per register tile"),
    Feature("waste", "percent", "points of full tiles over points that there are, beyond 100"),
    Feature("transposed", "0 or 1", "whether tiles are stored across the output's rows"),
    Feature("through_memory", "0 or 1", "whether tiles lie in memory before they are stored"),
    Feature("written", "cache lines", "that a register tile writes"),
    Feature("run", "elements", "of a register tile along the output's rows"),
    Feature("l1_blocks", "blocks", "how often the L1 is filled anew"),
    Feature("l2_blocks", "blocks", "how often the L2 is filled anew"),
    Feature("l3_blocks", "blocks", "how often the L3 is filled anew"),
    Feature("whole", "bytes", "of all operands"),
    Feature("copied", "bytes", "that stages before the anchor write"),
    Feature("row", "elements", "copied in a row"),
    Feature("inner", "iterations", "of the innermost loop"),
    Feature("outer", "iterations", "of the outermost loop"),
    Feature("parallel", "iterations", "that threads share"),
    Feature("imbalance", "percent", "what the busiest thread does more than the average one"),
    *(Feature(f"operand{n}_{name}", unit, meaning.format(n=n)) for n in (0, 1) for name, unit, meaning in _OPERAND),
)  # fmt: skip

SCHEMA = tuple(feature.name for feature in FEATURES)


def check_version(version: object, what: str) -> None:
    """``UsageError`` where ``what`` was trained on another version of the features."""
    if version != FEATURE_VERSION:
        raise UsageError(
            f"{what} was trained on version {version} of the features, and this release has version {FEATURE_VERSION}: "
            f"train it anew"
        )


def evaluate(state: State, target: Target, threads: int, count: int) -> tuple[np.ndarray, Cost]:
    """Features [count x len(SCHEMA)] and analytic costs of a population."""
    columns, cost = _described(state, target, threads, count)
    return _matrix(columns, count), cost


class Evaluator:
    """Features [n x len(SCHEMA)] and legality [n] of populations of one sketch, from a column of values per knob.

    The operations on columns are recorded the second time, which takes as long as a few times without, and played from
    then on: most sketches are looked at once, the best of them again and again.
    """

    def __init__(self, schedule: Schedule, target: Target, threads: int) -> None:
        self.schedule, self.target, self.threads = schedule, target, threads
        self._tape: Tape | None = None
        self._calls, self._traceable = 0, True

    def __call__(self, values: Mapping[str, np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
        """``ScheduleError`` where a step takes no columns of numbers, or some of these are not legal for it."""
        results = self._tape.play(values) if self._tape is not None else None
        self._calls += 1
        if self._calls > 1 and self._tape is None and self._traceable:
            try:
                self._tape, results = record(partial(self._results, count=()), values)
            except Untraceable:
                self._traceable = False
        *columns, legal = results or self._results(values, count)
        return _matrix(columns, count), np.broadcast_to(legal, count)

    def _results(self, values: Mapping[str, Number], count: int | tuple[()]) -> list[Any]:
        columns, cost = _described(self.schedule.replay(values), self.target, self.threads, count)
        return [*columns, cost.legal]


def _described(
    state: State, target: Target, threads: int, count: int | tuple[()]
) -> tuple[tuple[Column | float, ...], Cost]:
    nest = describe(state, target, count)
    cost = estimate(nest, target, threads)
    return _columns(nest, cost, target, threads), cost


def _matrix(columns: Sequence[Column | float], count: int) -> np.ndarray:
    matrix = np.empty((len(SCHEMA), count), np.float64)
    for number, column in enumerate(columns):
        matrix[number] = column
    matrix += 1.0
    return np.log2(matrix, out=matrix).T.astype(np.float32)


def _columns(nest: Nest, cost: Cost, target: Target, threads: int) -> tuple[Column | float, ...]:
    body = nest.accumulators * nest.unrolled
    spilled = np.maximum(0.0, nest.registers - target.vector_registers)
    imbalance = np.ceil(nest.parallel / threads) * threads / nest.parallel - 1
    return (
        cost.cycles, cost.compute, *cost.levels, cost.copies, cost.overhead,
        nest.accumulators, nest.vectors, 100 * nest.fill, nest.registers, spilled,
        nest.unrolled, body, body * nest.copies, nest.tiles, nest.steps, 100 * nest.waste,
        float(nest.transposed), float(nest.through_memory), nest.written, nest.last,
        *cost.blocks, nest.whole, nest.copied, nest.row,
        nest.extents[nest.positions - 1], nest.extents[0], nest.parallel, 100 * imbalance,
        *_operand(nest, 0), *_operand(nest, 1),
    )  # fmt: skip


def _operand(nest: Nest, number: int) -> tuple[Column | float, ...]:
    if number >= len(nest.operands):
        return (0.0,) * len(_OPERAND)
    operand = nest.operands[number]
    last = nest.positions - 1
    lines = (operand.lines[position] for position in (last, last // 2, max(0, last - 3)))
    return (operand.loads, float(operand.unaligned), *lines)
