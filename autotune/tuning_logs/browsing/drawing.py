"""A curve as coordinates: times on a logarithmic axis, trials on a linear one. The template writes the SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autotune.display.units import duration, round_duration
from autotune.tuning_logs.browsing.curves import Curve, Trial

WIDTH, HEIGHT = 960, 408
LEFT, RIGHT, TOP, BOTTOM = 74, 92, 24, 52  # margins, in which the labels stand
MOST_DOTS = 5000  # of a longer curve every n-th trial is drawn: browsers slow down, and nobody sees more
_FAR = 2.5  # times the best: what is slower stands at the upper end of the axis, unless the search began there


@dataclass(frozen=True, slots=True)
class Dot:
    """A trial; ``record`` is the row that it links to."""

    x: float
    y: float
    kind: str  # ok, unverified, slow (beyond the axis), failed
    label: str
    record: int


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """Where everything stands, in the units of the SVG's view box."""

    dots: Sequence[Dot]
    best_so_far: str  # the steps, as an SVG path
    end: Tick | None  # the height at which the steps end, and the time
    horizontal: Sequence[Tick]
    vertical: Sequence[Tick]
    runs: Sequence[Tick]  # where a later run began


def draw(curve: Curve) -> Drawing:
    """A curve's drawing; one without a trial that worked has no times on its axis."""
    low, high = _range(curve)
    count = max(len(curve.trials), 2)

    def across(number: float) -> float:
        return round(LEFT + (number - 1) / (count - 1) * (WIDTH - LEFT - RIGHT), 1)

    def up(seconds: float) -> float:
        return round(TOP + math.log(high / seconds) / math.log(high / low) * (HEIGHT - TOP - BOTTOM), 1)

    path, height = "", 0.0
    for trial in curve.improvements:
        assert trial.seconds is not None
        height = up(trial.seconds)
        path += f"{'H' if path else 'M'}{across(trial.number)}{'V' if path else ','}{height}"
    best = curve.improvements[-1].seconds if path else None
    begins = [
        trial for before, trial in zip(curve.trials, curve.trials[1:], strict=False) if _starts_run(before, trial)
    ]
    return Drawing(
        dots=[
            Dot(
                across(trial.number), HEIGHT - BOTTOM if trial.seconds is None else up(min(trial.seconds, high)),
                _kind(trial, high), _label(trial), trial.row["id"],
            )
            for trial in drawn(curve)
        ],
        best_so_far=path and f"{path}H{across(count)}",
        end=None if best is None else Tick(height, duration(best)),
        horizontal=[Tick(across(number), f"{number:,.0f}") for number in linear_ticks(1, count) if number.is_integer()],
        vertical=[Tick(up(seconds), round_duration(seconds)) for seconds in (time_ticks(low, high) if path else [])],
        runs=[Tick(across(trial.number - 0.5), f"run {number}") for number, trial in enumerate(begins, 2)],
    )  # fmt: skip


def _range(curve: Curve) -> tuple[float, float]:
    """The ends of the axis of times: a few very slow trials would leave the rest, and the best, no height."""
    times = [trial.seconds for trial in curve.trials if trial.seconds is not None]
    if not times:
        return 1.0, 10.0
    best = min(times)
    return best / 1.1, min(max(times), max(times[0], _FAR * best)) * 1.1


def drawn(curve: Curve) -> list[Trial]:
    """The trials that get a dot: of very many every n-th, and all improvements."""
    step = math.ceil(len(curve.trials) / MOST_DOTS)
    if step <= 1:
        return list(curve.trials)
    kept = {trial.number: trial for trial in [*curve.trials[::step], *curve.improvements]}
    return [kept[number] for number in sorted(kept)]


def linear_ticks(low: float, high: float, about: int = 8) -> list[float]:
    """Round numbers from ``low`` to ``high``, some ``about`` of them: multiples of 1, 2 or 5 times a power of ten."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return [round(n * step, 12) for n in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def time_ticks(low: float, high: float) -> list[float]:
    """Round times from ``low`` to ``high`` for a logarithmic axis."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine, coarse = (
        [factor * 10.0**power for power in powers for factor in factors if low <= factor * 10.0**power <= high]
        for factors in ((1, 2, 5), (1,))
    )
    if len(fine) < 4:
        return linear_ticks(low, high)
    return fine if len(fine) <= 10 else coarse


def _starts_run(before: Trial, trial: Trial) -> bool:
    return bool(before.row["run_id"] != trial.row["run_id"])


def _kind(trial: Trial, high: float) -> str:
    if trial.seconds is None:
        return "failed"
    if trial.seconds > high:
        return "slow"
    return "ok" if trial.row["verified"] else "unverified"


def _label(trial: Trial) -> str:
    if trial.seconds is None:
        return f"trial {trial.number}: {trial.row['status']}"
    low, high = trial.row["ci_low"], trial.row["ci_high"]
    interval = f" ({duration(low)} to {duration(high)})" if low is not None and high is not None else ""
    return f"trial {trial.number}: {duration(trial.seconds)}{interval}"
