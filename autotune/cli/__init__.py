"""The ``autotune`` command."""

from autotune.cli.start import main

__all__ = ["main"]
