"""Features of candidates for the learned model: one row each, the same columns for every operator and sketch.

All but flags are log2(1 + x). ``SCHEMA`` names them in order, with their units; a model trained on another schema is
refused.
"""

from __future__ import annotations

import numpy as np

from autotune.cost_model.analytic import Cost, estimate
from autotune.cost_model.nest import Nest, describe
from autotune.schedules.state import State
from autotune.targets.facts import Target

SCHEMA_VERSION = 1
SCHEMA = (
    "cycles: analytic estimate of the whole", "compute: cycles in the register tile's body",
    "L2: cycles of transfers into L1", "L3: cycles of transfers into L2", "memory: cycles of transfers into L3",
    "copies: cycles of packing and padding", "overhead: cycles of entering and storing tiles",
    "accumulators: vectors", "vectors: per row of the tile", "unrolled: reduction steps", "body: multiply-adds",
    "tiles: register tiles", "steps: bodies per tile", "transposed: flag", "parallel: iterations",
    "operand 0: loads per body", "operand 0: lines per tile", "operand 0: lines per block", "operand 0: lines per step",
    "operand 1: loads per body", "operand 1: lines per tile", "operand 1: lines per block", "operand 1: lines per step",
    "inner: iterations of the innermost loop", "outer: iterations of the outermost loop", "copied: bytes",
    "row: elements copied in a row",
    "registers: needed beyond those there are",
)  # fmt: skip


def evaluate(state: State, target: Target, threads: int, count: int) -> tuple[np.ndarray, Cost] | None:
    """Features [count x len(SCHEMA)] and analytic costs of a population; None where the operator reduces nothing."""
    nest = describe(state, target, count)
    if nest is None:
        return None
    cost = estimate(nest, target, threads)
    columns = [
        cost.cycles, cost.compute, *cost.levels, cost.copies, cost.overhead, nest.accumulators, nest.vectors,
        nest.unrolled,
        nest.accumulators * nest.unrolled, nest.tiles, nest.steps, float(nest.transposed), nest.parallel,
        *_operand(nest, 0), *_operand(nest, 1), nest.extents[len(nest.operands[0].lines) - 1], nest.extents[0],
        nest.copied, nest.row, np.maximum(0.0, nest.registers - target.vector_registers),
    ]  # fmt: skip
    matrix = np.empty((count, len(SCHEMA)), np.float32)
    for number, column in enumerate(columns):
        matrix[:, number] = np.log2(1.0 + np.asarray(column, np.float64))
    return matrix, cost


def _operand(nest: Nest, number: int) -> list[object]:
    if number >= len(nest.operands):
        return [0.0] * 4
    operand = nest.operands[number]
    last = len(operand.lines) - 1
    return [operand.loads, operand.lines[max(0, last - 3)], operand.lines[last // 2], operand.lines[last]]
