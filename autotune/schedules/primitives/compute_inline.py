"""Compute a stage nowhere of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autotune.errors import ScheduleError
from autotune.schedules.dependences import check_attachments
from autotune.schedules.primitives.step import Step, primitive
from autotune.schedules.state import State, reads
from autotune.tensor_expr.expr import Accumulation, Expr, Read, Reduce, substitute


@primitive("compute_inline")
@dataclass(frozen=True, slots=True)
class ComputeInline(Step):
    """Replace every read of ``stage`` by its expression; the stage is gone.

    ``compute_inline("a")`` ::

        for i in 0..8:
            a[i] = x[i] + 1     ->  for i in 0..8:
        for i in 0..8:                  b[i] = (x[i] + 1) * 2
            b[i] = a[i] * 2
    """

    stage: str

    def apply(self, state: State) -> State:
        stage = state.compute_stage(self.stage)
        if stage.name == state.output:
            raise ScheduleError(f"stage {stage.name!r} is the output and cannot be inlined")
        bodies, axes = stage.tensor.bodies, stage.tensor.axes
        if isinstance(stage.tensor.body, Accumulation):
            kind = "reduction" if isinstance(stage.tensor.body, Reduce) else "scan"
            raise ScheduleError(f"stage {stage.name!r} is a {kind} and cannot be inlined")
        if stage.is_scheduled:
            raise ScheduleError(f"stage {stage.name!r} has been scheduled already; inline it before that")

        def inline(node: Expr) -> Expr | None:
            if isinstance(node, Read) and node.tensor.name == stage.name:
                return substitute(bodies[node.component], dict(zip(axes, node.indices, strict=True)))
            return None

        for reader in state.consumers(stage.name):
            state = state.with_stage(replace(reader, tensor=reader.tensor.map_bodies(inline)))
        assert not any(read.tensor.name == stage.name for s in state.stages.values() for read in reads(s.tensor))
        return check_attachments(state.without_stage(stage.name))
