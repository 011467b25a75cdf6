"""Tensor intrinsics as calls of LLVM's target intrinsics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autotune.lowering.ir import For, Store
from autotune.lowering.tensorized import operands, strides
from autotune.schedules.tensor_intrinsics import Instruction, TensorIntrinsic
from autotune.schedules.tensor_intrinsics.registry import ACCUMULATOR
from autotune.targets.facts import Target
from autotune.targets.llvm.emitter import TYPES, Emitter, vector_type
from autotune.targets.llvm.memory import Memory
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import Load, Var

# Instructions take narrow elements as memory holds them.
_NARROW = {"bfloat16": "bfloat", "float16": "half", "bool": "i8"}


def _in_memory(dtype: str, width: int) -> str:
    return f"<{width} x {_NARROW.get(dtype, TYPES[dtype])}>"


def instruction_for(intrinsic: TensorIntrinsic, target: Target) -> Instruction | None:
    """The first of the intrinsic's instructions that the target has."""
    return next((i for i in intrinsic.instructions if set(i.features) <= set(target.features)), None)


@dataclass(frozen=True, slots=True)
class TensorInstructions:
    """Emits the instructions of one function; the vectorised loop is open, the unrolled ones stand at 0."""

    emitter: Emitter
    memory: Memory

    def possible(self, intrinsic: TensorIntrinsic, loops: list[For], store: Store) -> bool:
        """Whether all operands lie in memory."""
        loads = operands(intrinsic, loops, store).values()
        return not any(isinstance(load, Load) and load.buffer in self.memory.registers.dims for load in loads)

    def emit(
        self, intrinsic: TensorIntrinsic, instruction: Instruction, loops: list[For], store: Store, held: str
    ) -> str:
        """The new value of the result's vector; ``held`` is the one before."""
        variables = {axis: loop.var for axis, loop in zip(intrinsic.axes, loops, strict=True)}
        extents = {variables[axis]: axis.extent for axis in intrinsic.axes}
        values = {ACCUMULATOR: (vector_type(store.buffer.dtype, intrinsic.lanes), held)}
        for name, load in operands(intrinsic, loops, store).items():
            assert isinstance(load, Load)
            values[name] = self._operand(load, strides(intrinsic, name, variables), extents)
        order = instruction.operands or tuple(values)
        result = values[ACCUMULATOR][0]
        types = ", ".join(values[name][0] for name in order)
        given = ", ".join(f"{values[name][0]} {values[name][1]}" for name in order)
        self.emitter.declare(f"{result} @{instruction.callee}({types})", instruction.callee)
        return self.emitter.emit(f"call {result} @{instruction.callee}({given})")

    def _operand(self, load: Load, steps: Mapping[Var, int], extents: Mapping[Var, int]) -> tuple[str, str]:
        """A vector of the operand's elements as the loops run, the innermost fastest."""
        places = [0]
        for var, extent in extents.items():
            places = [place + step * steps[var] for place in places for step in range(extent)]
        used = max(places) + 1
        addresses, dtype = self.memory.addresses, load.buffer.dtype
        located = addresses.located(load.buffer, load.indices)
        assert located is not None, "strides have been checked"
        address = located[:2]
        kind = _in_memory(dtype, len(places))
        key = ("load", id(load.buffer), address, "operand", tuple(places))
        memo = self.emitter.scope.loads
        if key not in memo:
            memo[key] = self._arranged(addresses.pointer(*address), dtype, used, places)
        return kind, memo[key]

    def _arranged(self, pointer: str, dtype: str, used: int, places: list[int]) -> str:
        """``used`` elements from memory, in the order of ``places``."""
        emit, align, count = self.emitter.emit, dtypes.itemsize(dtype), len(places)
        kind = _in_memory(dtype, count)
        if places == list(range(count)):
            return emit(f"load {kind}, ptr {pointer}, align {align}")
        if places == list(range(used)) * (count // used):
            # One number of as many bits, in every lane: what x86 broadcasts from memory.
            whole = f"i{8 * align * used}"
            number = emit(f"load {whole}, ptr {pointer}, align {align}")
            lanes = f"<{count // used} x {whole}>"
            single = emit(f"insertelement {lanes} poison, {whole} {number}, i64 0")
            mask = f"<{count // used} x i32> zeroinitializer"
            splat = emit(f"shufflevector {lanes} {single}, {lanes} poison, {mask}")
            return emit(f"bitcast {lanes} {splat} to {kind}")
        source = _in_memory(dtype, used)
        row = emit(f"load {source}, ptr {pointer}, align {align}")
        mask = ", ".join(f"i32 {place}" for place in places)
        return emit(f"shufflevector {source} {row}, {source} poison, <{count} x i32> <{mask}>")
