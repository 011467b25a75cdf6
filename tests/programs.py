"""Random schedules for tests of operators."""

from __future__ import annotations

from autotune.errors import UsageError
from autotune.fuzz import steps
from autotune.fuzz.check import needs_gpu
from autotune.fuzz.choices import Choices
from autotune.fuzz.choices import RandomChoices as RandomSource
from autotune.lowering.pipeline import lower
from autotune.schedules.schedule import Schedule
from autotune.targets.host import native_target
from autotune.tensor_expr import Tensor

__all__ = ["RandomSource", "draw_schedule"]


def draw_schedule(source: Choices, output: Tensor) -> Schedule:
    """Random steps, those that a primitive refuses left out, until they make a schedule that this CPU can run."""
    while not _runs(schedule := steps.draw_schedule(source, output).schedule):
        pass
    return schedule


def _runs(schedule: Schedule) -> bool:
    """Whether the schedule needs no GPU, and lowering does not refuse what a buffer should live in."""
    try:
        return not needs_gpu(schedule) and bool(lower(schedule, native_target()))
    except UsageError:
        return False
