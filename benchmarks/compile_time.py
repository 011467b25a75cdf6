"""Where the time of building one kernel goes: ``python benchmarks/compile_time.py [--json]``.

Each step's median CPU time for a 3x3 convolution whose inner loop holds a growing number of multiply-adds.
"""

from __future__ import annotations

import json
import statistics
import time
from collections import defaultdict

import click
import llvmlite.binding as llvm
from rich.console import Console
from rich.table import Table

from autotune.lowering.pipeline import lower
from autotune.schedules.primitives import Knob
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.targets.host import native_target
from autotune.targets.llvm.build import machine
from autotune.targets.llvm.generate import generate
from autotune.tensor_expr.operators import get_operator


def sketch(lanes: int) -> Schedule:
    """A register tile of 14 rows and two vectors, the input channels unrolled by a knob."""
    s = create_schedule(get_operator("conv2d")().output).cache_write("conv")
    s = s.transform_layout("w", [[0, 2 * lanes]], ["0.outer", "1", "2", "3", "0.inner"])
    s = s.split("conv", "o", [2 * lanes]).split("conv", "j", [Knob("rows", (14, 7))])
    s = s.reorder("conv", ["b", "o.0", "i", "j.0", "o.1", "j.1"]).compute_at("conv.tile", "conv", "j.0")
    s = s.split("conv.tile", "o", [2, lanes]).split("conv.tile", "rc", [Knob("depth", (4, 2))])
    s = s.reorder("conv.tile", ["b", "rc.0", "rh", "rw", "rc.1", "i", "j", "o.0", "o.1", "o.2"])
    s = s.compute_at("pad", "conv", "i")
    for loop in ("j", "o.1", "rc.1"):
        s = s.unroll("conv.tile", loop)
    return s.vectorize("conv.tile", "o.2").unroll("conv", "o.1").vectorize("conv", "j.1").vectorize("pad", "z")


def steps(template: Schedule, depth: int) -> dict[str, float]:
    """Seconds of CPU time of every step of one build."""
    target, taken, marks = native_target(), {}, [time.process_time()]

    def mark(name: str) -> None:
        marks.append(time.process_time())
        taken[name] = marks[-1] - marks[-2]

    schedule = template.with_knobs({"rows": 14, "depth": depth})
    mark("knobs and replay")
    function = lower(schedule, target, observe=lambda name, *_: mark(name))
    generated = generate(function, target)
    mark("generate LLVM")
    module = llvm.parse_assembly(generated.text)
    mark("LLVM parse")
    machine(target).emit_object(module)
    mark("LLVM code generation")
    return taken


@click.command()
@click.option("--repeat", default=15, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def main(repeat: int, as_json: bool) -> None:
    """Print the medians, in milliseconds."""
    target = native_target()
    template = sketch(target.lanes(4))
    results: dict[str, dict[str, float]] = defaultdict(dict)
    for depth in (4, 8, 16):
        runs = [steps(template, depth) for _ in range(repeat + 1)][1:]
        column = f"{14 * 2 * depth} FMAs"
        for name in runs[0]:
            results[name][column] = statistics.median(run[name] for run in runs) * 1e3
        medians = {name: results[name][column] for name in runs[0]}
        results["Python"][column] = sum(value for name, value in medians.items() if not name.startswith("LLVM"))
        results["all"][column] = sum(medians.values())
    if as_json:
        print(json.dumps({"target": target.name, "milliseconds": results}))
        return
    table = Table("milliseconds (median)", *results["all"])
    for name, row in results.items():
        table.add_row(name, *(f"{value:.2f}" for value in row.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
