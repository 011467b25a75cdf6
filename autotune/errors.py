"""The errors that a user sees: one clear sentence each, never a traceback from below."""

from __future__ import annotations


class AutotuneError(Exception):
    """Something failed while doing what was asked. The command line exits with 1."""


class UsageError(AutotuneError, ValueError):
    """What was asked for makes no sense; the sentence says what is allowed. The command line exits with 2."""


class ScheduleError(UsageError):
    """A schedule step that is not legal; the sentence names the stage, the axis and the axes that exist."""


class TargetError(UsageError):
    """A target that is unknown, or that cannot do what was asked."""


def unknown(kind: str, name: object, known: object) -> UsageError:
    """The refusal of a name, with the names that a registry knows."""
    names = ", ".join(sorted(str(item) for item in known))  # type: ignore[attr-defined]
    return UsageError(f"unknown {kind} {str(name)!r}; known: {names}")
