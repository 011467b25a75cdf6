"""The lowering pipeline: schedule -> loop IR -> passes, in this order."""

from __future__ import annotations

from collections.abc import Callable

from autotune.lowering.build_loops import build_loops
from autotune.lowering.ir import Function
from autotune.schedules.schedule import Schedule
from autotune.targets.facts import Target

Pass = Callable[[Function, Target], Function]

PASSES: tuple[tuple[str, Pass], ...] = ()


def lower(schedule: Schedule, target: Target) -> Function:
    """The loop IR of a schedule whose knobs are set."""
    function = build_loops(schedule.state, target)
    for _, run in PASSES:
        function = run(function, target)
    return function
