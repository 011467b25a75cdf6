"""How a tensor lies in memory."""

from __future__ import annotations

from dataclasses import dataclass, replace

from autotune.errors import ScheduleError
from autotune.schedules.primitives.step import Factor, Step, check_factors, primitive
from autotune.schedules.state import LayoutDim, Stage, State


@primitive("transform_layout")
@dataclass(frozen=True, slots=True)
class TransformLayout(Step):
    """Lay ``tensor`` out with some dimensions blocked and all of them in a new order.

    ``blocks`` lists (dimension, factor); ``order`` names the physical dimensions, outermost first: a dimension's
    number, or for a blocked one ``"1.outer"`` and ``"1.inner"``. OIHW weights for vectors over 16 output channels ::

        transform_layout("w", [[0, 16]], ["0.outer", "1", "2", "3", "0.inner"])
        w[o, i, h, w]  ->  w[o // 16, i, h, w, o % 16]

    A placeholder's or the output's layout is that of the kernel's own arrays: calling a kernel packs plain inputs and
    unpacks the output each time, ``bind`` packs inputs once, and ``run_packed`` takes and gives arrays in the kernel's
    layouts as they are. Where a factor does not divide, inputs are padded with zeros, and what pads an output is
    undefined.
    """

    tensor: str
    blocks: tuple[tuple[int, Factor], ...]
    order: tuple[str | int, ...]

    def apply(self, state: State) -> State:
        return state.with_stage(laid_out(state.stage(self.tensor), self.blocks, self.order))


def laid_out(stage: Stage, blocks: tuple[tuple[int, Factor], ...], order: tuple[str | int, ...]) -> Stage:
    """The stage with its tensor in another layout; ``ScheduleError`` for blocks or an order that do not fit it."""
    rank = len(stage.tensor.shape)
    factors: dict[int, Factor] = {}
    for dim, factor in blocks:
        if not 0 <= dim < rank or dim in factors:
            raise ScheduleError(
                f"stage {stage.name!r} has dimensions 0 to {rank - 1}, each blocked at most once; got {dim}"
            )
        check_factors(stage, dim, (factor,))
        factors[dim] = factor
    parts: dict[str, LayoutDim] = {}
    for dim in range(rank):
        if dim in factors:
            parts[f"{dim}.outer"] = LayoutDim(dim, factors[dim])  # type: ignore[arg-type]
            parts[f"{dim}.inner"] = LayoutDim(dim, 1, factors[dim])  # type: ignore[arg-type]
        else:
            parts[str(dim)] = LayoutDim(dim)
    names = tuple(str(name) for name in order)
    if sorted(names) != sorted(parts):
        raise ScheduleError(
            f"stage {stage.name!r}: the order must name each of {', '.join(parts)} once, got {', '.join(names)}"
        )
    return replace(stage, layout=tuple(parts[name] for name in names))
