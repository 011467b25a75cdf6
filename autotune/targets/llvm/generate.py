"""Loop IR -> the text of an LLVM module, with the entry that ``autotune.targets.artifact`` describes."""

from __future__ import annotations

from dataclasses import dataclass

from autotune.errors import ScheduleError
from autotune.lowering.analysis import function_ranges, unproven_loads
from autotune.lowering.ir import Allocate, For, Function, statements
from autotune.lowering.registers import register_buffers
from autotune.schedules.details import GPU_SCOPES, SCOPES, THREADS
from autotune.targets.facts import Target
from autotune.targets.llvm.module import Module
from autotune.targets.llvm.statements import FunctionEmitter

ENTRY = "kernel"


@dataclass(frozen=True, slots=True)
class Generated:
    """A module's text and the bytes of workspace that its entry needs with a number of threads."""

    text: str
    workspace_bytes: int


def generate(function: Function, target: Target, threads: int = 1) -> Generated:
    """LLVM IR that is already in SSA form and needs no optimisation passes."""
    _refuse_gpu(function, target)
    ranges = function_ranges(function)
    module = Module(
        register_buffers(function), ranges, unproven_loads(function, ranges), target, threads > 1, _fence(target)
    )
    main = FunctionEmitter(module, in_thread=False)
    arguments = []
    for number, param in enumerate(function.params):
        main.addresses.pointers[param.buffer] = f"%p{number}"
        readonly = "" if param.buffer.role == "output" else " readonly"
        arguments.append(f"ptr noalias{readonly} %p{number}")
    main.statement(function.body)
    main.fence()
    shared = (module.shared_bytes + 63) // 64 * 64
    per_thread = (module.thread_bytes + 63) // 64 * 64
    signature = ", ".join([*arguments, "ptr noalias %workspace", "ptr noalias readonly %runtime"])
    features = ",".join(f"+{feature}" for feature in target.features)
    width = target.vector_bytes * 8
    body = [
        f'target triple = "{target.triple}"',
        *(body.function(shared, per_thread) for body in module.threads),
        f"define internal void @body({signature}) #0 {{",
        "entry:",
        main.emitter.text(),
        "ret void",
        "}",
        _entry(len(function.params)),
        *module.declarations.values(),
        f'attributes #0 = {{ nounwind "target-features"="{features}" "prefer-vector-width"="{width}" }}',
    ]
    return Generated("\n".join(body), shared + per_thread * threads)


def _refuse_gpu(function: Function, target: Target) -> None:
    for stmt in statements(function.body):
        if isinstance(stmt, For) and stmt.kind in THREADS:
            raise ScheduleError(
                f"axis {stmt.var.name!r} is bound to {stmt.kind}, which {target.name} does not have; "
                f"on a CPU use parallel, vectorize or unroll"
            )
        if isinstance(stmt, Allocate) and stmt.buffer.scope in GPU_SCOPES:
            raise ScheduleError(
                f"stage {stmt.buffer.name!r} is to live in {stmt.buffer.scope} memory, which {target.name} does not "
                f"have; on a CPU the scopes are: {', '.join(s for s in SCOPES if s not in GPU_SCOPES)}"
            )


def _fence(target: Target) -> str:
    """What ends non-temporal stores: x86 alone lets later stores overtake them."""
    return "llvm.x86.sse.sfence" if target.arch == "x86_64" else ""


def _entry(params: int) -> str:
    lines = [f"define void @{ENTRY}(ptr %arguments) #0 {{"]
    for number in range(params + 2):
        lines.append(f"%at{number} = getelementptr ptr, ptr %arguments, i64 {number}")
        lines.append(f"%a{number} = load ptr, ptr %at{number}, align 8")
    passed = ", ".join(f"ptr %a{number}" for number in range(params + 2))
    lines += [f"tail call void @body({passed})", "ret void", "}"]
    return "\n".join(lines)
