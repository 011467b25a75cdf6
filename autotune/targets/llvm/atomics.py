"""Atomic updates: one instruction where there is one, else an exchange that is tried until no thread was in between."""

from __future__ import annotations

from autotune.targets.llvm.arithmetic import binary_operation
from autotune.targets.llvm.emitter import TYPES, Emitter
from autotune.tensor_expr import dtypes


def emit_update(emitter: Emitter, pointer: str, op: str, value: str, dtype: str) -> None:
    """The element at ``pointer`` becomes ``element op value``; bools are 0 or 1 in a byte.

    The order of updates is any: what follows the threads' region sees all of them.
    """
    if dtype == "bool":
        name = "and" if op in ("and", "min") else "or"
        emitter.emit(f"atomicrmw {name} ptr {pointer}, i8 {emitter.emit(f'zext i1 {value} to i8')} monotonic")
    elif not dtypes.is_float(dtype) and op in ("add", "min", "max"):
        name = f"u{op}" if dtype in dtypes.UNSIGNED and op != "add" else op
        emitter.emit(f"atomicrmw {name} ptr {pointer}, {TYPES[dtype]} {value} monotonic")
    else:
        _exchange(emitter, pointer, op, value, dtype)


def _exchange(emitter: Emitter, pointer: str, op: str, value: str, dtype: str) -> None:
    emit, size = emitter.emit, dtypes.itemsize(dtype)
    bits, kind = f"i{8 * size}", TYPES[dtype]
    first = emit(f"load atomic {bits}, ptr {pointer} monotonic, align {size}")
    origin, again, done, seen = emitter.label, emitter.fresh_label(), emitter.fresh_label(), emitter.name()
    emitter.branch(again)
    emitter.start_block(again)
    held = emit(f"phi {bits} [{first}, %{origin}], [{seen}, %{again}]")
    is_float = dtypes.is_float(dtype)
    element = emit(f"bitcast {bits} {held} to {kind}") if is_float else held
    result = binary_operation(emitter, op, element, value, dtype, 1)
    stored = emit(f"bitcast {kind} {result} to {bits}") if is_float else result
    pair = emit(f"cmpxchg ptr {pointer}, {bits} {held}, {bits} {stored} monotonic monotonic")
    emitter.lines.append(f"{seen} = extractvalue {{ {bits}, i1 }} {pair}, 0")
    took = emit(f"extractvalue {{ {bits}, i1 }} {pair}, 1")
    emitter.lines.append(f"br i1 {took}, label %{done}, label %{again}")
    emitter.start_block(done)
