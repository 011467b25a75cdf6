"""The errors that a user sees: one clear sentence each, never a traceback from below."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

MANY = 24  # names that one sentence still lists


class AutotuneError(Exception):
    """Something failed while doing what was asked. The command line exits with 1."""


class UsageError(AutotuneError, ValueError):
    """What was asked for makes no sense; the sentence says what is allowed. The command line exits with 2."""


class ScheduleError(UsageError):
    """A schedule step that is not legal; the sentence names the stage, the axis and the axes that exist."""


class TargetError(UsageError):
    """A target that is unknown, or that cannot do what was asked."""


def unknown(kind: str, name: object, known: Iterable[object]) -> UsageError:
    """The refusal of a name, with the names that a registry knows, or the closest ones where it knows many."""
    names = sorted(str(item) for item in known)
    if len(names) <= MANY:
        return UsageError(f"unknown {kind} {str(name)!r}; known: {', '.join(names)}")
    closest = get_close_matches(str(name), names, n=5, cutoff=0)
    return UsageError(f"unknown {kind} {str(name)!r}; the closest of {len(names)}: {', '.join(closest)}")
