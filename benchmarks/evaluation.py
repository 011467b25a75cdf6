"""What a search costs by itself, in CPU time: ``python benchmarks/evaluation.py``.

Candidates a second through features and cost model, on one core, of populations of 12,288, when each sketch has been
seen before and when none has; and the CPU seconds of a search's parts, with pretended times in place of measured ones.
CPU times are those of all threads of the process, and the least of three, because others may use the machine.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

import autotune as at
from autotune.cost_model.model import ANALYTIC
from autotune.cost_model.models import make_cost_model
from autotune.search.exploration import IN_FLIGHT
from autotune.search.space import Evaluated, SearchSpace
from autotune.search.strategies import make_strategy
from autotune.targets.host import native_target
from autotune.tensor_expr.operators import get_operator

POPULATION, BATCH, ROUNDS = 12_288, 16, 3


def spaces() -> dict[str, Callable[[], SearchSpace]]:
    """The spaces that are evaluated, by name."""
    target, conv2d = native_target(), at.conv2d()
    matmul = get_operator("matmul")(m=1024, n=1024, k=1024)
    depthwise = get_operator("depthwise_conv2d")(channels=144, height=56, width=56)
    return {
        "conv2d, all definitions": lambda: SearchSpace(conv2d, target),
        "conv2d, its own definition": lambda: SearchSpace(conv2d.output, target),
        "matmul 1024^3": lambda: SearchSpace(matmul, target),
        "depthwise 144x56x56": lambda: SearchSpace(depthwise, target),
    }


@dataclass(slots=True)
class Stopwatch:
    """CPU seconds by part."""

    spent: dict[str, float] = field(default_factory=dict)

    def time(self, part: str, what: Callable[[], Any]) -> Any:
        """The result of what is done, its CPU time added to the part's."""
        began = time.process_time()
        result = what()
        self.spent[part] = self.spent.get(part, 0.0) + time.process_time() - began
        return result


def speed(make: Callable[[], SearchSpace]) -> dict[str, float]:
    """Candidates a second of one space."""
    generator, model = np.random.default_rng(0), make_cost_model("xgboost", 0)
    found: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        watch, space = Stopwatch(), make()
        drawn = [space.sample(generator, POPULATION) for _ in range(3)]
        first = watch.time("unseen", lambda: space.evaluate(drawn[0]))  # noqa: B023
        model.update(first.features[:1024], generator.random(1024))
        space.evaluate(drawn[1])  # records what each sketch does
        last = watch.time("features", lambda: space.evaluate(drawn[2]))  # noqa: B023
        watch.time("model", lambda: model.predict(last.features))  # noqa: B023
        watch.spent["evaluated"] = watch.spent["features"] + watch.spent["model"]
        for part, seconds in watch.spent.items():
            found.setdefault(part, []).append(POPULATION / seconds)
    return {"sketches": len(space.sketches), **{part: max(rates) for part, rates in found.items()}}


def search_alone(make: Callable[[], SearchSpace], trials: int) -> dict[str, float]:
    """CPU seconds of a search's parts; times are pretended to be near the estimate."""
    watch, generator = Stopwatch(), np.random.default_rng(0)
    space = watch.time("space", make)
    model = make_cost_model("xgboost", 0)
    strategy = make_strategy("evolutionary", space, model, 0)
    flying: deque[Evaluated] = deque()
    done = 0
    while done < trials:
        batch = watch.time("propose", lambda: strategy.propose(min(BATCH, trials - done)))  # noqa: B023
        done += len(batch)
        flying.append(batch)
        if len(flying) == IN_FLIGHT:
            oldest = flying.popleft()
            seconds = np.exp2(0.7 * oldest.features[:, ANALYTIC] + generator.normal(-25.0, 0.2, len(oldest)))
            watch.time("learn", lambda: strategy.observe(oldest, seconds))  # noqa: B023
    return {**watch.spent, "all": sum(watch.spent.values())}


@click.command(help=__doc__)
@click.option("--trials", default=200, show_default=True, help="of the search with pretended times")
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout instead of tables")
def main(trials: int, as_json: bool) -> None:
    speeds = {name: speed(make) for name, make in spaces().items()}
    costs = {
        name: min((search_alone(make, trials) for _ in range(ROUNDS)), key=lambda spent: spent["all"])
        for name, make in spaces().items()
    }
    if as_json:
        print(json.dumps({"candidates_per_second": speeds, "cpu_seconds": costs}, indent=1))
        return
    for title, rows in (("candidates a second", speeds), (f"CPU seconds of {trials} trials", costs)):
        table = Table("space", *next(iter(rows.values())), title=title)
        for name, figures in rows.items():
            table.add_row(name, *(f"{value:,.0f}" if value > 10 else f"{value:.2f}" for value in figures.values()))
        Console(width=110).print(table)


if __name__ == "__main__":
    main()
