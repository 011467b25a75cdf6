"""Keep a sliding window of a stage instead of computing what iterations share again."""

from __future__ import annotations

from dataclasses import dataclass

from autotune.errors import ScheduleError
from autotune.schedules.bounds import Bounds
from autotune.schedules.primitives.step import Factor, Step, check_factors, invariant, primitive
from autotune.schedules.state import Stage, State
from autotune.schedules.windows import check_folded, check_kept, moving


@primitive("fold_storage")
@dataclass(frozen=True, slots=True)
class FoldStorage(Step):
    """Keep what the iterations of the loop around ``stage`` share, and compute in each only what is new.

    ``compute_at("a", "b", "y").fold_storage("a")`` ::

        for y in 0..8:                      a = buffer[4]
            a = buffer[3]                   for y in 0..8:
            for i in 0..3:                      if y <= 0:
                a[i] = f(y + i)                     for i in 0..3:
            b[y] = a[0] + a[1] + a[2]                   a[i] = f(i)
                                      ->        else:
                                                    a[(y + 2) % 4] = f(y + 2)
                                                b[y] = a[y % 4] + a[(y + 1) % 4] + a[(y + 2) % 4]

    Dimension ``dim`` (default: the one that the loop moves) is stored modulo ``extent`` (default, or 0: the least power
    of two that holds what an iteration reads). The loop must be serial, and must move what is read forward, in that
    dimension alone. Source: Ragan-Kelley et al., Halide, PLDI 2013, section 4.3.
    """

    stage: str
    dim: int | None = None
    extent: Factor = 0

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        holder, loop = check_kept(state, stage, "fold_storage")
        rank = len(stage.tensor.shape)
        if self.dim is not None and not (isinstance(self.dim, int) and 0 <= self.dim < rank):
            raise ScheduleError(f"stage {stage.name!r} has dimensions 0 to {rank - 1}; fold_storage names {self.dim!r}")
        slides = moving(Bounds(state), stage, holder, loop)
        dim = self.dim if self.dim is not None else min(slides, default=0)
        if not (isinstance(self.extent, int) and self.extent == 0):
            check_factors(stage, dim, (self.extent,), "extent")
        return state.with_stage(stage.with_details(folded=(dim, self.extent)))


@invariant
def _window_slides(state: State, stage: Stage) -> None:
    if stage.details.folded is not None:
        check_folded(state, stage)
