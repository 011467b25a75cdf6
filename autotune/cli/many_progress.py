"""Progress of many tasks on stderr: a live table on a terminal and in notebooks, elsewhere a line for each turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live
from rich.table import Table

from autotune.cli.report import plural
from autotune.display.units import duration
from autotune.search.many.events import ManyListener, ManyProgress, TaskProgress, TuneManyResult, Turn
from autotune.search.task import TuningTask

MARGIN = 8  # lines of the terminal that the table leaves free


class ManyTable(ManyListener):
    """``with ManyTable() as table: tune_many(..., listeners=[table])``."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.live = self.console.is_terminal or self.console.is_jupyter
        self._table: Live | None = None
        self._names: list[str] = []
        self._final = False

    def __enter__(self) -> ManyTable:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()

    def on_start(self, progress: ManyProgress) -> None:
        self._names = names([one.task for one in progress.tasks])
        if self.live:
            self._table = Live(self._rows(progress), console=self.console, transient=True, refresh_per_second=4)
            self._table.start()
            return
        known = f", {progress.trials} trials known from earlier runs" if progress.trials else ""
        self._line(f"{plural(len(progress.tasks), 'task')}{known}")

    def on_trial(self, progress: ManyProgress) -> None:
        if self._table is not None:
            self._table.update(self._rows(progress))

    def on_turn(self, turn: Turn, progress: ManyProgress) -> None:
        one = progress.tasks[turn.task]
        if self._table is not None:
            self._table.update(self._rows(progress))
        elif not self.live:
            self._line(
                f"{spent(progress)}: {self._names[turn.task]}: {plural(turn.trials, 'trial')}, best {_best(one)}; "
                f"all tasks {duration(progress.seconds) if progress.seconds else 'nothing yet'}"
            )

    def on_final(self, progress: ManyProgress) -> None:
        if self._table is not None:
            self._final = True
            self._table.update(self._rows(progress))
        elif not self.live and not self._final:
            self._final = True
            self._line(f"{spent(progress)}: the best of each task race head to head")

    def on_finish(self, result: TuneManyResult) -> None:
        self._stop()

    def _rows(self, progress: ManyProgress) -> Table:
        """The tasks, those with the largest share of the time where not all have room."""
        doing = "finals" if self._final else "tuning"
        table = Table(title=f"{doing}, {spent(progress)}", caption=_total(progress), title_justify="left")
        table.add_column("task", overflow="ellipsis", no_wrap=True, ratio=1)
        for name in ("weight", "trials", "best", "of limit", "share", "next turn"):
            table.add_column(name, justify="right", no_wrap=True)
        for number in shown(progress, max(1, self.console.size.height - MARGIN)):
            one = progress.tasks[number]
            table.add_row(
                f"{self._names[number]}{' (over)' if one.over else ''}", f"{one.weight:g}", str(one.trials), _best(one),
                _percent(one.limit_fraction), _percent(_share(one, progress)), _percent(one.expected, "-"),
                style="bold" if number == progress.active else "dim" if one.over else "",
            )  # fmt: skip
        return table

    def _line(self, text: str) -> None:
        self.console.print(text, soft_wrap=True, highlight=False, markup=False)

    def _stop(self) -> None:
        if self._table is not None:
            self._table.stop()
            self._table = None


def names(tasks: Sequence[TuningTask]) -> list[str]:
    """What to call tasks: the operator, and those of its parameters in which they differ."""
    values = Counter((t.workload.operator, name, str(v)) for t in tasks for name, v in t.workload.params.items())
    operators = Counter(task.workload.operator for task in tasks)
    found = []
    for task in tasks:
        operator = task.workload.operator
        differing = [
            f"{name}={value}"
            for name, value in task.workload.params.items()
            if values[operator, name, str(value)] < operators[operator]
        ]
        found.append(" ".join([operator, *differing]))
    return found


def shown(progress: ManyProgress, room: int) -> list[int]:
    """The numbers of the tasks in a table with so much room: the active one, and those that take the most time."""
    order = range(len(progress.tasks))
    ranked = sorted(order, key=lambda n: (n != progress.active, -(_share(progress.tasks[n], progress) or 0.0)))
    return sorted(ranked[:room])


def spent(progress: ManyProgress) -> str:
    """Trials and time, each with what there is of it."""
    total = f"/{progress.total}" if progress.total else ""
    budget = f" of {progress.budget:.0f}" if progress.budget else ""
    return f"{progress.trials}{total} trials, {progress.elapsed:.0f}{budget} s"


def _total(progress: ManyProgress) -> str:
    known = sum(one.best_seconds is not None for one in progress.tasks)
    of = "" if known == len(progress.tasks) else f" ({known} of {plural(len(progress.tasks), 'task')})"
    return f"weighted time of all tasks: {duration(progress.seconds)}{of}" if known else ""


def _share(one: TaskProgress, progress: ManyProgress) -> float | None:
    return one.weight * one.best_seconds / progress.seconds if one.best_seconds else None


def _best(one: TaskProgress) -> str:
    return duration(one.best_seconds) if one.best_seconds else "-"


def _percent(share: float | None, sign: str = "") -> str:
    return "" if share is None else f"{sign}{share:.1%}"
