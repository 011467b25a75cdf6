"""Kernels written in LLVM IR by hand, and what the tests of loading and measuring need around them."""

from __future__ import annotations

import llvmlite.binding as llvm
import numpy as np

from autotune.targets.artifact import KernelObject, Parameter
from autotune.targets.llvm.timer import emit_object, host_triple

COUNT = 4096
PARAMETERS = (
    Parameter("x", (COUNT,), "float32", "input"),
    Parameter("w", (COUNT,), "float32", "constant"),
    Parameter("y", (COUNT,), "float32", "output"),
)


def build(text: str, workspace_bytes: int = 0, threads: int = 1) -> KernelObject:
    """A kernel over PARAMETERS whose entry is the IR's @kernel."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmparser()  # for inline assembly
    return KernelObject(emit_object(text, host_triple(), ""), "kernel", PARAMETERS, workspace_bytes, threads)


def loop(value: str, count: int = COUNT, repeat: int = 1, before: str = "") -> str:
    """y[i] = value, an IR expression over the floats %a = x[i] and %b = w[i], `repeat` times over."""
    return f"""
@factor = internal constant [2 x float] [float 2.0, float 1.0]
define internal float @twice(float %v) noinline {{
  %f = load volatile float, ptr @factor
  %r = fmul float %v, %f
  ret float %r
}}
define void @kernel(ptr %arguments) {{
entry:
  %x = load ptr, ptr %arguments
  %ws = getelementptr ptr, ptr %arguments, i64 1
  %w = load ptr, ptr %ws
  %ys = getelementptr ptr, ptr %arguments, i64 2
  %y = load ptr, ptr %ys
  {before}
  br label %outer
outer:
  %t = phi i64 [ 0, %entry ], [ %t1, %next ]
  br label %inner
inner:
  %i = phi i64 [ 0, %outer ], [ %i1, %inner ]
  %px = getelementptr float, ptr %x, i64 %i
  %pw = getelementptr float, ptr %w, i64 %i
  %py = getelementptr float, ptr %y, i64 %i
  %a = load float, ptr %px, align 4
  %b = load float, ptr %pw, align 4
  {value}
  store volatile float %v, ptr %py, align 4
  %i1 = add i64 %i, 1
  %c = icmp slt i64 %i1, {count}
  br i1 %c, label %inner, label %next
next:
  %t1 = add i64 %t, 1
  %d = icmp slt i64 %t1, {repeat}
  br i1 %d, label %outer, label %exit
exit:
  ret void
}}
"""


# y = 2 x + w, by a call to a function that reads a constant
RIGHT = "%double = call float @twice(float %a)\n  %v = fadd float %double, %b"


def expected(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    return 2 * x + w
