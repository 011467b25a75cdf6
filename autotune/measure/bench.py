"""What a measuring worker does with one task: loads kernels, checks their results and times them.

Kernels come from the search and may do anything; what they can break without a crash is checked here.
"""

from __future__ import annotations

import ctypes
import math
import resource
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from autotune.measure.check import Check
from autotune.targets.artifact import KernelObject, Parameter
from autotune.targets.callable import address_of, aligned_copy, aligned_empty
from autotune.targets.instruments import Instruments
from autotune.targets.loader import LoadedObject
from autotune.targets.runtime import runtime_table

_GUARD = 256  # bytes on both sides of what a kernel writes
_GUARD_BYTE = 0xA5
_KEPT_BYTES = 512 << 20  # of inputs and packed constants kept for later kernels
_PEAK_MARGIN = 1.15  # the clock may have been faster beside the kernel than beside any probe
_CANNOT_WIN = 1.05  # times the best: a kernel whose fastest sample is slower needs no more precision
_PROBE_SECONDS = 1e-4
_PROBE_SAMPLES = 3
_DOUBT_SAMPLES = 100
_UNDISTURBED_ATTEMPTS = 4
_RESTLESS, _MORE_ROUNDS = 1.1, 3
_WHO = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)


class Bench:
    """A task's arrays and instruments in memory. Raises what NumPy and the loader raise for what is not there."""

    def __init__(self, header: Mapping[str, Any], instruments: Instruments) -> None:
        self._parameters = [Parameter.from_json(item) for item in header["parameters"]]
        own = {"flops": header["flops"], "tolerances": header["tolerances"]}
        self._bars: dict[str, Mapping[str, Any]] = {"direct": own, **header["alternatives"]}
        self._threads = header["threads"]
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
        self._workspace = GuardedBuffer()
        self._results = [CheckedOutput(*given) for given in zip(outputs, files[inputs:], strict=True)]
        self._clock = Clock(instruments)

    def measure(self, kernel: KernelObject, best_seconds: float) -> dict[str, Any]:
        """Check and time one kernel; returns the report that ``result_from_reply`` reads."""
        parts: dict[str, float] = {}
        began = time.perf_counter()
        run = self._prepared([kernel])[0]
        began = _lap(parts, "load", began)
        seconds, report = self._checked(run)
        began = _lap(parts, "check", began)
        if report["status"] == "ok":
            before = self._clock.peak()
            samples = self._samples(run, seconds, best_seconds)
            report |= self._verdict(run, samples, statistics.mean((before, self._clock.peak())))
            _lap(parts, "time", began)
        return report | {"parts": parts}

    def compare(self, kernels: Sequence[KernelObject], rounds: int) -> list[dict[str, Any]]:
        """Reports of kernels timed in interleaved rounds, forwards and backwards in turn; one sample each a round.

        Each sample has a probe of the peak right beside it, since the clock may jump between rounds. Where the machine
        is restless there are more rounds.
        """
        runs = self._prepared(kernels)
        checks = [self._checked(run) for run in runs]
        right = [index for index, (_, report) in enumerate(checks) if report["status"] == "ok"]
        numbers = {index: self._number(self._clock.sample(runs[index], 1)) for index in right}
        samples: dict[int, list[float]] = {index: [] for index in right}
        peaks: dict[int, list[float]] = {index: [] for index in right}
        end = time.perf_counter() + self._options["timeout_seconds"] / 2 * len(kernels)
        turn = 0
        while right and (turn < rounds or (turn < _MORE_ROUNDS * rounds and _restless(samples.values()))):
            for index in right if turn % 2 == 0 else reversed(right):
                self._clock.sample(runs[index], 1)  # what ran before has left its own data in the caches
                peaks[index].append(self._clock.peak())
                samples[index].append(self._clock.sample(runs[index], numbers[index]))
            turn += 1
            if time.perf_counter() > end:
                break
        return [
            report
            | (
                self._verdict(runs[index], times, _peak_beside(times, peaks[index]))
                if (times := samples.get(index))
                else {}
            )
            for index, (_, report) in enumerate(checks)
        ]

    def _prepared(self, kernels: Sequence[KernelObject]) -> list[Run]:
        """The kernels, ready to run in turns: they share one workspace, as large as the most demanding needs it."""
        workspace = self._workspace.reserve(max(kernel.workspace_bytes for kernel in kernels))
        stored = zip(*(kernel.parameters[len(self._files) :] for kernel in kernels), strict=True)
        outputs = [result.reserve(found) for result, found in zip(self._results, stored, strict=True)]
        runs = []
        for kernel in kernels:
            inputs = [self._input(index, item) for index, item in enumerate(kernel.parameters[: len(self._files)])]
            pointers = [*map(address_of, inputs), *outputs, workspace if kernel.workspace_bytes else 0]
            runs.append(Run(kernel, pointers, inputs))
        return runs

    def _input(self, index: int, parameter: Parameter) -> np.ndarray:
        """An input as the kernel reads it: in memory of its own, in its layout."""
        layout = parameter.layout
        array = self._arrays.pop((index, layout), None)
        if array is None:
            plain = self._files[index]
            while self._arrays and sum(kept.nbytes for kept in self._arrays.values()) + plain.nbytes > _KEPT_BYTES:
                del self._arrays[next(iter(self._arrays))]
            array = aligned_copy(plain if layout is None else layout.pack(np.asarray(plain)))
        self._arrays[index, layout] = array
        return array

    def _checked(self, run: Run) -> tuple[float, dict[str, Any]]:
        """Run once over each poison; returns the seconds of the last run and a report with the verdict."""
        seconds, error = math.inf, math.nan
        tolerances = self._bars[run.algorithm]["tolerances"]
        for result, *expected in zip(self._results, run.parameters[len(self._files) :], tolerances, strict=True):
            result.begin(*expected)
        for turn in range(max(result.poisons for result in self._results)):
            for result in self._results:
                result.poison(turn)
            seconds = self._clock.sample(run, 1)
            found = [result.compare() for result in self._results]
            if self._workspace.damaged() or any(result.damaged() for result in self._results):
                return seconds, {"status": "wrong-result", "message": "it wrote outside its output", "tainted": True}
            error = max(error for error, _ in found)
            for wrong, problem in found:
                if problem:
                    return seconds, {"status": "wrong-result", "message": problem, "max_error": wrong}
        return seconds, {"status": "ok", "max_error": error, "verified": True}

    def _samples(self, run: Run, first: float, best_seconds: float) -> list[float]:
        """Seconds per run. ``first`` is what the first run took, cold.

        What is hopeless is stopped early, but only after it was slow twice while warm: one sample may have shared its
        core with something else.
        """
        options = self._options
        limit = options["race_factor"] * best_seconds
        once = self._clock.sample(run, 1)
        number = self._number(min(first, once))
        samples = [once if number == 1 else self._clock.sample(run, number)]
        spent = samples[0] * number
        while len(samples) < options["max_samples"] and spent < options["max_seconds"]:
            if len(samples) >= 2 and min(samples) > limit:
                break
            if len(samples) >= options["min_samples"]:
                tight = max(samples) - min(samples) <= options["spread"] * statistics.median(samples)
                if tight or min(samples) > _CANNOT_WIN * best_seconds:
                    break
            samples.append(self._clock.sample(run, number))
            spent += samples[-1] * number
        return samples

    def _number(self, seconds: float) -> int:
        """How many runs make a sample long enough."""
        return max(1, math.ceil(self._options["min_sample_seconds"] / max(seconds, 1e-9)))

    def _verdict(self, run: Run, samples: Sequence[float], peak: float) -> dict[str, Any]:
        report: dict[str, Any] = {"samples": list(samples), "probe": peak}
        reached = self._bars[run.algorithm]["flops"] / statistics.median(samples)
        if reached > _PEAK_MARGIN * self._clock.best_peak * self._threads:
            self._clock.peak(_DOUBT_SAMPLES)  # or was the probe disturbed, each time so far?
        possible = self._clock.best_peak * self._threads
        if reached > _PEAK_MARGIN * possible:
            report["status"] = "above-peak"
            report["message"] = (
                f"it would have to reach {reached / 1e9:.0f} GFLOP/s where the processor's peak is "
                f"{possible / 1e9:.0f}: it does not do its work, or the clock is wrong"
            )
        return report


