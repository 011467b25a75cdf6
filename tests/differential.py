"""Compile one program, run it and compare with NumPy, in a process that may crash: ``python tests/differential.py``.

As a script it reads one JSON request a line and answers one line each; ``--seconds N --seed S`` fuzzes instead, with a
worker that is started again after a crash.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from autotune.lowering.pipeline import lower
from autotune.lowering.printer import show
from autotune.schedules.schedule import Schedule
from autotune.targets.callable import Kernel
from autotune.targets.facts import TARGETS, Target
from autotune.targets.llvm.build import build
from autotune.targets.llvm.generate import generate
from autotune.tensor_expr import Tensor, Workload
from autotune.tensor_expr.dtypes import is_float
from autotune.tensor_expr.evaluate import evaluate_all
from autotune.tensor_expr.serialize import from_json, to_json

sys.path.insert(0, str(Path(__file__).parent))
from programs import RandomSource, draw_program

THREADS = 2
TOLERANCE = {"float16": 4e-3, "bfloat16": 3e-2}


def inputs_of(output: Tensor, seed: int) -> dict[str, np.ndarray]:
    """Inputs by name; floats are multiples of a quarter, on which float32 and float64 mostly agree exactly."""
    arrays = Workload(output).random_inputs(seed)
    return {
        name: (np.round(array * 8) / 4).astype(array.dtype) if is_float(array.dtype.name) else array
        for name, array in arrays.items()
    }


def poison(kernel: Kernel) -> tuple[np.ndarray, ...]:
    """Outputs filled with what no kernel computes."""
    outputs = [p for p in kernel.object.parameters if p.role == "output"]
    arrays = tuple(np.empty(parameter.shape, parameter.dtype) for parameter in outputs)
    for out in arrays:
        out[...] = np.nan if is_float(out.dtype.name) else 1 if out.dtype == bool else 77
    return arrays


def check_llvm(schedule: Schedule, target: Target) -> None:
    """Let LLVM verify the module: types, and definitions before uses."""
    llvm.parse_assembly(generate(lower(schedule, target, check=True), target, THREADS).text).verify()


def compare(schedule: Schedule, target: Target, seed: int = 0) -> str:
    """What is wrong with the compiled schedule; empty where it equals NumPy."""
    check_llvm(schedule, target)
    kernel = Kernel(build(schedule, target, THREADS))
    inputs = inputs_of(schedule.output, seed)
    out = poison(kernel)
    kernel(**inputs, out=out if len(out) > 1 else out[0])
    return "; ".join(filter(None, map(difference, out, evaluate_all(schedule.output, inputs))))


def difference(got: np.ndarray, expected: np.ndarray) -> str:
    """Where an array is not what it should be; empty where it is."""
    if is_float(got.dtype.name):
        got, tolerance = got.astype(np.float64), TOLERANCE.get(got.dtype.name, 1e-4)
        scale = max(1.0, float(np.max(np.abs(expected[np.isfinite(expected)]), initial=0)))
        near = np.isclose(got, expected, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
    else:
        near = got == expected
    wrong = np.argwhere(~near)
    if not len(wrong):
        return ""
    at = tuple(wrong[0])
    return f"{len(wrong)} of {near.size} elements wrong, first at {tuple(map(int, at))}: {got[at]} for {expected[at]}"


def answer(request: Mapping[str, Any]) -> str:
    schedule = Schedule.from_json(from_json(request["definition"]), request["schedule"])
    target = TARGETS[request["target"]]
    try:
        if not request["run"]:
            check_llvm(schedule, target)
            return "" if build(schedule, target, THREADS).code else "no code"
        return compare(schedule, target)
    except Exception as error:  # the caller shows it
        return f"{type(error).__name__}: {error}"


class Worker:
    """A process that answers requests, started again after a crash."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def ask(self, output: Tensor, schedule: Schedule, target: str, run: bool = True) -> str:
        if self.process is None:
            command = [sys.executable, __file__]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        request = {"definition": to_json(output), "schedule": schedule.to_json(), "target": target, "run": run}
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if line:
            return str(json.loads(line))
        status = self.process.wait()
        self.process = None
        return f"the process died with status {status}"

    def close(self) -> None:
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
            self.process.wait()


def report(output: Tensor, schedule: Schedule, target: str) -> str:
    """A program that people can read."""
    from autotune.lowering.printer import show_expr
    from autotune.tensor_expr.tensor import graph

    lines = [f"{t!r} = {', '.join(map(show_expr, t.bodies))}" for t in graph(output)]
    try:
        loops = show(lower(schedule, TARGETS[target]))
    except Exception as error:
        loops = f"lowering failed: {error!r}"
    return "\n".join([*lines, str(schedule), loops])


def fuzz(seconds: float, seed: int, stop_after: int) -> int:
    """Fuzz until the time is over or ``stop_after`` programs have failed; how many failed."""
    worker, began, count, failed = Worker(), time.monotonic(), 0, 0
    kinds: dict[str, int] = {}
    while time.monotonic() - began < seconds and failed < stop_after:
        source = RandomSource(seed + count)
        program = draw_program(source)
        count += 1
        if program is None:
            kinds["refused"] = kinds.get("refused", 0) + 1
            continue
        workload, schedule = program
        target = source.choice(
            ("x86_avx512", "x86_avx512", "x86_avx512", "x86_avx2", "x86_avx2", "x86_avx2", "arm_neon")
        )
        problem = worker.ask(workload.output, schedule, target, target != "arm_neon")
        kinds[target] = kinds.get(target, 0) + 1
        if problem:
            failed += 1
            print(f"--- seed {seed + count - 1} on {target}: {problem}", flush=True)
    worker.close()
    print(f"{count} programs ({kinds}), {failed} failed, {time.monotonic() - began:.0f} s", flush=True)
    return failed


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stop-after", type=int, default=20)
    parser.add_argument("--show", type=int, help="print the program of one seed")
    options = parser.parse_args()
    if options.show is not None:
        source = RandomSource(options.show)
        workload, schedule = draw_program(source)  # type: ignore[misc]
        target = source.choice(
            ("x86_avx512", "x86_avx512", "x86_avx512", "x86_avx2", "x86_avx2", "x86_avx2", "arm_neon")
        )
        print(target)
        print(report(workload.output, schedule, target), flush=True)
        print(compare(schedule, TARGETS[target]) if target != "arm_neon" else "")
    elif options.seconds:
        sys.exit(1 if fuzz(options.seconds, options.seed, options.stop_after) else 0)
    else:
        for line in sys.stdin:
            print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
