"""Schedules: how an operator is computed, as data."""
