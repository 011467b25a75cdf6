"""Emptying caches of some memory, as machine code: ``void flush(void *memory, int64 bytes)``."""

from __future__ import annotations

import functools

import llvmlite.binding as llvm

from autotune.targets.llvm.timer import emit_object

_LINE = 64  # bytes; a line of 128 is flushed twice
_INSTRUCTIONS = {"x86_64": ("clflush ($0)", "mfence"), "aarch64": ("dc civac, $0", "dsb ish")}

_FLUSH = """
define void @flush(ptr %memory, i64 %bytes) {{
entry:
  br label %line
line:
  %i = phi i64 [ 0, %entry ], [ %i1, %line ]
  %p = getelementptr i8, ptr %memory, i64 %i
  call void asm sideeffect "{line}", "r,~{{memory}}"(ptr %p)
  %i1 = add i64 %i, {size}
  %more = icmp slt i64 %i1, %bytes
  br i1 %more, label %line, label %exit
exit:
  call void asm sideeffect "{fence}", "~{{memory}}"()
  ret void
}}
"""


@functools.cache
def flush_object(triple: str) -> bytes:
    """The object code for a target triple (an ELF one)."""
    llvm.initialize_native_asmparser()  # the instructions are inline assembly
    line, fence = _INSTRUCTIONS[triple.split("-")[0]]
    return emit_object(_FLUSH.format(line=line, fence=fence, size=_LINE), triple, "")
