"""Pairs of a random operator and a random schedule: pair number ``k`` of a seed is the same one everywhere."""

from __future__ import annotations

from dataclasses import dataclass

from autotune.errors import UsageError
from autotune.fuzz.choices import Choices, RandomChoices
from autotune.fuzz.expressions import draw_expression
from autotune.fuzz.operators import draw_operator
from autotune.fuzz.steps import Draft, draw_schedule
from autotune.tensor_expr import Workload


@dataclass(frozen=True, slots=True)
class Pair:
    """A workload and a schedule of it, with what became of the steps that were tried."""

    workload: Workload
    draft: Draft


def draw_workload(choices: Choices) -> Workload:
    """An operator of the library, or an expression; drawn again where the expression itself is refused."""
    while True:
        try:
            return draw_expression(choices) if choices.one_in(2) else draw_operator(choices)
        except UsageError:
            continue


def draw_pair(seed: int, number: int) -> Pair:
    """Pair ``number`` of a seed."""
    choices = RandomChoices(f"{seed}:{number}")
    workload = draw_workload(choices)
    return Pair(workload, draw_schedule(choices, workload.output))
