"""What every primitive's golden table shows: its loops, its numbers, and its JSON, for (output, steps, loops)."""

from __future__ import annotations

import json
from collections.abc import Callable

from differential import compare

from autotune.lowering.pipeline import lower
from autotune.lowering.printer import show
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.targets.facts import X86_AVX512, Target
from autotune.tensor_expr import Tensor

Golden = tuple[Tensor, Callable[[Schedule], Schedule], str]


def check_loops(golden: Golden) -> None:
    """The lowered loops are the text."""
    output, apply, text = golden
    assert show(lower(apply(create_schedule(output)), X86_AVX512, check=True)) == text.strip()


def check_numbers(golden: Golden, target: Target) -> None:
    """Compiled, the schedule computes what NumPy does."""
    output, apply, _ = golden
    assert compare(apply(create_schedule(output)), target) == ""


def check_json(golden: Golden) -> None:
    """The schedule that comes back from JSON is the same, and so are its loops."""
    output, apply, text = golden
    schedule = apply(create_schedule(output))
    again = Schedule.from_json(output, json.loads(schedule.text))
    assert again.text == schedule.text
    assert show(lower(again, X86_AVX512)) == text.strip()
