"""What the search reads off a population of knobs, against the loops that its candidates are lowered to.

    python benchmarks/population.py --rows 10000

For random candidates over all sketches of several operators, odd shapes among them, two columns of the nest are
compared with what is counted in the lowered loops, every iteration with its own extents: the vector instructions that
accumulate, and the bytes that stages before the anchor write. The columns are exact where all tiles divide, and upper
bounds elsewhere. What the columns cannot describe, so that only lowering tells, is counted, too.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import click
import numpy as np

from autotune.cost_model.nest import copying, describe
from autotune.errors import AutotuneError
from autotune.lowering.ir import For, Function, If, Stmt, Store, Together, children, loads, statements, stores
from autotune.lowering.pipeline import lower
from autotune.schedules.bounds import Bounds, product
from autotune.schedules.schedule import Schedule
from autotune.schedules.sketches.draft import find_anchor
from autotune.schedules.state import Split
from autotune.search.space import SearchSpace
from autotune.targets.facts import X86_AVX512, Target
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import Binary, Compare, Const, Expr, Var, walk
from autotune.tensor_expr.operators import get_operator

WORKLOADS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("conv2d", {"in_channels": 13, "out_channels": 37, "height": 11, "width": 17, "stride": 2}),
    ("conv2d", {"in_channels": 16, "out_channels": 32, "height": 14, "width": 16}),
    ("conv2d", {"in_channels": 32, "out_channels": 16, "height": 7, "width": 7, "kernel": 1}),
    ("depthwise_conv2d", {"channels": 12, "height": 13, "width": 19}),
    ("conv1d", {"in_channels": 8, "out_channels": 24, "length": 50}),
    ("matmul", {"m": 37, "n": 100, "k": 29}),
    ("matmul", {"m": 24, "n": 128, "k": 32}),
    ("matmul", {"m": 40, "n": 640, "k": 1030}),
    ("matmul", {"m": 48, "n": 64, "k": 16, "constant_b": True}),
    ("batch_matmul", {"batch_a": 3, "batch_b": 3, "m": 16, "n": 32, "k": 24}),
    ("dense", {"batch": 16, "in_features": 1024, "out_features": 640}),
    ("dense", {"batch": 8, "in_features": 48, "out_features": 80}),
    ("conv2d_transpose", {"in_channels": 6, "out_channels": 20, "height": 7, "width": 5}),
    ("softmax", {"shape": (17, 100)}),
    ("softmax", {"shape": (24, 256)}),
    ("reduce_sum", {"shape": (37, 130), "axes": (1,)}),
    ("reduce_sum", {"shape": (32, 512), "axes": (1,)}),
    ("layer_norm", {"shape": (20, 96)}),
)


@dataclass(slots=True)
class Tally:
    """What was found: candidates ``seen``; ``skipped`` ones by reason; per column how many were exact, how many upper
    bounds, and how many ``wrong``, with the first few in words."""

    seen: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    exact: Counter[str] = field(default_factory=Counter)
    above: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def slow(self) -> int:
        """Candidates that need lowering for what the columns do not say."""
        return self.skipped.total()

    def compare(self, what: str, predicted: float, counted: float, must_be_exact: bool, where: str) -> None:
        """Take down one comparison."""
        if counted == predicted:
            self.exact[what] += 1
        elif counted < predicted and not must_be_exact:
            self.above[what] += 1
        else:
            self.wrong[what] += 1
            if len(self.examples) < 8:
                self.examples.append(f"{where}: {what} {predicted:g}, counted {counted:g}")


# -- counting in lowered loops ----------------------------------------------------------------------------------------

_APPLY: Mapping[str, Any] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "min": min, "max": max,
    "floordiv": lambda a, b: a // b, "mod": lambda a, b: a % b, "and": lambda a, b: a and b,
    "or": lambda a, b: a or b, "lt": lambda a, b: a < b, "le": lambda a, b: a <= b, "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b, "eq": lambda a, b: a == b, "ne": lambda a, b: a != b,
}  # fmt: skip


def value(expr: Expr, known: Mapping[str, int]) -> int:
    """The value of an extent or a condition; ``KeyError`` names an operation that is none of an index."""
    found: dict[int, Any] = {}
    for node in walk([expr]):
        if isinstance(node, Const):
            found[id(node)] = node.value
        elif isinstance(node, Var):
            found[id(node)] = known[node.name]
        else:
            assert isinstance(node, (Binary, Compare)), f"{type(node).__name__} in an extent"
            found[id(node)] = _APPLY[node.op](found[id(node.a)], found[id(node.b)])
    return int(found[id(expr)])


def count(stmt: Stmt, deciding: frozenset[str], known: Mapping[str, int]) -> Counter[tuple[str, str]]:
    """How often each buffer is updated, in vectors, and the bytes stored into it.

    Loops over ``deciding`` variables, on which other extents or conditions depend, are gone through one by one.
    """
    if isinstance(stmt, (Store, Together)):
        found = Counter[tuple[str, str]]()
        for store in stores(stmt):
            found["bytes", store.buffer.name] += dtypes.itemsize(store.buffer.dtype)
            found["updates", store.buffer.name] += any(load.buffer is store.buffer for load in loads(stmt))
        return found
    if isinstance(stmt, If):
        taken = stmt.then if value(stmt.condition, known) else stmt.otherwise
        return Counter() if taken is None else count(taken, deciding, known)
    if isinstance(stmt, For):
        extent = value(stmt.extent, known)
        if stmt.var.name in deciding:
            return sum((count(stmt.body, deciding, {**known, stmt.var.name: n}) for n in range(extent)), Counter())
        inside = count(stmt.body, deciding, known)
        lanes = stmt.kind == "vectorize"
        return Counter(
            {key: n * (min(extent, 1) if lanes and key[0] == "updates" else extent) for key, n in inside.items()}
        )
    return sum((count(child, deciding, known) for child in children(stmt)), Counter())


def count_all(function: Function) -> Counter[tuple[str, str]]:
    """The same of a whole function."""
    asked = [
        s.extent if isinstance(s, For) else s.condition for s in statements(function.body) if isinstance(s, (For, If))
    ]
    return count(function.body, frozenset(node.name for node in walk(asked) if isinstance(node, Var)), {})


# -- comparing ---------------------------------------------------------------------------------------------------------


def divides(bounds: Bounds) -> bool:
    """Whether no loop of the schedule has a partial tile."""
    return all(
        stage.extents[relation.parent] == product([stage.extents[child] for child in relation.children])
        for stage in bounds.stages.values()
        for relation in stage.stage.relations
        if isinstance(relation, Split)
    )


def compare(schedule: Schedule, target: Target, tally: Tally) -> None:
    """One candidate's columns beside the counts in its lowered loops."""
    tally.seen += 1
    anchor, state = find_anchor(schedule.state), schedule.state
    nest = describe(state, target, 1)
    if anchor is None:
        tally.skipped["nothing is reduced"] += 1
        return
    try:
        counted = count_all(lower(schedule, target))
    except AutotuneError as error:
        tally.skipped[f"lowering refuses it: {error}"[:60]] += 1
        return
    where = f"{schedule.text} {anchor}"
    copied = [stage.name for stage in copying(state, state.stages[anchor])]
    updates = counted["updates", anchor] + counted["updates", f"{anchor}.sum"]  # in memory, and in registers
    trips = (nest.tiles * nest.steps * nest.accumulators * nest.unrolled)[0]
    exact = divides(Bounds(state))  # blocks of what is computed inside of others are full ones in the columns
    tally.compare("updates", trips, updates, exact and bool((nest.copies == 1)[0] and nest.fill[0] == 1), where)
    tally.compare("bytes copied", nest.copied[0], sum(counted["bytes", name] for name in copied), exact, where)


