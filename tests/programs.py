"""Random schedules for tests of operators."""

from __future__ import annotations

from autotune.fuzz import steps
from autotune.fuzz.choices import Choices
from autotune.fuzz.choices import RandomChoices as RandomSource
from autotune.schedules.schedule import Schedule
from autotune.tensor_expr import Tensor

__all__ = ["RandomSource", "draw_schedule"]


def draw_schedule(source: Choices, output: Tensor) -> Schedule:
    """Random steps; those that a primitive refuses are left out."""
    return steps.draw_schedule(source, output).schedule
