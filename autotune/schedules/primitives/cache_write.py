"""A buffer of its own for what a stage computes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autotune.errors import ScheduleError
from autotune.schedules.dependences import check_attachments
from autotune.schedules.primitives.step import Factor, Step, primitive
from autotune.schedules.primitives.transform_layout import laid_out
from autotune.schedules.rewriting import copied_from, renamed
from autotune.schedules.state import State, fresh_stage


@primitive("cache_write")
@dataclass(frozen=True, slots=True)
class CacheWrite(Step):
    """Compute ``stage`` into a buffer of its own, a new stage called ``<stage>.tile``, and copy that into ``stage``.

    ``cache_write("c")`` ::

        for i in 0..8:                  for i in 0..8:
            c[i] = 0              ->        c.tile[i] = 0
            for k in 0..8:                  for k in 0..8:
                c[i] += a[i, k]                 c.tile[i] += a[i, k]
                                        for i in 0..8:
                                            c[i] = c.tile[i]

    Computed at a loop of the copy whose inner loops are unrolled, the buffer lives in registers. ``blocks`` and
    ``order``, as ``transform_layout`` takes them, lay the buffer out.
    """

    stage: str
    blocks: tuple[tuple[int, Factor], ...] = ()
    order: tuple[str | int, ...] = ()

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        if stage.is_scheduled:
            raise ScheduleError(
                f"stage {stage.name!r} has been scheduled already; cache_write comes before its loops are changed "
                f"(its axes are: {', '.join(stage.loops)})"
            )
        tile = renamed(stage.tensor, f"{stage.name}.tile")
        state = state.with_stage(replace(fresh_stage(copied_from(stage.tensor, tile)), layout=stage.layout))
        cached = fresh_stage(tile)
        if self.blocks or self.order:
            cached = laid_out(cached, self.blocks, self.order)
        return check_attachments(state.with_stage_before(cached, stage.name))
