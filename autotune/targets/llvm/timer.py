"""The timing loop as machine code, so that no interpreter stands between two readings of the clock."""

from __future__ import annotations

import functools

import llvmlite.binding as llvm

# void time_kernel(void (*kernel)(void **), void **arguments, int64 number, int64 samples, int64 *out_ns,
#                  int (*clock_gettime)(int, struct timespec *), int clock)
# The clock's function and number are handed in, so that the object is freestanding and fits any system.
_TIMER = """
define internal i64 @now(ptr %clock_gettime, i32 %clock, ptr %time) {
  %status = call i32 %clock_gettime(i32 %clock, ptr %time)
  %seconds = load i64, ptr %time
  %second_field = getelementptr i8, ptr %time, i64 8
  %nanoseconds = load i64, ptr %second_field
  %scaled = mul i64 %seconds, 1000000000
  %sum = add i64 %scaled, %nanoseconds
  ret i64 %sum
}

define void @time_kernel(ptr %kernel, ptr %arguments, i64 %number, i64 %samples, ptr %out,
                         ptr %clock_gettime, i32 %clock) {
entry:
  %time = alloca [2 x i64], align 8
  br label %sample
sample:
  %s = phi i64 [ 0, %entry ], [ %s1, %done ]
  %begin = call i64 @now(ptr %clock_gettime, i32 %clock, ptr %time)
  br label %run
run:
  %n = phi i64 [ 0, %sample ], [ %n1, %run ]
  call void %kernel(ptr %arguments)
  %n1 = add i64 %n, 1
  %more = icmp slt i64 %n1, %number
  br i1 %more, label %run, label %done
done:
  %end = call i64 @now(ptr %clock_gettime, i32 %clock, ptr %time)
  %elapsed = sub i64 %end, %begin
  %slot = getelementptr i64, ptr %out, i64 %s
  store i64 %elapsed, ptr %slot
  %s1 = add i64 %s, 1
  %again = icmp slt i64 %s1, %samples
  br i1 %again, label %sample, label %exit
exit:
  ret void
}
"""


def host_triple() -> str:
    """An ELF triple for this machine's processor, whatever its system: the loader reads nothing but ELF."""
    return llvm.get_default_triple().split("-")[0].replace("arm64", "aarch64") + "-unknown-linux-gnu"


def host_features() -> str:
    """This machine's processor features in LLVM's notation; full-width vectors are not shied away from."""
    return llvm.get_host_cpu_features().flatten() + ",-prefer-256-bit"


def emit_object(text: str, triple: str, features: str) -> bytes:
    """Object code for LLVM IR that needs no optimisation: code generation only, position independent."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(triple).create_target_machine(
        features=features, opt=1, reloc="pic", codemodel="small"
    )
    module = llvm.parse_assembly(text)
    module.triple = triple
    module.verify()
    return machine.emit_object(module)


@functools.cache
def timer_object(triple: str) -> bytes:
    """The timing loop's object code for a target triple (an ELF one)."""
    return emit_object(_TIMER, triple, "")
