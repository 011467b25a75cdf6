"""Differential fuzzing: random operators under random schedules, interpreted and compiled, must equal NumPy."""

from autotune.fuzz.check import compare

__all__ = ["compare"]
