"""What a measuring worker does with one task: loads kernels, checks their results and times them.

Kernels come from the search and may do anything; what they can break without a crash is checked here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autotune.measure.clock import Clock, Run
from autotune.measure.outputs import CheckedOutput, GuardedBuffer
from autotune.measure.sampling import Reading, Timer, sample_head_to_head, sample_trial
from autotune.targets.artifact import Ahead, KernelObject, Parameter
from autotune.targets.callable import address_of, aligned_copy
from autotune.targets.instruments import Instruments

_KEPT_BYTES = 512 << 20  # of inputs and packed constants kept for later kernels
_MARGIN = 1.05  # by which a kernel may seem to beat its limit, since readings are not exact
_DOUBT_SAMPLES = 100


class Bench:
    """A task's arrays and instruments in memory. Raises what NumPy and the loader raise for what is not there."""

    def __init__(self, header: Mapping[str, Any], instruments: Instruments) -> None:
        self._parameters = [Parameter.from_json(item) for item in header["parameters"]]
        own = {"flops": header["flops"], "tolerances": header["tolerances"]}
        self._bars: dict[str, Mapping[str, Any]] = {"direct": own, **header["alternatives"]}
        self._flops, self._threads, self._floor = header["flops"], header["threads"], header["floor"]
        self._options: Mapping[str, Any] = header["options"]
        folder = Path(header["directory"])
        # The format of the files knows no bfloat16, only its size.
        files = [
            np.load(folder / f"{index}.npy", mmap_mode="r").view(parameter.element)
            for index, parameter in enumerate(self._parameters)
        ]
        outputs = [parameter for parameter in self._parameters if parameter.role == "output"]  # the last ones
        inputs = len(self._parameters) - len(outputs)
        self._files = files[:inputs]
        self._arrays: dict[tuple[int, Any], np.ndarray] = {}  # by input and layout, latest use last
        self._made: dict[tuple[int, Ahead], np.ndarray] = {}  # the one that was used last
        self._workspace = GuardedBuffer()
        self._results = [CheckedOutput(*given) for given in zip(outputs, files[inputs:], strict=True)]
        self._clock = Clock(instruments, self._flops, self._threads, self._options["cache"] == "cold")

    def measure(self, kernel: KernelObject, best_ratio: float) -> dict[str, Any]:
        """Check and time one kernel; returns the report that ``result_from_reply`` reads."""
        parts: dict[str, float] = {}
        began = time.perf_counter()
        run = self._prepared([kernel])[0]
        began = _lap(parts, "load", began)
        report = self._checked(run)
        began = _lap(parts, "check", began)
        if report["status"] == "ok":
            reading = sample_trial(self._timer(run), self._clock.baseline, best_ratio, self._options)
            report |= self._verdict(run, reading)
            _lap(parts, "time", began)
        return report | {"parts": parts}

    def compare(self, kernels: Sequence[KernelObject], rounds: int) -> list[dict[str, Any]]:
        """Reports of kernels timed in interleaved rounds (``sample_head_to_head``)."""
        runs = self._prepared(kernels)
        reports = [self._checked(run) for run in runs]
        right = [index for index, report in enumerate(reports) if report["status"] == "ok"]
        if right:
            readings = sample_head_to_head(
                [self._timer(runs[index]) for index in right], self._clock.baseline, rounds,
                self._options["timeout_seconds"] / 2 * len(kernels), self._options,
            )  # fmt: skip
            for index, reading in zip(right, readings, strict=True):
                reports[index] |= self._verdict(runs[index], reading)
        return reports

    def _timer(self, run: Run) -> Timer:
        """How the kernel is timed: warm, after a run of its own where the baseline has used the caches, or cold."""
        if self._options["cache"] == "cold":
            return lambda number: self._clock.sample_cold(run)
        if not self._clock.streams:
            return lambda number: self._clock.sample(run, number)

        def warmed(number: int) -> float:
            self._clock.sample(run, 1)
            return self._clock.sample(run, number)

        return warmed

    def _prepared(self, kernels: Sequence[KernelObject]) -> list[Run]:
        """The kernels, ready to run in turns: they share one workspace, as large as the most demanding needs it."""
        workspace = self._workspace.reserve(max(kernel.workspace_bytes for kernel in kernels))
        stored = zip(*(kernel.parameters[len(self._files) :] for kernel in kernels), strict=True)
        outputs = [result.reserve(found) for result, found in zip(self._results, stored, strict=True)]
        written = [(address, result.size) for address, result in zip(outputs, self._results, strict=True)]
        runs = []
        for kernel in kernels:
            inputs = [self._input(index, item) for index, item in enumerate(kernel.parameters[: len(self._files)])]
            pointers = [*map(address_of, inputs), *outputs, workspace if kernel.workspace_bytes else 0]
            regions = [*written, *((address_of(array), array.nbytes) for array in inputs)]
            if kernel.workspace_bytes:
                regions.append((workspace, kernel.workspace_bytes))
            runs.append(Run(kernel, pointers, inputs, regions))
        return runs

    def _input(self, index: int, parameter: Parameter) -> np.ndarray:
        """An input as the kernel reads it: in memory of its own, in its layout."""
        form = parameter.layout, parameter.ahead
        array = self._arrays.pop((index, form), None)
        if array is None:
            plain = self._plain(index, parameter)
            while self._arrays and sum(kept.nbytes for kept in self._arrays.values()) + plain.nbytes > _KEPT_BYTES:
                del self._arrays[next(iter(self._arrays))]
            array = aligned_copy(plain if parameter.layout is None else parameter.layout.pack(plain))
        self._arrays[index, form] = array
        return array

    def _plain(self, index: int, parameter: Parameter) -> np.ndarray:
        """An input, or what is computed of it ahead, which takes long and is kept for other layouts of it."""
        plain = np.asarray(self._files[index])
        if parameter.ahead is None:
            return plain
        known = self._made.pop((index, parameter.ahead), None)
        known = parameter.ahead.of(plain) if known is None else known
        self._made = {(index, parameter.ahead): known}
        return known

    def _checked(self, run: Run) -> dict[str, Any]:
        """Run once over each poison; returns a report with the verdict."""
        error = math.nan
        tolerances = self._bars[run.algorithm]["tolerances"]
        for result, *expected in zip(self._results, run.parameters[len(self._files) :], tolerances, strict=True):
            result.begin(*expected)
        for turn in range(max(result.poisons for result in self._results)):
            for result in self._results:
                result.poison(turn)
            self._clock.sample(run, 1)
            found = [result.compare() for result in self._results]
            if self._workspace.damaged() or any(result.damaged() for result in self._results):
                return {"status": "wrong-result", "message": "it wrote outside its output", "tainted": True}
            error = max(error for error, _ in found)
            for wrong, problem in found:
                if problem:
                    return {"status": "wrong-result", "message": problem, "max_error": wrong}
        return {"status": "ok", "max_error": error, "verified": True}

    def _verdict(self, run: Run, reading: Reading) -> dict[str, Any]:
        """The figures, and whether they can be: no kernel is faster than the limit that the baseline is."""
        beside = self._flops > 0 and not self._clock.streams
        peak = self._flops / self._threads / reading.baseline if beside else self._clock.peak()
        report: dict[str, Any] = {"samples": reading.samples, "baseline": reading.baseline, "probe": peak}
        # The baseline is the own definition's; another algorithm may need fewer operations.
        floor = self._floor * (1.0 if self._clock.streams else self._bars[run.algorithm]["flops"] / max(self._flops, 1))
        if reading.ratio * _MARGIN < floor:
            # Or was each baseline disturbed so far? The best of many is not.
            limit = floor * self._clock.baseline(_DOUBT_SAMPLES)
            seconds = self._timer(run)(1)
            if seconds * _MARGIN < limit:
                report["status"] = "above-peak"
                report["message"] = (
                    f"it would have to take {seconds:.3g} s where the processor's peak allows no less than "
                    f"{limit:.3g} s: it does not do its work, or the clock is wrong"
                )
        return report


def _lap(parts: dict[str, float], name: str, began: float) -> float:
    """Note the seconds since ``began`` under ``name``; returns now."""
    now = time.perf_counter()
    parts[name] = now - began
    return now
