"""The lowering pipeline: schedule -> loop IR -> passes, in this order."""

from __future__ import annotations

import time
from collections.abc import Callable
from difflib import unified_diff

from autotune.lowering.build_loops import build_loops
from autotune.lowering.ir import Function
from autotune.lowering.passes.promote_accumulators import promote_accumulators
from autotune.lowering.passes.verify import verify
from autotune.lowering.printer import show
from autotune.schedules.schedule import Schedule
from autotune.targets.facts import Target

Pass = Callable[[Function, Target], Function]
# Told of each pass: its name, the function before (None for the first) and after it, and the seconds that it took.
Observer = Callable[[str, Function | None, Function, float], None]

PASSES: tuple[tuple[str, Pass], ...] = (
    # What a reduction adds up to stays in registers while its loops run.
    ("promote accumulators", promote_accumulators),
)


def lower(schedule: Schedule, target: Target, observe: Observer | None = None, check: bool = False) -> Function:
    """The loop IR of a schedule whose knobs are set; ``check`` verifies it after every pass."""
    before: Function | None = None
    began = time.perf_counter()
    function = build_loops(schedule.state, target)
    for name, run in (("build loops", None), *PASSES):
        if run is not None:
            before, began = function, time.perf_counter()
            function = run(function, target)
        if observe is not None:
            observe(name, before, function, time.perf_counter() - began)
        if check:
            verify(function)
    return function


def changes(name: str, before: Function | None, after: Function) -> str:
    """What a pass has changed, as a unified diff of the printed loops; empty where it changed nothing."""
    old = show(before).splitlines() if before is not None and before is not after else []
    new = show(after).splitlines() if before is not after else []
    return "\n".join(unified_diff(old, new, f"before {name}", f"after {name}", lineterm=""))
