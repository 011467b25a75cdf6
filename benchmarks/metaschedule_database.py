"""TVM MetaSchedule's JSON database, run by an interpreter that has TVM: ``metaschedule_database.py make|ask FOLDER``.

``make`` reads FOLDER/records.jsonl (a line for each workload: a convolution's parameters and the samples of its working
records) and writes the two files by MetaSchedule's own classes. ``ask`` opens them, asks for the best of each
workload, and prints its figures as JSON.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import tvm
from tvm import te
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms

SKETCHES, LEVELS, REDUCTION_LEVELS = 6, 4, 2
RECORDS = "records.jsonl"
TARGET = tvm.target.Target({"kind": "llvm", "mcpu": "skylake-avx512", "num-cores": 2})


def convolution(params: dict[str, Any]) -> tvm.IRModule:
    """The convolution whose parameters these are, over an image that is padded already."""
    kernel, stride = (int(params[name].split(",")[0]) for name in ("kernel", "stride"))
    size, dtype = params["height"] + 2, params["dtype"]
    outputs = (size - kernel) // stride + 1
    x = te.placeholder((params["batch"], params["in_channels"], size, size), dtype, name="x")
    w = te.placeholder((params["out_channels"], params["in_channels"], kernel, kernel), dtype, name="w")
    c = te.reduce_axis((0, params["in_channels"]), "rc")
    i, j = te.reduce_axis((0, kernel), "ri"), te.reduce_axis((0, kernel), "rj")
    y = te.compute(
        (params["batch"], params["out_channels"], outputs, outputs),
        lambda b, o, h, v: te.sum(x[b, c, h * stride + i, v * stride + j] * w[o, c, i, j], axis=[c, i, j]),
        name="y",
    )
    return tvm.IRModule({"main": te.create_prim_func([x, w, y])})


def tiled(module: tvm.IRModule, seed: int) -> Schedule:
    """A multi-level tiling with random factors, as MetaSchedule's rule for CPUs makes them."""
    schedule = Schedule(module, seed=seed)
    block = schedule.get_sblock("y")
    parts = []
    for number, loop in enumerate(schedule.get_loops(block)):
        levels = LEVELS if number < 4 else REDUCTION_LEVELS
        parts.append(schedule.split(loop, schedule.sample_perfect_tile(loop, levels, max_innermost_factor=64)))
    own, over = parts[:4], parts[4:]
    order = [(own, 0), (own, 1), (over, 0), (own, 2), (over, 1), (own, 3)]
    schedule.reorder(*(part[level] for group, level in order for part in group))
    schedule.parallel(schedule.fuse(*(part[0] for part in own)))
    schedule.vectorize(own[-1][-1])
    return schedule


def workloads(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / RECORDS).open()]


def make(folder: Path) -> None:
    database = ms.database.JSONDatabase(work_dir=str(folder))
    with (folder / "database_tuning_record.json").open("w") as log:
        for number, one in enumerate(workloads(folder)):
            module = convolution(one["params"])
            workload = database.commit_workload(module)
            arguments = ms.arg_info.ArgInfo.from_prim_func(module["main"])
            kinds = []
            for seed in range(1, SKETCHES + 1):
                trace = tiled(module, seed).trace
                kinds.append(ms.database.TuningRecord(trace, workload, [1.0], TARGET, arguments).as_json())
            for position, samples in enumerate(one["samples"]):
                trace, _, *rest = kinds[position % SKETCHES]
                log.write(json.dumps([number, [trace, samples, *rest]]) + "\n")


def ask(folder: Path) -> dict[str, float]:
    modules = [convolution(one["params"]) for one in workloads(folder)]
    before = peak_mb()
    start = time.perf_counter()
    database = ms.database.JSONDatabase(work_dir=str(folder))
    opened = time.perf_counter() - start
    times = []
    for module in modules:
        start = time.perf_counter()
        assert database.query_tuning_record(module, TARGET, "main") is not None
        times.append(time.perf_counter() - start)
    files = sum(file.stat().st_size for file in folder.glob("database_*.json"))
    return {
        "open_ms": opened * 1e3, "exact_us": statistics.median(times) * 1e6, "file_mb": files / 1e6,
        "peak_mb": peak_mb(), "empty_mb": before,
    }  # fmt: skip


def peak_mb() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1e6 if sys.platform == "darwin" else 1e3)


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(Path(sys.argv[2]))
    else:
        print(json.dumps(ask(Path(sys.argv[2]))))
