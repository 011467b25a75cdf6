"""Compute a stage on its own again."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autotune.schedules.dependences import check_attachments
from autotune.schedules.primitives.step import Step, primitive
from autotune.schedules.state import State


@primitive("compute_root")
@dataclass(frozen=True, slots=True)
class ComputeRoot(Step):
    """Compute all of ``stage`` before any stage that reads it: takes ``compute_at`` back.

    ``compute_root("a")`` ::

        for i in 0..8:                      for i in 0..8:
            for j in 0..8:                      for j in 0..8:
                a[j] = x[i, j] + 1        ->        a[i, j] = x[i, j] + 1
            for j in 0..8:                  for i in 0..8:
                b[i, j] = a[j] * 2              for j in 0..8:
                                                    b[i, j] = a[i, j] * 2

    What ``stage`` itself reads must not be computed inside the loop that it leaves.
    """

    stage: str

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        return check_attachments(state.with_stage(replace(stage, attach=None)))
