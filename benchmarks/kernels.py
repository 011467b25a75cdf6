"""Kernels of this project and of its peers, side by side: ``python benchmarks/kernels.py --set spine``.

Every workload is tuned (``--trials`` in all, resumed from ``--db``), then its winner and the peers are timed in
interleaved rounds in one process, with a peak probe in every round, since clocks drift. The ratio is the best peer's
time over ours: above 1 means that this project is faster. All outputs are compared with float64.

What counts as constant: a convolution's weights are, for everyone (packed ahead of time by whoever packs). A matmul's
operands are not, unless the workload says ``b constant``. A workload that says ``direct`` keeps to the operator's own
definition; others may take another, such as Winograd's, whose fraction of the peak counts what it executes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

import autotune as at
from autotune.measure.bench import Clock
from autotune.targets.host import native_target
from autotune.targets.llvm.probe import host_instruments
from autotune.tensor_expr.algorithms import executed_flops
from autotune.tensor_expr.workload import Workload

SETS: dict[str, tuple[tuple[str, Callable[[], Workload]], ...]] = {
    "spine": (
        ("matmul 1024^3", lambda: at.matmul(m=1024, n=1024, k=1024)),
        ("matmul 1024^3, b constant", lambda: at.matmul(m=1024, n=1024, k=1024, constant_b=True)),
        ("conv2d 128x28x28 3x3", lambda: at.conv2d()),
        # After the other: trials of all definitions count for a search among all.
        ("conv2d 128x28x28 3x3, direct", lambda: at.conv2d()),
    ),
    "more": (
        ("matmul 512^3", lambda: at.matmul(m=512, n=512, k=512)),
        ("conv2d 64x56x56 1x1", lambda: at.conv2d(in_channels=64, out_channels=64, height=56, width=56, kernel=1)),
        ("conv2d 64x56x56 3x3", lambda: at.conv2d(in_channels=64, out_channels=64, height=56, width=56)),
        ("conv2d 256x14x14 3x3", lambda: at.conv2d(in_channels=256, out_channels=256, height=14, width=14)),
        ("conv2d 512x7x7 3x3", lambda: at.conv2d(in_channels=512, out_channels=512, height=7, width=7)),
        (
            "depthwise 144x56x56 3x3",
            lambda: at.conv2d(in_channels=144, out_channels=144, groups=144, height=56, width=56),
        ),
    ),
}


@dataclass
class Contender:
    """Something that computes the workload; ``times`` are seconds per round."""

    name: str
    run: Callable[[], Any]
    output: Callable[[Any], np.ndarray]
    times: list[float] = field(default_factory=list)
    error: float = 0.0


def numpy_peers(workload: Workload, inputs: dict[str, np.ndarray]) -> list[Contender]:
    """NumPy's BLAS, for what it has."""
    if workload.operator != "matmul":
        return []
    a = inputs["a"].T if workload.params["transpose_a"] else inputs["a"]
    b = inputs["b"].T if workload.params["transpose_b"] else inputs["b"]
    out = np.empty((a.shape[0], b.shape[1]), a.dtype)
    return [Contender("numpy", lambda: np.matmul(a, b, out=out), lambda result: result)]


def torch_peers(workload: Workload, inputs: dict[str, np.ndarray], threads: int) -> list[Contender]:
    """PyTorch's oneDNN, in both memory formats."""
    try:
        import torch
    except ImportError:
        return []
    torch.set_num_threads(threads)
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    if workload.operator == "matmul":
        a = tensors["a"].T if workload.params["transpose_a"] else tensors["a"]
        b = tensors["b"].T if workload.params["transpose_b"] else tensors["b"]
        return [Contender("torch", lambda: torch.mm(a, b), lambda result: result.numpy())]

    def pair(name: str) -> tuple[int, ...]:
        return tuple(int(part) for part in str(workload.params[name]).split(","))

    top, left, bottom, right = pair("padding")
    x = (
        torch.nn.functional.pad(tensors["x"], (left, right, top, bottom))
        if (top, left) != (bottom, right)
        else tensors["x"]
    )
    padding = (top, left) if (top, left) == (bottom, right) else (0, 0)
    options = {
        "stride": pair("stride"),
        "padding": padding,
        "dilation": pair("dilation"),
        "groups": workload.params["groups"],
    }

    def contender(name: str, image: Any, weights: Any) -> Contender:
        return Contender(
            name, lambda: torch.nn.functional.conv2d(image, weights, **options), lambda r: r.contiguous().numpy()
        )

    nhwc = torch.channels_last
    return [
        contender("torch", x, tensors["w"]),
        contender("torch channels_last", x.contiguous(memory_format=nhwc), tensors["w"].contiguous(memory_format=nhwc)),
    ]


