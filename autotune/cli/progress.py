"""Progress of a search on stderr: a live line on a terminal and in notebooks, now and then a plain line elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.progress import Progress as Live
from rich.text import Text

from autotune.cli.report import of_limit, speed
from autotune.search.events import Listener, Progress, TuneResult
from autotune.tuning_logs import Record

EVERY_SECONDS = 5.0  # between plain lines
FINAL = "final race"  # what the live line says while the finalists are measured against each other


def seconds_left(progress: Progress) -> float | None:
    """Until the trials or the budget are used up, at the speed so far; None before the first trial."""
    left = None
    if progress.new_trials and progress.elapsed > 0:
        left = (progress.total - progress.trials) * progress.elapsed / progress.new_trials
    if progress.budget is not None:
        rest = max(0.0, progress.budget - progress.elapsed)
        left = rest if left is None else min(left, rest)
    return left


def best_so_far(progress: Progress) -> str:
    """Time and GFLOP/s of the fastest trial so far, and how far that is from the hardware's limit."""
    if progress.best_seconds is None:
        return "nothing yet"
    reached = of_limit(progress.limit, progress.limit_fraction)
    return speed(progress.best_seconds, progress.task.workload.flops, None) + (f", {reached}" if reached else "")


def rate(progress: Progress) -> str:
    """Trials per second of this run, and how many trials failed."""
    per_second = progress.new_trials / progress.elapsed if progress.elapsed else 0.0
    return f"{per_second:.1f}/s" + (f", {progress.failed} failed" if progress.failed else "")


class ProgressBar(Listener):
    """A live line by rich, or plain lines where the console is neither a terminal nor a notebook.

    ``with ProgressBar() as bar: tune(..., listeners=[bar])`` also clears up after a search that raised.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.live = self.console.is_terminal or self.console.is_jupyter
        self._bar: Live | None = None
        self._next_line = 0.0

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def on_start(self, progress: Progress) -> None:
        name = progress.task.workload.operator
        if self.live:
            self._bar = Live(
                SpinnerColumn(), TextColumn("{task.description}"), BarColumn(16), MofNCompleteColumn(), _Figures(),
                console=self.console, transient=True, refresh_per_second=5,
            )  # fmt: skip
            self._bar.add_task(name, total=progress.total, completed=progress.trials, progress=progress)
            self._bar.start()
        else:
            known = f", {progress.trials} of them known from earlier runs" if progress.trials else ""
            self._line(f"{name}: {progress.total} trials{known}")
        self._next_line = time.monotonic() + EVERY_SECONDS

    def on_trial(self, record: Record, progress: Progress) -> None:
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=progress.trials, progress=progress)
        elif not self.live and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + EVERY_SECONDS
            left = seconds_left(progress)
            rest = f", {left:.0f} s left" if left is not None else ""
            self._line(
                f"{progress.trials}/{progress.total} trials, best {best_so_far(progress)}, {rate(progress)}{rest}"
            )

    def on_final(self, progress: Progress) -> None:
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], description=FINAL, completed=progress.trials, progress=progress)
        elif not self.live:
            self._line(f"{progress.trials} trials done, the best ones race head to head")

    def on_finish(self, result: TuneResult) -> None:
        self._stop()
        if self.console.is_jupyter and result.seconds is not None:
            self._line(f"best {speed(result.seconds, result.task.workload.flops, result.peak_fraction)}")

    def _line(self, text: str) -> None:
        self.console.print(text, soft_wrap=True, highlight=False, markup=False)

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class _Figures(ProgressColumn):
    """Best so far, trials per second, failures, time left."""

    def render(self, task: Task) -> Text:
        progress: Progress = task.fields["progress"]
        left = seconds_left(progress)
        rest = f"  {_clock(left)} left" if left is not None and task.description != FINAL else ""
        return Text(f"{best_so_far(progress)}  {rate(progress)}{rest}")


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
