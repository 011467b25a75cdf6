"""Which iterations of a stage depend on each other."""

from __future__ import annotations

from autotune.errors import ScheduleError
from autotune.schedules.state import Stage


def check_independent(stage: Stage, axis: str, how: str) -> None:
    """Refuse a loop whose iterations write one element, where they would run at once (``how``: parallel, ...)."""
    if axis in stage.reduce_loops:
        spatial = ", ".join(loop for loop in stage.loops if loop not in stage.reduce_loops)
        raise ScheduleError(
            f"stage {stage.name!r}: axis {axis!r} is a reduction, whose iterations write one element, and cannot be "
            f"{how}; its spatial axes are: {spatial or 'none'}"
        )
