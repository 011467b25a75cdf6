"""Which records may be served."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from autotune.errors import UsageError
from autotune.tensor_expr.algorithms import DIRECT, check_algorithms
from autotune.tuning_logs.records import in_utc

OTHERS = ("equal", "last", "never")


@dataclass(frozen=True, slots=True)
class Accept:
    """Only ``verified`` records, or all that worked; only those made ``since`` a time (ISO 8601).

    With a ``toolchain``, records of ``others`` compete with its own (``equal``: a schedule is rebuilt anyway, but a
    time of another release may be out of date), serve where it has none (``last``), or are refused (``never``).
    ``algorithms``: only records of these definitions of their workload (``alternatives``), None for all.
    A record's time is what the clock of the machine that measured it said.

    Raises UsageError for what makes no sense.
    """

    verified: bool = True
    since: str | None = None
    toolchain: str | None = None
    others: str = "equal"
    algorithms: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.others not in OTHERS:
            raise UsageError(f"others must be one of {', '.join(OTHERS)}, not {self.others!r}")
        if self.others != "equal" and self.toolchain is None:
            raise UsageError(f"others={self.others!r} needs the toolchain that they are not")
        object.__setattr__(self, "algorithms", check_algorithms(self.algorithms))
        if self.since is not None:
            object.__setattr__(self, "since", in_utc(self.since))

    @property
    def condition(self) -> str:
        """In SQL, over a record's columns; ``since`` is a parameter of ``values``."""
        conditions = ["status = 'ok'"]
        conditions += ["verified"] * self.verified
        conditions += ["created >= :since"] * (self.since is not None)
        if self.algorithms is not None:
            named = ", ".join(f"'{name}'" for name in self.algorithms)
            found = f"coalesce(json_extract(text, '$.algorithm'), '{DIRECT}')"
            conditions += [
                f"sketch_id IN (SELECT id FROM sketches WHERE CASE WHEN json_valid(text) THEN {found} IN ({named}) END)"
            ]
        return " AND ".join(conditions)

    def rank(self, toolchain: str) -> int | None:
        """0 for what is preferred, 1 for what comes after it, None for what is refused."""
        if self.others == "equal" or toolchain == self.toolchain:
            return 0
        return 1 if self.others == "last" else None


def days_ago(days: float) -> str:
    """The time that long before now, for ``since``."""
    try:
        return in_utc((datetime.now(timezone.utc) - timedelta(days=days)).isoformat())
    except (OverflowError, ValueError) as error:
        raise UsageError(f"an age of {days} days is none") from error


VERIFIED = Accept()