def onnxruntime_peers(workload: Workload, inputs: dict[str, np.ndarray], threads: int) -> list[Contender]:
    """ONNX Runtime, constants as initializers so that it packs them ahead of time."""
    try:
        import onnx
        import onnxruntime
    except ImportError:
        return []
    if workload.operator == "matmul" and (workload.params["transpose_a"] or workload.params["transpose_b"]):
        return []
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    constant = {t.name for t in workload.placeholders if t.constant}
    names = list(inputs)
    attributes: dict[str, Any] = {}
    if workload.operator == "conv2d":
        for ours, theirs in (("stride", "strides"), ("padding", "pads"), ("dilation", "dilations")):
            attributes[theirs] = [int(part) for part in str(workload.params[ours]).split(",")]
        attributes["group"] = workload.params["groups"]
    node = helper.make_node("Conv" if workload.operator == "conv2d" else "MatMul", names, ["y"], **attributes)
    tensor = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [node], "g",
        [helper.make_tensor_value_info(n, tensor, inputs[n].shape) for n in names if n not in constant],
        [helper.make_tensor_value_info("y", tensor, workload.output.shape)],
        [numpy_helper.from_array(inputs[n], n) for n in names if n in constant],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {n: inputs[n] for n in names if n not in constant}
    return [Contender("onnxruntime", lambda: session.run(None, feed)[0], lambda result: result)]


def compare(
    name: str, workload: Workload, trials: int, rounds: int, threads: int, db: Path, clock: Clock
) -> dict[str, Any]:
    """Tune one workload, then time everything in interleaved rounds."""
    algorithms = ("direct",) if name.endswith(", direct") else None
    result = at.tune(workload, trials=trials, threads=threads, database=db, algorithms=algorithms)
    kernel = result.build()
    inputs = workload.random_inputs(1)
    bound = kernel.bind(**{t.name: inputs[t.name] for t in workload.placeholders if t.constant})
    arguments = [inputs[argument] for argument in bound.inputs]
    out = bound(*arguments)
    contenders = [Contender("autotune", lambda: bound(*arguments, out=out), lambda r: r)]
    contenders += numpy_peers(workload, inputs) + torch_peers(workload, inputs, threads)
    contenders += onnxruntime_peers(workload, inputs, threads)
    reference = workload.compute_reference(inputs)
    scale = np.abs(reference).max()
    for contender in contenders:
        for _ in range(3):
            value = contender.run()
        contender.error = float(np.abs(contender.output(value) - reference).max() / scale)
    peaks: list[float] = []
    number = max(1, int(2e-3 / max(result.seconds or 1e-3, 1e-6)))
    for turn in range(rounds):
        for contender in contenders if turn % 2 == 0 else reversed(contenders):
            contender.run()  # what ran before has left its own data in the caches
            if contender is contenders[0]:
                peaks.append(clock.peak())
            began = time.perf_counter()
            for _ in range(number):
                contender.run()
            contender.times.append((time.perf_counter() - began) / number)
    ours, *peers = contenders
    # The clock jumps between rounds: each of our times is set against the probe beside it.
    peak = float(np.median(np.multiply(ours.times, peaks)) / np.median(ours.times)) * threads
    best = min(peers, key=lambda c: np.median(c.times))
    return {
        "workload": name, "text": workload.text, "trials": result.trials, "threads": threads,
        "trials_per_second": result.trials_per_second, "tuning_seconds": result.elapsed,
        "time_spent": dict(result.time_spent),
        "seconds": {c.name: {"min": min(c.times), "median": float(np.median(c.times))} for c in contenders},
        "error": {c.name: c.error for c in contenders}, "peak_gflops": peak / 1e9,
        "algorithm": result.schedule.algorithm,
        "peak_fraction": executed_flops(workload, result.schedule.algorithm) / float(np.median(ours.times)) / peak,
        "nominal_fraction": workload.flops / float(np.median(ours.times)) / peak, "best_peer": best.name,
        "ratio_median": float(np.median(best.times) / np.median(ours.times)),
        "ratio_min": min(best.times) / min(ours.times),
    }  # fmt: skip


