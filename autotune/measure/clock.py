"""Kernels ready to run, and the clock that times them beside a baseline."""

from __future__ import annotations

import ctypes
import math
import resource
import time
from collections.abc import Sequence

import numpy as np

from autotune.targets.artifact import KernelObject
from autotune.targets.callable import address_of, aligned_empty
from autotune.targets.instruments import Instruments, MemoryProbe, Probe
from autotune.targets.loader import LoadedObject
from autotune.targets.runtime import runtime_table

_PROBE_SECONDS = 1e-4
_PROBE_SAMPLES = 2
_UNDISTURBED_ATTEMPTS = 4
_WHO = getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF)


class Run:
    """A loaded kernel with its arguments, ready to be called. ``inputs`` are kept alive as long as it is.

    ``regions`` are the addresses and sizes in bytes of all the memory that it reads and writes.
    """

    def __init__(
        self, kernel: KernelObject, pointers: Sequence[int], inputs: Sequence[np.ndarray],
        regions: Sequence[tuple[int, int]] = (),
    ) -> None:  # fmt: skip
        self._loaded = LoadedObject(kernel.code)
        self._inputs = inputs
        self.regions = regions
        self.parameters, self.algorithm = kernel.parameters, kernel.algorithm
        self._runtime = runtime_table(kernel.threads)
        runtime = ctypes.addressof(self._runtime) if self._runtime is not None else 0
        self._block = (ctypes.c_void_p * (len(pointers) + 1))(*pointers, runtime)
        self.entry = self._loaded.address(kernel.entry)
        self.arguments = ctypes.addressof(self._block)


class Clock:
    """Times runs outside Python, and the baselines beside them.

    The baseline of a compute-bound task is the peak probe doing the task's ``flops`` on ``threads`` cores at once; that
    of a memory-bound one reads and writes as many bytes as the task has, ``cold`` or not like the kernels. Both are
    limits: no kernel can be faster.
    """

    def __init__(self, instruments: Instruments, flops: int = 0, threads: int = 1, cold: bool = False) -> None:
        self._timer_object, self._flush_object = LoadedObject(instruments.timer), LoadedObject(instruments.flush)
        void_p, int64 = ctypes.c_void_p, ctypes.c_int64
        prototype = ctypes.CFUNCTYPE(None, void_p, void_p, int64, int64, void_p, void_p, ctypes.c_int)
        self._time_kernel = prototype(self._timer_object.address("time_kernel"))
        self._flush = ctypes.CFUNCTYPE(None, void_p, int64)(self._flush_object.address("flush"))
        self._clock_gettime = ctypes.cast(ctypes.CDLL(None).clock_gettime, void_p)
        self._elapsed = int64()
        self._elapsed_at = ctypes.addressof(self._elapsed)
        self._work = max(flops, 1) / threads
        self._set_up_peak(instruments.probe)
        self._cold = cold
        self._stream = _stream(instruments.memory) if instruments.memory else None
        if instruments.memory and self._stream:
            self._scale = instruments.memory.scale / threads
            seconds = min(self.sample(self._stream, 1) for _ in range(2))
            self._streams = max(1, math.ceil(_PROBE_SECONDS / seconds))

    def _set_up_peak(self, probe: Probe) -> None:
        self._iterations = ctypes.c_int64(1)
        self._data = aligned_empty((probe.data_bytes,), np.dtype(np.uint8))
        self._data.fill(0)
        self._probe = Run(
            KernelObject(probe.code, "fma_probe", (), 0),
            [address_of(self._data), ctypes.addressof(self._iterations)], [self._data],
        )  # fmt: skip
        while (seconds := self.sample(self._probe, 1)) < _PROBE_SECONDS / 2:
            self._iterations.value *= 2
        self._iterations.value = math.ceil(self._iterations.value * _PROBE_SECONDS / seconds)
        self._probe_flops = probe.flops_per_iteration * self._iterations.value

    @property
    def streams(self) -> bool:
        """Whether the baseline is one of memory, which leaves its own data in the caches."""
        return self._stream is not None

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

    def sample_cold(self, run: Run) -> float:
        """Seconds of one run whose memory is in no cache."""
        for address, size in run.regions:
            self._flush(address, size)
        return self.sample(run, 1)

    def peak(self, samples: int = _PROBE_SAMPLES) -> float:
        """FLOP/s that this core reaches now: the best of a few readings."""
        return self._probe_flops / min(self.sample(self._probe, 1) for _ in range(samples))

    def baseline(self, samples: int = _PROBE_SAMPLES) -> float:
        """Seconds that the baseline takes now: the best of a few readings."""
        if self._stream is None:
            return self._work / self.peak(samples)
        if self._cold:
            return min(self.sample_cold(self._stream) for _ in range(samples)) * self._scale
        self.sample(self._stream, 1)  # the kernel before it has left its own data in the caches
        return min(self.sample(self._stream, self._streams) for _ in range(samples)) * self._scale


def _stream(probe: MemoryProbe) -> Run:
    read, written = (aligned_empty((max(size, 64),), np.dtype(np.uint8)) for size in (probe.read, probe.written))
    read.fill(0)
    written.fill(0)
    kernel = KernelObject(probe.code, "memory_probe", (), 0)
    regions = [(address_of(array), array.nbytes) for array in (read, written)]
    return Run(kernel, [address for address, _ in regions], [read, written], regions)


def _preemptions() -> int:
    """How often the system has taken the core from this thread."""
    return resource.getrusage(_WHO).ru_nivcsw
