"""A task made ready for measuring: inputs and reference on disk, builders and a measuring worker on their cores."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from autotune.cost_model.roofline import roof
from autotune.measure.builders import BuilderPool
from autotune.measure.cores import kept_off, plan_cores
from autotune.measure.local import LocalMeasurer
from autotune.measure.process import wait_any
from autotune.measure.results import Bar, Measurer, MeasureResult, MeasureTask, write_arrays
from autotune.measure.scratch import scratch_folder
from autotune.schedules.schedule import Schedule
from autotune.search.options import TuneOptions
from autotune.search.task import TuningTask
from autotune.targets.artifact import KernelObject, Parameter
from autotune.targets.llvm.build import target_to_json
from autotune.targets.llvm.probe import host_instruments
from autotune.tensor_expr.algorithms import DIRECT, Alternative, alternatives
from autotune.tensor_expr.serialize import to_json
from autotune.tensor_expr.workload import Workload

# Of max |error| / max |reference|; integers must be exact.
TOLERANCE = {"float16": 4e-3, "bfloat16": 3e-2, "float32": 1e-4, "float64": 1e-10}
# The share of it that an algorithm may use whose error is that of the direct definition; others in proportion to their
# stated factor, up to all of it. For float32 that is 1e-5, and 1e-4 for Winograd's F(4x4, 3x3).
PLAIN_SHARE = 0.1


def _tolerances(workload: Workload, error_factor: float) -> tuple[float, ...]:
    """For each output, what an algorithm may err that errs so many times as much as the direct definition."""
    share = min(1.0, PLAIN_SHARE * error_factor)
    return tuple(share * TOLERANCE.get(part.dtype, 0.0) for part in workload.output.components)


@dataclass(frozen=True, slots=True)
class Workbench:
    """Where candidates of one task are built and measured; without ``overlap``, in turns."""

    task: TuningTask
    builders: BuilderPool
    measurer: Measurer
    overlap: bool
    definitions: Mapping[str, dict[str, Any]]
    check: bool = False  # verify what is built

    def request(self, schedule: Schedule, knobs: Mapping[str, int]) -> dict[str, Any]:
        """What a builder needs for a candidate: a sketch and its knobs' values."""
        return {
            "definition": self.definitions[schedule.algorithm], "schedule": schedule.to_json(), "knobs": dict(knobs),
            "target": target_to_json(self.task.target), "threads": self.task.threads,
            "check": self.check,
        }  # fmt: skip

    def measure(self, kernel: KernelObject) -> MeasureResult:
        """Measure one kernel alone and wait for its result."""
        self.measurer.submit("alone", kernel)
        while not (results := self.measurer.poll()):
            wait_any([self.measurer])
        return results[0][1]

    def build(self, schedules: list[Schedule]) -> list[KernelObject | None]:
        """Build some schedules whose knobs are set and wait for them; None for those that fail."""
        for number, schedule in enumerate(schedules):
            self.builders.submit(("again", number), self.request(schedule, {}))
        kernels: list[KernelObject | None] = [None] * len(schedules)
        while self.builders.pending:
            for built in self.builders.poll():
                assert isinstance(built.ident, tuple)
                kernels[built.ident[1]] = built.kernel
            if self.builders.pending:
                wait_any([self.builders])
        return kernels


@contextmanager
def open_workbench(task: TuningTask, options: TuneOptions) -> Iterator[Workbench]:
    """A workbench on this machine, whose processes and files go when the context ends."""
    with open_builders({task.threads}, options) as builders, share_workbench(task, options, builders) as bench:
        yield bench


@dataclass(frozen=True, slots=True)
class Builders:
    """Builders for tasks of some numbers of threads, the cores on which each of these is measured, and whether the
    builders leave those alone."""

    pool: BuilderPool
    measuring: Mapping[int, tuple[int, ...]]
    overlap: bool


@contextmanager
def open_builders(threads: Collection[int], options: TuneOptions) -> Iterator[Builders]:
    """Builders on the cores that kernels of any of these numbers of threads leave over; the driver keeps to them, too,
    until the context ends."""
    cores = plan_cores(max(threads))
    measuring = {number: plan_cores(number).measuring for number in threads}
    with BuilderPool(replace(options.build, workers=cores.builders, cores=cores.building)) as pool:
        pool.start()  # they import while the reference is computed
        with kept_off(cores.measuring):
            yield Builders(pool, measuring, cores.overlap)


@contextmanager
def share_workbench(task: TuningTask, options: TuneOptions, builders: Builders) -> Iterator[Workbench]:
    """A workbench with the builders of several tasks."""
    measure = replace(options.measure, cache=task.cache)
    with scratch_folder() as folder:
        known = alternatives(task.workload)
        measure_task = _measure_task(task, options.seed, folder, known)
        with LocalMeasurer(measure_task, measure, cores=builders.measuring[task.threads]) as measurer:
            measurer.start()
            definitions = {DIRECT: task.workload.output, **{name: one.output for name, one in known.items()}}
            texts = {name: to_json(output) for name, output in definitions.items()}
            yield Workbench(task, builders.pool, measurer, builders.overlap, texts, options.check)


def _measure_task(task: TuningTask, seed: int, folder: Path, known: Mapping[str, Alternative]) -> MeasureTask:
    """What all candidates have in common, with inputs and references in the folder."""
    workload = task.workload
    inputs = workload.random_inputs(seed)
    outputs = workload.output.components
    references = [
        array.astype(part.dtype) for array, part in zip(workload.compute_references(inputs), outputs, strict=True)
    ]
    parameters = (
        *(Parameter(t.name, t.shape, t.dtype, "constant" if t.constant else "input") for t in workload.placeholders),
        *(Parameter(part.name, part.shape, part.dtype, "output") for part in outputs),
    )
    write_arrays(folder, parameters, [*inputs.values(), *references])
    dtype = "float64" if workload.output.dtype == "float64" else "float32"  # what the peak is read in
    limit = roof(workload, task.target)
    moved = (limit.read, limit.written) if limit.kind == "memory" else None
    return MeasureTask(
        parameters, folder, _tolerances(workload, 1.0 if known else math.inf), workload.flops,
        host_instruments(task.target.vector_bytes, dtype, moved), task.threads,
        {name: Bar(one.flops, _tolerances(workload, one.error_factor)) for name, one in known.items()}, limit.floor,
    )  # fmt: skip
