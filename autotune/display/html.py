"""HTML for notebooks and pages: text that is indented becomes a tree that folds. No script, and the style comes along.

Colours are those of the reader's theme, light or dark; only the badges of annotations bring their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape

# How a loop runs, or what a line does: each has a badge of its own colour, with white letters on it.
BADGES = {
    "parallel": "#1f6feb", "vectorize": "#1a7f37", "unroll": "#9a6700", "blockIdx": "#8250df", "threadIdx": "#6639ba",
    "vthread": "#bc4c00", "prefetch": "#bf3989", "atomic": "#cf222e", "buffer": "#57606a",
}  # fmt: skip
_OTHER = "other"
_ALWAYS_OPEN, _SHORT = 2, 40  # outer levels, and the lines below which a deeper one starts open
_ANNOTATED = re.compile(r"^((?:\S+ )+)(for .*)$")
_LEADING = re.compile(r"^(\w+)\b(.*)$")
_HINT = re.compile(r"^(.*?)(  # .*)$")
_BUFFER = re.compile(r"^(\S+ = )(buffer)( .*)$")

_STYLE = (
    ".autotune{font:13px/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-x:auto}"
    ".autotune .line,.autotune summary,.autotune pre{white-space:pre;margin:0}"
    ".autotune summary{cursor:pointer}"
    ".autotune .inside{border-left:1px solid #8884;margin-left:.5em;padding-left:1.5em}"
    ".autotune .line{padding-left:1.1em}"
    ".autotune .count,.autotune .hint{opacity:.6}"
    ".autotune details:not([open])>summary>.count::before{content:'... '}"
    ".autotune h3{font-size:1.1em;margin:1em 0 .3em}"
    ".autotune table{border-collapse:collapse;font:inherit}"
    ".autotune th,.autotune td{border:1px solid #8884;padding:.1em .6em;text-align:left}"
    ".autotune .badge{color:#fff;border-radius:3px;padding:0 .35em}"
    ".autotune .added{background:#2ea04340}.autotune .removed{background:#f8514940}"
    ".autotune .marked{background:#d2992240}"
    + "".join(f".autotune .is-{name}{{background:{colour}}}" for name, colour in {**BADGES, _OTHER: "#57606a"}.items())
)


@dataclass(slots=True)
class _Line:
    text: str
    inside: list[_Line] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(1 + line.count for line in self.inside)


def fold(text: str) -> str:
    """Text as nested ``<details>``: what is indented further than a line folds away below it."""
    return "".join(_folded(line, 0) for line in _tree(text))


def _tree(text: str) -> list[_Line]:
    root = _Line("")
    open_lines = [(-1, root)]
    for raw in text.splitlines():
        indent = len(raw) - len(raw.lstrip(" "))
        while open_lines[-1][0] >= indent:
            open_lines.pop()
        line = _Line(raw.strip())
        open_lines[-1][1].inside.append(line)
        open_lines.append((indent, line))
    return root.inside


def _folded(line: _Line, depth: int) -> str:
    if not line.inside:
        return f'<div class="line">{_coloured(line.text)}</div>'
    count = line.count
    state = " open" if depth < _ALWAYS_OPEN or count <= _SHORT else ""
    size = f' <span class="count">({count} lines)</span>' if count > _SHORT else ""
    inside = "".join(_folded(inner, depth + 1) for inner in line.inside)
    return (
        f'<details{state}><summary>{_coloured(line.text)}{size}</summary><div class="inside">{inside}</div></details>'
    )


def _coloured(line: str) -> str:
    """One line, its annotations as badges and its hints pale."""
    if found := _HINT.match(line):
        return f'{_coloured(found[1])}<span class="hint">{escape(found[2])}</span>'
    if found := _ANNOTATED.match(line):
        return f"{' '.join(map(_badge, found[1].split()))} {escape(found[2])}"
    if found := _BUFFER.match(line):
        return f"{escape(found[1])}{_badge(found[2])}{escape(found[3])}"
    if (found := _LEADING.match(line)) and found[1] in BADGES:
        return f"{_badge(found[1])}{escape(found[2])}"
    return escape(line)


def _badge(word: str) -> str:
    name = re.split(r"\W", word)[0]
    return f'<span class="badge is-{name if name in BADGES else _OTHER}">{escape(word)}</span>'


def code(text: str, marked: Iterable[int] = ()) -> str:
    """Text as it is; the lines whose numbers (from 0) are ``marked`` stand out."""
    chosen = set(marked)
    lines = (
        f'<span class="marked">{escape(line)}</span>' if number in chosen else escape(line)
        for number, line in enumerate(text.splitlines())
    )
    return "<pre>" + "\n".join(lines) + "</pre>"


def diff(text: str) -> str:
    """A unified diff, added and removed lines coloured."""
    return "<pre>" + "\n".join(_diff_lines(text)) + "</pre>"


def _diff_lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        kind = {"+": "added", "-": "removed"}.get(line[:1])
        yield f'<span class="{kind}">{escape(line)}</span>' if kind else escape(line)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; every cell is escaped."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def section(title: str, *parts: str, start_open: bool = True) -> str:
    """A part that folds away below its title."""
    state = " open" if start_open else ""
    return f"<details{state}><summary><b>{escape(title)}</b></summary>{''.join(parts)}</details>"


def fragment(*parts: str) -> str:
    """What a notebook shows: the parts with the style that they need."""
    return f'<div class="autotune"><style>{_STYLE}</style>{"".join(parts)}</div>'


def page(title: str, *parts: str) -> str:
    """A page that stands alone, in the light or dark of the reader's browser."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>:root{{color-scheme:light dark}}body{{margin:2em}}</style></head>"
        f"<body>{fragment(*parts)}</body></html>\n"
    )
