"""Let threads update the elements of a stage at the same time."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autotune.schedules.dependences import check_atomic
from autotune.schedules.primitives.step import Step, primitive
from autotune.schedules.state import State


@primitive("atomic")
@dataclass(frozen=True, slots=True)
class Atomic(Step):
    """Allow ``parallel`` on a reduction loop of ``stage``: threads then update its elements one at a time.

    ``atomic("c")``, then ``parallel("c", "k")`` ::

        for i in 0..8:                  for i in 0..8:
            c[i] = 0                        c[i] = 0
            for k in 0..64:       ->    for k in 0..64, on all threads:
                c[i] += a[i, k]             for i in 0..8:
                                                atomic c[i] += a[i, k]

    Nothing else implies it. The order in which values are combined is then not determined: floating point sums may
    differ in their last bits from run to run. The reducer must be a single operation (sum, prod, max, min, any, all)
    on integers, bool, float32 or float64, and no loop of the stage may be vectorized beside.
    """

    stage: str

    def apply(self, state: State) -> State:
        stage = replace(state.compute_stage(self.stage), atomic=True)
        check_atomic(stage)
        return state.with_stage(stage)
