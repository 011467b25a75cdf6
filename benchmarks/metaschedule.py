"""TVM MetaSchedule on one workload: ``python metaschedule.py PARAMS TRIALS SEED``, run by the interpreter that has TVM.

A worker of ``benchmarks/search.py``, which reads its lines of JSON: one for every measured trial (``trial``,
``elapsed`` seconds since the search began, ``seconds`` of the kernel or null), then ``{"best": ..}``. After that, every
line on its input runs the best kernels found with 64 trials and with all of them, and answers with the seconds of each.

One thread, the host's widest vectors, constant weights in whatever layout the search likes, as TVM's own network
tuning has it; otherwise its defaults.
"""

import json
import sys
import tempfile
import time

import numpy as np
import tvm
from tvm import te
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms


def matmul(m, n, k):
    """The product of two plain matrices."""
    a, b = te.placeholder((m, k), "float32", "a"), te.placeholder((k, n), "float32", "b")
    r = te.reduce_axis((0, k), "r")
    c = te.compute((m, n), lambda i, j: te.sum(a[i, r] * b[r, j], axis=r), "c")
    return te.create_prim_func([a, b, c])


def conv2d(in_channels, out_channels, height, width, kernel, groups=1):
    """A convolution of stride 1 that keeps the image's size; depthwise where there are as many groups as channels."""
    pad = kernel // 2
    x = te.placeholder((1, in_channels, height, width), "float32", "x")
    w = te.placeholder((out_channels, in_channels // groups, kernel, kernel), "float32", "w")
    inside = x
    if pad:
        inside = te.compute(
            (1, in_channels, height + 2 * pad, width + 2 * pad),
            lambda n, c, i, j: tvm.tirx.if_then_else(
                tvm.tirx.all(i >= pad, i < height + pad, j >= pad, j < width + pad), x[n, c, i - pad, j - pad], 0.0
            ),
            "padded",
        )
    rh, rw = te.reduce_axis((0, kernel), "rh"), te.reduce_axis((0, kernel), "rw")
    shape = (1, out_channels, height, width)
    if groups == 1:
        rc = te.reduce_axis((0, in_channels), "rc")
        body = lambda n, o, i, j: te.sum(inside[n, rc, i + rh, j + rw] * w[o, rc, rh, rw], axis=[rc, rh, rw])  # noqa: E731
    else:
        body = lambda n, o, i, j: te.sum(inside[n, o, i + rh, j + rw] * w[o, 0, rh, rw], axis=[rh, rw])  # noqa: E731
    function = te.create_prim_func([x, w, te.compute(shape, body, "y")])
    return function.with_attr("layout_free_buffers", [1])


def host() -> tvm.target.Target:
    """This machine by its flags: virtual machines misname their CPUs."""
    with open("/proc/cpuinfo") as lines:
        flags = next(set(line.split()) for line in lines if line.startswith("flags"))
    wide = {"avx512f", "avx512bw", "avx512vl", "avx512dq"} <= flags
    attributes = ["-prefer-256-bit"] if wide else []
    return tvm.target.Target(
        {"kind": "llvm", "mcpu": "skylake-avx512" if wide else "haswell", "mattr": attributes, "num-cores": 1}
    )


@derived_object
class Report(ms.measure_callback.PyMeasureCallback):
    """Prints every trial, and keeps the best candidates so far."""

    def __init__(self) -> None:
        super().__init__()
        self.began, self.trials = time.monotonic(), 0
        self.best, self.early = (float("inf"), None), (float("inf"), None)

    def apply(self, task_scheduler, task_id, measure_candidates, builder_results, runner_results) -> None:
        """Called with every batch."""
        elapsed = time.monotonic() - self.began
        for candidate, result in zip(measure_candidates, runner_results, strict=True):
            seconds = min(map(float, result.run_secs)) if result.run_secs else None
            self.trials += 1
            print(json.dumps({"trial": self.trials, "elapsed": elapsed, "seconds": seconds}), flush=True)
            if seconds is not None and seconds < self.best[0]:
                self.best = (seconds, candidate.sch.mod)
        if self.trials <= 64:
            self.early = self.best


def load(module, target):
    """A tuned module as a function of no arguments that runs it, on random data in the layouts it asks for."""
    module = tvm.s_tir.transform.RemoveWeightLayoutRewriteBlock(skip_tensor_rewrite=True)(module)
    main = module["main"]
    shapes = [tuple(int(d) for d in p.shape) for p in main.params]
    built = tvm.compile(module, target=target)
    arrays = [tvm.runtime.tensor(np.random.default_rng(0).random(shape, "float32")) for shape in shapes]
    return lambda: built["main"](*arrays)


def timed(run, least: float = 0.02) -> float:
    """Seconds of one run, the median of five groups of runs."""
    run()
    began = time.perf_counter()
    run()
    number = max(1, int(least / max(time.perf_counter() - began, 1e-7)))
    groups = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(number):
            run()
        groups.append((time.perf_counter() - began) / number)
    return float(np.median(groups))


def main() -> None:
    """Search, report, and serve."""
    params, trials, seed = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    function = {"matmul": matmul, "conv2d": conv2d}[params.pop("operator")](**params)
    target, report = host(), Report()
    with tempfile.TemporaryDirectory() as folder:
        ms.tune_tir(
            function, target, folder, trials, seed=seed, measure_callbacks=[*defaults(), report], num_tuning_cores=2,
            # Its workers parse the library's intrinsics as they start, which takes long on a slow machine.
            builder=ms.builder.LocalBuilder(timeout_sec=120),
        )  # fmt: skip
    print(json.dumps({"best": report.best[0], "elapsed": time.monotonic() - report.began}), flush=True)
    kernels = {
        name: load(module, target) for name, (_, module) in (("64", report.early), ("all", report.best)) if module
    }
    for _ in sys.stdin:
        print(json.dumps({name: timed(run) for name, run in kernels.items()}), flush=True)


def defaults():
    """What MetaSchedule does with results when not told otherwise."""
    return [ms.measure_callback.AddToDatabase(), ms.measure_callback.RemoveBuildArtifact(),
            ms.measure_callback.UpdateCostModel()]  # fmt: skip


if __name__ == "__main__":
    main()
