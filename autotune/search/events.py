"""What happens during a search, for whoever listens: progress bars, logs, plots, early stopping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autotune.cost_model.rounds import Round
from autotune.display import html
from autotune.display.units import duration
from autotune.schedules.schedule import Schedule
from autotune.search.task import TuningTask
from autotune.targets.callable import Kernel
from autotune.targets.llvm.build import build
from autotune.tuning_logs import Record


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a search stands. ``trials`` and ``failed`` count earlier runs' trials of the task too; times in seconds.

    ``limit_seconds`` is what the roofline allowed at least beside the best trial: what the interleaved baseline took.
    ``limit`` says which of its roofs that is: ``compute`` (the peak of multiply-adds) or ``memory`` (reading all inputs
    and writing the outputs once).
    ``best_flops`` counts the operations that the best trial's algorithm executes.
    """

    task: TuningTask
    trials: int
    total: int
    failed: int
    new_trials: int
    best_seconds: float | None
    peak_flops: float | None
    elapsed: float
    budget: float | None
    limit: str = "compute"
    limit_seconds: float | None = None
    best_flops: int | None = None

    @property
    def limit_fraction(self) -> float | None:
        """The best trial's speed as a share of what the roofline allows; None while either is unknown."""
        return self.limit_seconds / self.best_seconds if self.limit_seconds and self.best_seconds else None


@dataclass(frozen=True, slots=True)
class TuneResult:
    """What a search found.

    ``seconds`` is the winner's median in the head-to-head final, ``peak_fraction`` the share that the operations of its
    algorithm have of the FMA peak that a probe reached in the same final on as many threads; ``gflops`` counts the
    workload's operations, whatever the algorithm, and may exceed that peak. ``source`` says where ``schedule`` comes
    from: ``search``, ``analytic`` (the cost model's choice without any trial) or ``default`` (the schedule of no
    steps); the latter two also stand in where no candidate worked, without ``seconds`` where they were not measured.
    ``failures`` counts errors by kind, with an example message each. Not ``confirmed`` is a result whose final did not
    take place: then these are the best trial's own figures. ``time_spent`` splits ``elapsed`` (both in seconds) by what
    the driver did; ``proof`` says, where it was asked for, how the winner was interpreted; ``trials`` counts earlier
    runs' trials of the task too, ``new_trials`` only this run's. ``stopped`` says why the search ended before its
    trials were used up. ``rounds`` says of each batch how well the cost model foretold it. ``untuned_seconds``
    is the median, in the same final, of what can be had without any trial; None where it was not measured.
    """

    task: TuningTask
    schedule: Schedule
    seconds: float | None
    peak_fraction: float | None
    verified: bool
    max_error: float | None
    trials: int
    new_trials: int
    failed: int
    elapsed: float
    interrupted: bool
    failures: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    time_spent: Mapping[str, float] = field(default_factory=dict)
    confirmed: bool = True
    proof: str = ""
    stopped: str = ""
    source: str = "search"
    rounds: Sequence[Round] = ()
    limit: str = "compute"
    limit_seconds: float | None = None
    untuned_seconds: float | None = None

    @property
    def limit_fraction(self) -> float | None:
        """The winner's speed as a share of what the roofline allows (see ``Progress``); None while unknown."""
        return self.limit_seconds / self.seconds if self.limit_seconds and self.seconds else None

    @property
    def algorithm(self) -> str:
        """The definition of the workload that the schedule is one of."""
        return self.schedule.algorithm

    @property
    def gflops(self) -> float | None:
        """The winner's speed in GFLOP/s."""
        return self.task.workload.flops / self.seconds / 1e9 if self.seconds else None

    @property
    def trials_per_second(self) -> float:
        """This run's trials over its wall clock."""
        return self.new_trials / self.elapsed if self.elapsed else 0.0

    def _repr_html_(self) -> str:
        """The figures as a table, and the schedule folded below, for notebooks."""
        rows = [
            ("workload", self.task.workload.text),
            ("target", f"{self.task.target.name} on {self.task.device.name}"),
        ]
        if self.seconds is not None:
            rows.append(("best", f"{duration(self.seconds)}, {self.gflops:.1f} GFLOP/s"))
        if self.limit_fraction is not None:
            rows.append(("limit", f"{self.limit_fraction:.1%} of what the {self.limit} roof allows"))
        rows.append(("from", f"{self.source}, {self.algorithm}"))
        rows.append(("trials", f"{self.trials}, {self.failed} failed, in {self.elapsed:.1f} s"))
        if self.stopped:
            rows.append(("stopped", self.stopped))
        steps = html.section("Schedule", *self.schedule.html_parts(), start_open=False)
        return html.fragment(html.table(("", type(self).__name__), rows), steps)

    def build(self) -> Kernel:
        """The winner as a callable on arrays."""
        return Kernel(build(self.schedule, self.task.target, self.task.threads))


class Listener:
    """Hears of a search; every method does nothing until overridden."""

    def on_start(self, progress: Progress) -> None:
        """The search begins; trials of earlier runs are counted already."""

    def on_trial(self, record: Record, progress: Progress) -> None:
        """One trial finished and is in the database."""

    def on_final(self, progress: Progress) -> None:
        """The finalists are about to be measured against each other."""

    def on_finish(self, result: TuneResult) -> None:
        """The search is over."""

    def should_stop(self, progress: Progress) -> bool | str:
        """Asked after every trial: True, or a sentence that says why, ends the search as if its trials were used up."""
        return False
