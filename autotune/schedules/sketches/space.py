"""The search space of an operator: all sketches that the rules derive from its expression."""

from __future__ import annotations

from dataclasses import dataclass

from autotune.errors import ScheduleError
from autotune.schedules.schedule import Schedule
from autotune.schedules.sketches.across_threads import across_threads
from autotune.schedules.sketches.ahead import precompute_constants
from autotune.schedules.sketches.cache_write import cache_write
from autotune.schedules.sketches.draft import Draft, Rule
from autotune.schedules.sketches.element_blocks import element_blocks
from autotune.schedules.sketches.inline import inline
from autotune.schedules.sketches.instructions import instructions
from autotune.schedules.sketches.packing import pack_constants
from autotune.schedules.sketches.parallel import parallel_blocks
from autotune.schedules.sketches.reduction_blocks import reduction_blocks
from autotune.schedules.sketches.remaining import remaining
from autotune.schedules.sketches.rows import rows
from autotune.schedules.sketches.staging import stage_operands
from autotune.schedules.sketches.streaming import streaming
from autotune.schedules.sketches.tiling import tiling
from autotune.schedules.sketches.transposing import transposing
from autotune.schedules.sketches.vector_axis import vector_axis
from autotune.targets.facts import Target
from autotune.tensor_expr.algorithms import DIRECT
from autotune.tensor_expr.tensor import Tensor

SPACE_VERSION = 6  # counts up whenever the sketches of an operator, or the choices of a knob, change

RULES: tuple[Rule, ...] = (
    precompute_constants,  # leaves a constant where the others would see a stage
    inline,  # element-wise stages vanish first, so that the others see the expressions that remain
    across_threads,  # where there are fewer results than threads
    rows,  # where every reduction reads its elements once
    transposing,  # where there is nothing but an output that reads across rows
    reduction_blocks,  # where the caches hold neither of the operands
    cache_write,  # chooses the anchor
    vector_axis,
    instructions,
    tiling,
    pack_constants,  # follows the order of the reduction loops
    stage_operands,
    parallel_blocks,  # last of the anchor's rules: fused loops cannot be cut or computed at
    element_blocks,  # where there is no anchor
    remaining,
)
LAST_RULES: tuple[Rule, ...] = (streaming,)  # of all drafts, those that a rule has completed included


@dataclass(frozen=True, slots=True)
class Sketch:
    """One structure: a schedule whose numbers are knobs, and what was chosen, in words."""

    name: str
    schedule: Schedule


def sketches(output: Tensor, target: Target, threads: int = 1, algorithm: str = DIRECT) -> tuple[Sketch, ...]:
    """Every sketch of the operator, as the algorithm defines its output, in a fixed order; equal ones once."""
    words = () if algorithm == DIRECT else (algorithm,)
    drafts = [Draft(Schedule(output, algorithm=algorithm), target, threads, out=output.name, label=words)]
    for rule in RULES:
        drafts = [following for draft in drafts for following in ([draft] if draft.complete else rule(draft))]
    for rule in LAST_RULES:
        drafts = [following for draft in drafts for following in rule(draft)]
    found: dict[str, Sketch] = {}
    for draft in drafts:
        found.setdefault(draft.schedule.text, Sketch("; ".join(draft.label), draft.schedule))
    if not found:
        raise ScheduleError(f"the rules found no sketch for {output.name!r}")
    return tuple(found.values())
