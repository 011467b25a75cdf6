"""Sketch rules: the search space, derived from an operator's expression alone."""

from autotune.schedules.sketches.space import SPACE_VERSION, Sketch, sketches

__all__ = ["SPACE_VERSION", "Sketch", "sketches"]
