"""Listeners that keep what they hear: a log as lines of JSON, and a curve that a notebook draws while it grows."""

from __future__ import annotations

import json
import math
import sys
import time
from os import PathLike
from typing import Any, TextIO

from autotune.display import html
from autotune.display.curve import curve
from autotune.search.events import Listener, Progress, TuneResult
from autotune.tuning_logs import Record


class TrialLog(Listener):
    """Appends a JSON object for each trial to a file, and one for the result; each is there at once.

    Raises OSError where the file cannot be written, before the search begins.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._file: TextIO = open(path, "a", encoding="utf-8")  # noqa: SIM115 (closed when the search is over)

    def on_start(self, progress: Progress) -> None:
        self._write(event="start", workload=progress.task.workload.text, known=progress.trials, total=progress.total)

    def on_trial(self, record: Record, progress: Progress) -> None:
        self._write(
            event="trial", number=progress.trials, trial=record.trial, status=record.status, message=record.message,
            seconds=record.seconds, baseline_seconds=record.baseline_seconds, batch=record.batch,
            knobs=dict(record.knobs), build_seconds=record.build_seconds, measure_seconds=record.measure_seconds,
            best_seconds=progress.best_seconds, limit_fraction=progress.limit_fraction, elapsed=progress.elapsed,
        )  # fmt: skip

    def on_finish(self, result: TuneResult) -> None:
        self._write(
            event="finish", seconds=result.seconds, source=result.source, stopped=result.stopped, trials=result.trials,
            failed=result.failed, limit=result.limit, limit_fraction=result.limit_fraction, elapsed=result.elapsed,
        )  # fmt: skip
        self._file.close()

    def _write(self, **values: Any) -> None:
        kept = {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in values.items()}
        self._file.write(json.dumps(kept) + "\n")
        self._file.flush()


class Curve(Listener):
    """The times of this run's trials. In a notebook it is drawn when the search begins and redrawn as it goes on."""

    EVERY_SECONDS = 1.0  # between drawings

    def __init__(self) -> None:
        self.times: list[float | None] = []
        self.limit_seconds: float | None = None
        self._handle: Any = None
        self._next = 0.0

    def on_start(self, progress: Progress) -> None:
        notebook = sys.modules.get("IPython")  # there is one only where it is loaded already
        shell = notebook.get_ipython() if notebook else None
        if shell is not None and shell.__class__.__name__ == "ZMQInteractiveShell":
            self._handle = sys.modules["IPython.display"].display(self, display_id=True)

    def on_trial(self, record: Record, progress: Progress) -> None:
        self.times.append(record.seconds if record.status == "ok" else None)
        self.limit_seconds = progress.limit_seconds
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self.EVERY_SECONDS
            self._draw()

    def on_finish(self, result: TuneResult) -> None:
        self._draw()

    def _draw(self) -> None:
        if self._handle is not None:
            self._handle.update(self)

    def _repr_html_(self) -> str:
        """The curve; a sentence before the first trial that worked."""
        return html.fragment(curve(self.times, self.limit_seconds) or "no trial has worked yet")
