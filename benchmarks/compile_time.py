"""Where the time of building one kernel goes: ``python benchmarks/compile_time.py [--json]``.

Each step's median CPU time for a 3x3 convolution whose inner loop holds a growing number of multiply-adds, then over
random candidates of the search space of ``autotune conv2d``.
"""

from __future__ import annotations

import json
import statistics
import time

import click
import llvmlite.binding as llvm
import numpy as np
from rich.console import Console
from rich.table import Table

from autotune.lowering.pipeline import lower
from autotune.schedules.primitives import Knob
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.search.space import SearchSpace
from autotune.targets.host import native_target
from autotune.targets.llvm.build import machine
from autotune.targets.llvm.generate import generate
from autotune.tensor_expr.operators import get_operator

DEPTHS = (4, 8, 16, 21)  # input channels in the body, each of 28 multiply-adds
CHANNELS = 336  # all depths divide it, so that no second body computes a rest


def sketch(lanes: int) -> Schedule:
    """A register tile of 14 rows and two vectors, the input channels unrolled by a knob."""
    output = get_operator("conv2d")(in_channels=CHANNELS).output
    s = create_schedule(output).cache_write("conv").cache_read("conv.tile", "conv")
    s = s.transform_layout("w", [[0, 2 * lanes]], ["0.outer", "1", "2", "3", "0.inner"])
    s = s.split("conv", "o", [2 * lanes]).split("conv", "j", [14]).split("conv", "o.1", [4])
    s = s.reorder("conv", ["b", "o.0", "i", "j.0", "o.1.0", "o.1.1", "j.1"])
    s = s.unroll("conv", "o.1.1").vectorize("conv", "j.1")
    copy = "conv.tile.conv"
    s = s.compute_at(copy, "conv", "j.0").split(copy, "d1", [lanes]).reorder(copy, ["d0", "d2", "d3", "d1.0", "d1.1"])
    s = s.unroll(copy, "d3").unroll(copy, "d1.0").vectorize(copy, "d1.1").compute_at("conv.tile", "conv", "j.0")
    s = s.split("conv.tile", "o", [2, lanes]).split("conv.tile", "rc", [Knob("depth", DEPTHS)])
    s = s.reorder("conv.tile", ["b", "rc.0", "rh", "rw", "rc.1", "i", "j", "o.0", "o.1", "o.2"])
    for loop in ("j", "o.1", "rc.1"):
        s = s.unroll("conv.tile", loop)
    return s.vectorize("conv.tile", "o.2").compute_at("pad", "conv", "i").vectorize("pad", "z")


def candidates(count: int) -> list[tuple[Schedule, dict[str, int]]]:
    """Random legal candidates of the search space, and their knobs."""
    space = SearchSpace(get_operator("conv2d")().output, native_target(), 1)
    population = space.evaluate(space.sample(np.random.default_rng(0), 20 * count))
    rows = np.flatnonzero(population.legal)[:count]
    found = population.population
    return [(space.sketches[int(found.sketch[row])].schedule, space.knobs(found, int(row))) for row in rows]


def steps(template: Schedule, knobs: dict[str, int]) -> dict[str, float]:
    """Seconds of CPU time of every step of one build."""
    target, taken, marks = native_target(), {}, [time.process_time()]

    def mark(name: str) -> None:
        marks.append(time.process_time())
        taken[name] = marks[-1] - marks[-2]

    schedule = template.with_knobs(knobs)
    mark("knobs and replay")
    function = lower(schedule, target, observe=lambda name, *_: mark(name))
    generated = generate(function, target)
    mark("generate LLVM")
    module = llvm.parse_assembly(generated.text)
    mark("LLVM parse")
    machine(target).emit_object(module)
    mark("LLVM code generation")
    return taken


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """Milliseconds of every step, then of Python, of LLVM and of the whole build."""
    sums = {
        "Python": [sum(t for name, t in run.items() if not name.startswith("LLVM")) for run in runs],
        "LLVM": [sum(t for name, t in run.items() if name.startswith("LLVM")) for run in runs],
        "all": [sum(run.values()) for run in runs],
    }
    columns = {name: [run[name] for run in runs] for name in runs[0]} | sums
    return {name: statistics.median(values) * 1e3 for name, values in columns.items()}


@click.command()
@click.option("--repeat", default=15, show_default=True, help="Builds of each body size.")
@click.option("--candidates", "count", default=40, show_default=True, help="Random candidates of the search space.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def main(repeat: int, count: int, as_json: bool) -> None:
    """Print the medians, in milliseconds."""
    target = native_target()
    template = sketch(target.lanes(4))
    results: dict[str, dict[str, float]] = {}
    for depth in DEPTHS:
        runs = [steps(template, {"depth": depth}) for _ in range(repeat + 1)][1:]
        results[f"{14 * 2 * depth} FMAs"] = medians(runs)
    results["random candidates"] = medians([steps(*candidate) for candidate in candidates(count)])
    if as_json:
        print(json.dumps({"target": target.name, "milliseconds": results}))
        return
    table = Table("milliseconds (median)", *results)
    for name in results["random candidates"]:
        table.add_row(name, *(f"{column[name]:.2f}" for column in results.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