def show(rows: list[dict[str, Any]]) -> None:
    """The table of all workloads."""
    table = Table(title="microseconds (median of interleaved rounds); ratio = best peer / autotune")
    for column in (
        "workload",
        "autotune",
        "% of peak",
        "best peer",
        "its time",
        "ratio",
        "ratio of minima",
        "max error",
        "others",
    ):
        table.add_column(column)
    for row in rows:
        seconds = row["seconds"]
        others = ", ".join(
            f"{n} {v['median'] * 1e6:.0f}" for n, v in seconds.items() if n not in ("autotune", row["best_peer"])
        )
        table.add_row(
            f"{row['workload']} ({row['algorithm']})", f"{seconds['autotune']['median'] * 1e6:.0f}",
            f"{row['peak_fraction']:.1%}",
            row["best_peer"],
            f"{seconds[row['best_peer']]['median'] * 1e6:.0f}", f"{row['ratio_median']:.2f}", f"{row['ratio_min']:.2f}",
            f"{row['error']['autotune']:.1e}", others,
        )  # fmt: skip
    mean = float(np.exp(np.mean([np.log(row["ratio_median"]) for row in rows])))
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)
    console.print(f"geometric mean of the ratios: {mean:.2f}; peak probe {rows[-1]['peak_gflops']:.0f} GFLOP/s")


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """A picture of every contender's speed as a fraction of the peak that was probed beside it."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(name for row in rows for name in row["seconds"]))
    figure, axes = pyplot.subplots(figsize=(9, 0.9 + 0.24 * sum(len(row["seconds"]) + 1 for row in rows)))
    position, ticks = 0.0, []
    for row in rows:
        own = row["seconds"]["autotune"]["median"]
        for name in row["seconds"]:
            fraction = row["nominal_fraction"] * own / row["seconds"][name]["median"]
            axes.barh(position, fraction, color=f"C{names.index(name)}")
            label = f"{name} ({row['algorithm']})" if name == "autotune" and row["algorithm"] != "direct" else name
            axes.text(fraction + 0.005, position, f"{label} {fraction:.0%}", va="center", fontsize=8)
            position += 1
        ticks.append((position - 1 - (len(row["seconds"]) - 1) / 2, row["workload"]))
        position += 1
    axes.set_yticks([place for place, _ in ticks], [label for _, label in ticks])
    axes.set_xlabel(
        f"nominal speed, fraction of the interleaved FMA peak probe ({rows[-1]['peak_gflops']:.0f} GFLOP/s)"
    )
    axes.invert_yaxis()
    axes.margins(x=0.2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)


@click.command()
@click.option("--set", "name", type=click.Choice([*SETS]), default="spine")
@click.option("--only", default="", help="workloads whose name contains this")
@click.option("--trials", default=300)
@click.option("--rounds", default=25)
@click.option("--threads", default=1)
@click.option("--db", type=click.Path(path_type=Path), default=Path("benchmarks.db"))
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="also draw a picture (SVG or PNG)")
@click.option("--json", "as_json", is_flag=True, help="one JSON array on stdout instead of the table")
def main(
    name: str, only: str, trials: int, rounds: int, threads: int, db: Path, picture: Path | None, as_json: bool
) -> None:
    """Tune and compare a set of workloads."""
    clock = Clock(host_instruments(native_target().vector_bytes))
    rows = [compare(label, make(), trials, rounds, threads, db, clock) for label, make in SETS[name] if only in label]
    if picture is not None:
        plot(rows, picture)
    if as_json:
        json.dump(rows, sys.stdout, indent=1)
    else:
        show(rows)


if __name__ == "__main__":
    # BLAS libraries read these when they are loaded, so a process of its own must start with them.
    if "OPENBLAS_NUM_THREADS" not in os.environ:
        threads = sys.argv[sys.argv.index("--threads") + 1] if "--threads" in sys.argv else "1"
        limits = {name: threads for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **limits})
    main()
