"""Compute a stage nowhere of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autotune.errors import ScheduleError
from autotune.schedules.dependences import check_attachments
from autotune.schedules.primitives.step import Step, primitive
from autotune.schedules.state import State, reads
from autotune.tensor_expr.expr import Expr, Read, Reduce, rewrite, substitute


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
        body, axes = stage.tensor.body, stage.tensor.axes
        if body is None or isinstance(body, Reduce):
            raise ScheduleError(f"stage {stage.name!r} is a reduction and cannot be inlined")
        if stage.is_scheduled:
            raise ScheduleError(f"stage {stage.name!r} has been scheduled already; inline it before that")
        inlined: Expr = body

        def inline(node: Expr) -> Expr | None:
            if isinstance(node, Read) and node.tensor.name == stage.name:
                return substitute(inlined, dict(zip(axes, node.indices, strict=True)))
            return None

        for reader in state.consumers(stage.name):
            assert reader.tensor.body is not None
            tensor = replace(reader.tensor, body=rewrite(reader.tensor.body, inline))
            state = state.with_stage(replace(reader, tensor=tensor))
        assert not any(read.tensor.name == stage.name for s in state.stages.values() for read in reads(s.tensor))
        return check_attachments(state.without_stage(stage.name))
