"""The times of trials in order, and of the best so far, as an SVG that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

from autotune.display.units import duration

WIDTH, HEIGHT = 640, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 80, 14, 28  # margins, in which the labels stand
_FAR = 3.0  # times the best: what is slower stands at the upper end
_MOST_DOTS = 2000


def curve(times: Sequence[float | None], limit: float | None = None) -> str:
    """The SVG of trials' times in seconds, None for those that failed; ``limit`` is a line that none can cross."""
    good = [seconds for seconds in times if seconds is not None]
    if not good:
        return ""
    low, high = min([*good, limit or good[0]]) / 1.05, _FAR * min(good)

    def across(number: int) -> float:
        return round(_LEFT + number / max(1, len(times) - 1) * (WIDTH - _LEFT - _RIGHT), 1)

    def up(seconds: float) -> float:
        share = math.log(high / min(seconds, high)) / math.log(high / low)
        return round(_TOP + share * (HEIGHT - _TOP - _BOTTOM), 1)

    best = list(accumulate((math.inf if seconds is None else seconds for seconds in times), min))
    first = next(number for number, seconds in enumerate(best) if seconds < math.inf)
    steps = "".join(f"H{across(number)}V{up(seconds)}" for number, seconds in enumerate(best) if number > first)
    every = math.ceil(len(times) / _MOST_DOTS)
    dots = "".join(
        f'<circle cx="{across(number)}" cy="{HEIGHT - _BOTTOM if seconds is None else up(seconds)}" r="2.5" '
        f'fill="{"#c81e1e" if seconds is None else "#3e7cb1"}" fill-opacity=".55"/>'
        for number, seconds in list(enumerate(times))[::every]
    )
    right = WIDTH - _RIGHT
    parts = [
        dots,
        f'<path d="M{across(first)},{up(best[first])}{steps}H{right}" fill="none" stroke="#e8590c" stroke-width="2"/>',
        _label(right + 6, up(best[-1]), duration(best[-1]), "start"),
        _label(_LEFT - 6, up(high), duration(high), "end"),
        _label((_LEFT + right) / 2, HEIGHT - 8, f"{len(times)} trials", "middle"),
    ]
    if limit is not None:
        parts.append(
            f'<line x1="{_LEFT}" x2="{right}" y1="{up(limit)}" y2="{up(limit)}" stroke="#57606a" stroke-dasharray="4"/>'
        )
        parts.append(_label(_LEFT - 6, up(limit), "limit", "end"))
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img">{"".join(parts)}</svg>'


def _label(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x}" y="{y + 4}" text-anchor="{anchor}" fill="currentColor" font-size="12">{text}</text>'
