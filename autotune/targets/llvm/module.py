"""What the functions of an LLVM module share, and the bodies of its parallel loops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from autotune.lowering.ir import Buffer
from autotune.targets.facts import Target
from autotune.tensor_expr.ranges import Ranges


@dataclass(slots=True)
class Module:
    """What its functions share: facts about the lowered function, declarations, thread bodies and workspace sizes."""

    registers: Mapping[Buffer, int | None]
    ranges: Ranges
    unproven: frozenset[int]
    target: Target
    concurrent: bool  # more than one thread: else a parallel loop is a serial one, and needs no runtime
    fence: str  # the LLVM intrinsic that non-temporal stores end with, if any
    declarations: dict[str, str] = field(default_factory=dict)
    threads: list[ThreadBody] = field(default_factory=list)
    shared_bytes: int = 0  # workspace of what runs once
    thread_bytes: int = 0  # workspace of each thread of a parallel loop


@dataclass(frozen=True, slots=True)
class ThreadBody:
    """The body of a parallel loop as a function of its own; its closure is an array of 64-bit ``slots``."""

    name: str
    slots: tuple[tuple[str, str], ...]
    text: str

    def function(self, shared_bytes: int, thread_bytes: int) -> str:
        """The function's text, for threads whose workspaces follow the shared one."""
        lines = [f"define internal void @{self.name}(ptr %closure) #0 {{", "start:"]
        for number, (kind, _) in enumerate(self.slots):
            lines.append(f"%at{number} = getelementptr i64, ptr %closure, i64 {number}")
            if number >= 2:
                lines.append(f"%slot{number} = load {kind}, ptr %at{number}, align 8")
        lines += [
            "%thread = atomicrmw add ptr %at1, i64 1 monotonic",
            f"%skip = mul i64 %thread, {thread_bytes}",
            f"%offset = add i64 %skip, {shared_bytes}",
            "%own = getelementptr i8, ptr %slot2, i64 %offset",
            "br label %entry",
            "entry:",
            self.text,
            "}",
        ]
        return "\n".join(lines)