class Run:
    """A loaded kernel with its arguments, ready to be called. ``inputs`` are kept alive as long as it is."""

    def __init__(self, kernel: KernelObject, pointers: Sequence[int], inputs: Sequence[np.ndarray]) -> None:
        self._loaded = LoadedObject(kernel.code)
        self._inputs = inputs
        self.parameters, self.algorithm = kernel.parameters, kernel.algorithm
        self._runtime = runtime_table(kernel.threads)
        runtime = ctypes.addressof(self._runtime) if self._runtime is not None else 0
        self._block = (ctypes.c_void_p * (len(pointers) + 1))(*pointers, runtime)
        self.entry = self._loaded.address(kernel.entry)
        self.arguments = ctypes.addressof(self._block)


class Clock:
    """Times runs outside Python, and reads the peak of one core with the FMA probe."""

    def __init__(self, instruments: Instruments) -> None:
        self._timer_object = LoadedObject(instruments.timer)
        void_p, int64 = ctypes.c_void_p, ctypes.c_int64
        prototype = ctypes.CFUNCTYPE(None, void_p, void_p, int64, int64, void_p, void_p, ctypes.c_int)
        self._time_kernel = prototype(self._timer_object.address("time_kernel"))
        self._clock_gettime = ctypes.cast(ctypes.CDLL(None).clock_gettime, void_p)
        self._elapsed = int64()
        self._elapsed_at = ctypes.addressof(self._elapsed)

        probe = instruments.probe
        self._iterations = int64(1)
        self._data = aligned_empty((probe.data_bytes,), np.dtype(np.uint8))
        self._data.fill(0)
        self._probe = Run(
            KernelObject(probe.code, "fma_probe", (), 0),
            [address_of(self._data), ctypes.addressof(self._iterations)], [self._data],
        )  # fmt: skip
        self._probe_flops = probe.flops_per_iteration
        self.best_peak = 0.0
        while (seconds := self.sample(self._probe, 1)) < _PROBE_SECONDS / 2:
            self._iterations.value *= 2
        self._iterations.value = math.ceil(self._iterations.value * _PROBE_SECONDS / seconds)

    def sample(self, run: Run, number: int) -> float:
        """Seconds per run of ``number`` runs in a row.

        Where the system gave the core to something else meanwhile, that is no time of the kernel's: the sample is taken
        again, and the shortest of a few stands where every one is disturbed.
        """
        shortest = math.inf
        for _ in range(_UNDISTURBED_ATTEMPTS):
            before = _preemptions()
            self._time_kernel(
                run.entry, run.arguments, number, 1, self._elapsed_at, self._clock_gettime, time.CLOCK_MONOTONIC
            )
            shortest = min(shortest, self._elapsed.value / number * 1e-9)
            if _preemptions() == before:
                break
        return shortest

    def peak(self, samples: int = _PROBE_SAMPLES) -> float:
        """FLOP/s that this core reaches now: the best of a few readings; the best ever is kept in ``best_peak``."""
        seconds = [self.sample(self._probe, 1) for _ in range(samples)]
        flops = self._probe_flops * self._iterations.value
        self.best_peak = max(self.best_peak, flops / min(seconds))
        return flops / min(seconds)


