"""Which part of a stage its readers see, and how that moves from one iteration of a loop to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from autotune.errors import ScheduleError
from autotune.schedules.bounds import Bounds, accesses
from autotune.schedules.state import LayoutDim, Number, Split, Stage, State
from autotune.tensor_expr.affine import affine
from autotune.tensor_expr.expr import Axis, walk


def moved_axis(stage: Stage, loop: str) -> str | None:
    """The axis that one iteration of a loop moves; None where the loop was fused or belongs to no axis."""
    parents = {child: r.parent for r in stage.relations if isinstance(r, Split) for child in r.children}
    while loop in parents:
        loop = parents[loop]
    return loop if loop in stage.axis_names else None


def moving(bounds: Bounds, stage: Stage, holder: str, loop: str) -> Mapping[int, bool]:
    """The dimensions of a stage whose part that is read moves with ``holder``'s ``loop``; True: only ever forward."""
    found: dict[int, bool] = {}
    for reader in bounds.readers(stage.name, holder, loop):
        axes: dict[Axis, bool] = {}
        if reader.name == holder:
            axis = moved_axis(reader, loop)
            axes = {a: True for a in (*reader.tensor.axes, *reader.tensor.reduce_axes) if a.name == axis}
        else:
            axes = {reader.tensor.axes[dim]: way for dim, way in moving(bounds, reader, holder, loop).items()}
        for dim, access in enumerate(accesses(reader, stage)):
            if access is None:
                continue
            form = affine(access[0])
            linear = {atom: c for atom, c in form.terms.values()}
            for axis_, forward in axes.items():
                if any(node is axis_ for node in walk([access[0]])):
                    found[dim] = found.get(dim, True) and forward and linear.get(axis_, 1) > 0
    return found


def window(stage: Stage, bounds: Bounds, dim: int) -> Number:
    """How many elements along a dimension are read in one iteration."""
    return bounds.stages[stage.name].axes[stage.tensor.axes[dim].name]


def window_layout(stage: Stage, bounds: Bounds) -> tuple[LayoutDim, ...]:
    """The layout of a folded stage."""
    assert stage.details.folded is not None
    dim, extent = stage.details.folded
    if isinstance(extent, int) and extent == 0:
        extent = 1 << (int(window(stage, bounds, dim)) - 1).bit_length()
    layout = stage.layout or tuple(map(LayoutDim, range(len(stage.tensor.shape))))
    return tuple(replace(part, modulus=extent) if part.logical == dim else part for part in layout)


def check_kept(state: State, stage: Stage, step: str) -> tuple[str, str]:
    """The stage and loop that a stage is computed at, where one iteration may leave its results to the next."""
    if stage.attach is None:
        raise ScheduleError(f"stage {stage.name!r} is computed at the root; {step} needs compute_at first")
    if stage.tensor.scan_dim is not None and step == "fold_storage":
        raise ScheduleError(f"stage {stage.name!r} is a scan, of which {step} would lose what came before")
    holder, loop = state.stages[stage.attach[0]], stage.attach[1]
    if holder.kind(loop) != "serial":
        raise ScheduleError(
            f"stage {holder.name!r}: axis {loop!r} must stay serial, since by {step} each of its iterations "
            f"needs what the one before left in {stage.name!r}"
        )
    if moved_axis(holder, loop) is None:
        raise ScheduleError(
            f"stage {stage.name!r}: {step} needs a loop that moves one axis; {loop!r} of {holder.name!r} does not"
        )
    return stage.attach


def check_folded(state: State, stage: Stage) -> None:
    """Refuse a sliding window that does not slide in its dimension alone, or is larger than what is kept."""
    assert stage.details.folded is not None
    holder, loop = check_kept(state, stage, "fold_storage")
    dim, extent = stage.details.folded
    bounds = Bounds(state)
    slides = moving(bounds, stage, holder, loop)
    if dict(slides) != {dim: True}:
        ways = [f"{at}{'' if forward else ' (not only forward)'}" for at, forward in sorted(slides.items())]
        raise ScheduleError(
            f"stage {stage.name!r}: fold_storage needs that axis {loop!r} of {holder!r} moves what is read forward in "
            f"dimension {dim} alone; it moves dimensions: {', '.join(ways) or 'none in a way that is known'}"
        )
    parts = [part for part in stage.layout or () if part.logical == dim]
    if len(parts) > 1:
        raise ScheduleError(f"stage {stage.name!r}: dimension {dim} is blocked by its layout and cannot be folded")
    needed = window(stage, bounds, dim)
    if not (isinstance(extent, int) and extent == 0) and np.any(np.asarray(extent) < np.asarray(needed)):
        raise ScheduleError(
            f"stage {stage.name!r}: an iteration of {loop!r} reads {needed} elements of dimension {dim}, more than "
            f"the extent {extent}"
        )
