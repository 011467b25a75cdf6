"""Prefetches: one for each cache line of what a later iteration of a loop reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from autotune.lowering.context import Context
from autotune.lowering.ir import Prefetch, Stmt, block
from autotune.lowering.leaves import Leaves
from autotune.lowering.regions import Regions
from autotune.schedules.state import Stage
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.affine import Affine, number
from autotune.tensor_expr.expr import Axis
from autotune.tensor_expr.ranges import Ranges

LINE = 64  # bytes; longer lines are asked for twice
Loop = Callable[[str, str, Affine, Ranges, Callable[[Ranges, Affine], Stmt]], Stmt]


@dataclass(frozen=True, slots=True)
class Prefetching:
    """Makes prefetches; ``loop`` makes a loop of a kind and name, of a number of iterations, around a body."""

    regions: Regions
    leaves: Leaves
    loop: Loop

    def ahead(self, source: Stage, at: tuple[str, str], distance: int, context: Context) -> Stmt:
        """What iteration ``distance`` from now of loop ``at`` reads of ``source``, as if it were a full one."""
        tensor = source.tensor
        axes = tuple(Axis(dtypes.INDEX, f"{tensor.name}.{dim}", size) for dim, size in enumerate(tensor.shape))
        later = context.pin(*at, context.pins[at[0]][at[1]].shifted(distance))
        bases, _ = self.regions.of(replace(source, tensor=replace(tensor, axes=axes)), later, at)
        starts = [base - own for base, own in zip(bases, context.bases[tensor.name], strict=True)]
        steps, sizes = _steps(source), self.regions.bounds.region(tensor.name, *at)

        def along(inner: Context, local: list[Affine]) -> Stmt:
            dim = len(local)
            if dim == len(axes):
                indices = self.leaves.placed(source, local, inner)
                return block(*(Prefetch(buffer, indices) for buffer in inner.buffers[tensor.name]))

            def line(ranges: Ranges, value: Affine) -> Stmt:
                return along(inner.with_ranges(ranges), [*local, starts[dim] + value.scale(steps[dim])])

            count = number(-(-int(sizes[dim]) // steps[dim]))
            return self.loop("serial", axes[dim].name, count, inner.ranges, line)

        return along(context, [])


def _steps(source: Stage) -> list[int]:
    """Elements from one cache line to the next along each dimension: 1 but along the one that is contiguous."""
    steps = [1] * len(source.tensor.shape)
    line = max(1, LINE // dtypes.itemsize(source.tensor.dtype))
    if source.layout is None:
        steps[-1] = line
    elif int(source.layout[-1].divisor) == 1:
        innermost = source.layout[-1]
        steps[innermost.logical] = min(line, int(innermost.modulus) or line)
    return steps
