"""Who appended what over the network: rows that are only ever added.

Each row holds a link: the SHA-256 of the link before it and of its own values. So a row that was changed, put between
others or taken out of their middle shows; that the last ones were cut off shows only beside a link that was noted
elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from typing import Any

from autotune.tuning_logs.records import text_key

FIRST_LINK = ""


@dataclass(frozen=True, slots=True)
class Appended:
    """At a time (UTC), ``who`` (a token's name) sent from an ``address`` that many ``records`` of a run.

    ``new`` of them were not stored already.
    """

    at: str
    who: str
    address: str
    run: str
    records: int
    new: int

    def values(self, before: str) -> tuple[Any, ...]:
        """The row's, in the order of ``schema.COLUMNS``; ``before`` is the link of the row before it."""
        own = astuple(self)
        return (*own, text_key("\n".join((before, *map(str, own)))))


def broken_links(rows: Iterable[Mapping[str, Any]]) -> list[int]:
    """The numbers of the rows of the table, in order, that do not follow from the one before them."""
    broken, before = [], FIRST_LINK
    for row in rows:
        entry = Appended(**{name: row[name] for name in Appended.__slots__})
        if entry.values(before)[-1] != row["link"]:
            broken.append(row["id"])
        before = row["link"]
    return broken
