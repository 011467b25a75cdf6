"""``autotune fuzz``: random operators under random schedules, which must compute what NumPy does."""

from __future__ import annotations

import sys
import time
from collections import Counter

import click

from autotune.cli.options import Duration, json_option
from autotune.cli.report import one_object, plural, table
from autotune.cli.start import INTERRUPTED
from autotune.fuzz.run import Report, fuzz
from autotune.targets.facts import TARGETS
from autotune.targets.host import get_target

SECONDS = 60.0
EVERY_SECONDS = 5.0  # between lines of progress; on a terminal one line that changes


def _fuzz(
    seconds: float | None, count: int | None, seed: int, first: int, names: tuple[str, ...], as_json: bool
) -> None:
    targets = tuple(get_target(name).name for name in names) or tuple(TARGETS)
    allowed = SECONDS if seconds is None and count is None else seconds
    progress = _Progress()
    report = fuzz(seed, allowed, count, targets, progress.show, first)
    progress.close()
    click.echo(one_object(report.to_json()) if as_json else _text(report))
    if report.interrupted:
        click.echo("Interrupted: the counts are those up to here.", err=True)
        sys.exit(INTERRUPTED)
    sys.exit(1 if report.findings else 0)


command = click.Command(
    "fuzz", callback=_fuzz,
    help="Check random schedules of random operators beside NumPy, interpreted and compiled. Pair k of a seed is the "
    "same one everywhere. Exits with 1, and a program that shows it, where something is wrong.",
    params=[
        click.Option(["--seconds"], type=Duration(), help=f"how long [default: {SECONDS:g}, or until --count]"),
        click.Option(["--count"], type=click.IntRange(1), help="how many pairs"),
        click.Option(["--seed"], type=click.IntRange(0), default=0, show_default=True, help="of all random choices"),
        click.Option(["--first"], type=click.IntRange(0), default=0, show_default=True, help="the pair to begin with"),
        click.Option(
            ["--target", "names"], multiple=True, help="compile for this one; may be given again [default: all]"
        ),
        json_option(),
    ],
)  # fmt: skip


class _Progress:
    """One line on stderr."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._next = time.monotonic() + EVERY_SECONDS

    def show(self, report: Report) -> None:
        if self._live or time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY_SECONDS
            rate = report.pairs / max(report.seconds, 1e-9)
            line = f"{plural(report.pairs, 'pair')}, {rate:.1f}/s, {plural(len(report.findings), 'failure')}"
            click.echo(f"\r{line} " if self._live else line, nl=not self._live, err=True)

    def close(self) -> None:
        if self._live:
            click.echo("", err=True)


def _text(report: Report) -> str:
    rows = {
        "pairs": f"{report.pairs} of seed {report.seed} in {report.seconds:.1f} s",
        "operators": _counts(report.operators),
        "checks": _counts(report.checks),
        "outcomes": _counts(report.outcomes),
        "steps accepted": _counts(report.accepted),
        "steps refused": _counts(report.refused),
        "failures": str(len(report.findings)),
    }
    found = "".join(f"\n\n{finding}\n\n{finding.program}" for finding in report.findings)
    return f"{table(rows)}{found}"


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common()) or "none"
