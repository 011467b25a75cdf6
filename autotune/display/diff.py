"""The difference of two texts, for terminals and notebooks."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import unified_diff

from autotune.display import html

_COLOURS = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m"}
_PLAIN = "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Diff:
    """A unified diff: ``print`` shows it, a notebook colours it, and ``coloured`` is for terminals.

    ``text`` is empty where nothing differs.
    """

    text: str

    @property
    def coloured(self) -> str:
        """The diff with a terminal's colours."""
        return "\n".join(
            f"{_COLOURS[line[0]]}{line}{_PLAIN}" if line[:1] in _COLOURS else line for line in str(self).splitlines()
        )

    def __str__(self) -> str:
        return self.text or "no difference"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html.fragment(html.diff(str(self)))


def compare(before: str, after: str, names: tuple[str, str]) -> Diff:
    """What turns ``before`` into ``after``."""
    return Diff("\n".join(unified_diff(before.splitlines(), after.splitlines(), *names, lineterm="")))