class GuardedBuffer:
    """Memory that kernels write to, with bytes on both sides that show when they write beyond it."""

    def __init__(self) -> None:
        self._memory = aligned_empty((2 * _GUARD,), np.dtype(np.uint8))
        self.reserve(0)

    def reserve(self, size: int) -> int:
        """The address of ``size`` bytes, aligned to a cache line; what was reserved before is given up."""
        if self._memory.size < size + 2 * _GUARD:
            self._memory = aligned_empty((size + 2 * _GUARD,), np.dtype(np.uint8))
            # Not zero, so that a kernel that counts on a clean workspace is caught: all ones are NaN and -1.
            self._memory.fill(0xFF)
        self._guards = (self._memory[:_GUARD], self._memory[_GUARD + size : 2 * _GUARD + size])
        for guard in self._guards:
            guard.fill(_GUARD_BYTE)
        return address_of(self._memory) + _GUARD

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """An array in this memory."""
        self.reserve(math.prod(shape) * dtype.itemsize)
        return np.ndarray(shape, dtype, self._memory, _GUARD)

    def damaged(self) -> bool:
        """Whether something wrote beyond the buffer."""
        return not all((guard == _GUARD_BYTE).all() for guard in self._guards)


class CheckedOutput:
    """One output of the kernels: guarded memory, and the reference that it is compared with.

    Kernels may write it in layouts of their own.
    """

    def __init__(self, parameter: Parameter, reference: np.ndarray) -> None:
        self._buffer = GuardedBuffer()
        self._check = Check(reference)
        self.begin(parameter, 0.0)
        self.poisons = len(self._check.poisons)

    def reserve(self, parameters: Iterable[Parameter]) -> int:
        """The address of memory that is enough for the output in any of these layouts."""
        size = max(math.prod(parameter.stored_shape) for parameter in parameters)
        return self._buffer.reserve(size * self._array.itemsize)

    def begin(self, parameter: Parameter, tolerance: float) -> None:
        """Expect the output in this layout, in memory that is guarded just there, with no larger an error."""
        self._parameter, self._tolerance = parameter, tolerance
        self._array = self._buffer.array(parameter.stored_shape, parameter.element)

    def poison(self, turn: int) -> None:
        """Fill the output with the poison of a turn."""
        self._check.poison(self._array, self._check.poisons[turn % self.poisons])

    def compare(self) -> tuple[float, str | None]:
        """The relative error, and a sentence about what is wrong or None."""
        if self._parameter.layout is None:
            return self._check.compare(self._array, self._tolerance)
        plain = np.empty(self._parameter.shape, self._array.dtype)
        self._parameter.layout.unpack(self._array, plain)
        return self._check.compare(plain, self._tolerance)

    def damaged(self) -> bool:
        """Whether something wrote beyond the output."""
        return self._buffer.damaged()


def _restless(samples: Iterable[Sequence[float]]) -> bool:
    """Whether even the steadiest kernel's median lies well above its shortest time."""
    return min(statistics.median(times) / min(times) for times in samples) > _RESTLESS


def _peak_beside(samples: Sequence[float], peaks: Sequence[float]) -> float:
    """The peak that the median time is to be compared with: what the peak did in each sample's time, by the median."""
    done = statistics.median(seconds * peak for seconds, peak in zip(samples, peaks, strict=True))
    return done / statistics.median(samples)


def _preemptions() -> int:
    """How often the system has taken the core from this thread."""
    return resource.getrusage(_WHO).ru_nivcsw


def _lap(parts: dict[str, float], name: str, began: float) -> float:
    """Note the seconds since ``began`` under ``name``; returns now."""
    now = time.perf_counter()
    parts[name] = now - began
    return now