def run(rows: int, seed: int = 0, target: Target = X86_AVX512) -> Tally:
    """Compare so many random legal candidates, an equal share of each sketch of each workload."""
    tally, generator = Tally(), np.random.default_rng(seed)
    for number, (operator, params) in enumerate(WORKLOADS):
        space = SearchSpace(get_operator(operator)(**params), target)
        wanted = rows // len(WORKLOADS) + (number < rows % len(WORKLOADS))
        while wanted > 0:
            drawn = space.evaluate(space.sample(generator, 4096))
            chosen = np.flatnonzero(drawn.legal)[:wanted]
            wanted -= len(chosen)
            for row in chosen:
                compare(space.schedule(drawn.population, int(row)), target, tally)
    return tally


@click.command(help=__doc__, context_settings={"max_content_width": 110})
@click.option("--rows", default=10_000, show_default=True, help="candidates")
@click.option("--seed", default=0, show_default=True)
def main(rows: int, seed: int) -> None:
    tally = run(rows, seed)
    print(f"{tally.seen} candidates, of which the columns cannot describe {100 * tally.slow / max(tally.seen, 1):.2f}%")
    for reason, found in tally.skipped.most_common():
        print(f"  {found}: {reason}")
    for what in sorted({*tally.exact, *tally.above, *tally.wrong}):
        print(f"{what}: {tally.exact[what]} exact, {tally.above[what]} upper bounds, {tally.wrong[what]} wrong")
    print(*tally.examples, sep="\n")
    sys.exit(bool(tally.wrong.total()))


if __name__ == "__main__":
    main()
