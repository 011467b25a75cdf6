"""The ``autotune`` command."""

from autotune.cli.entry import main

__all__ = ["main"]
