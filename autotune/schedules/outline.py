"""What a schedule looks like to people: its steps as calls, and the loops that they make."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, fields, replace
from math import prod

import numpy as np

from autotune.display import html
from autotune.schedules.bounds import Bounds, physical_shape
from autotune.schedules.primitives import Knob, Step
from autotune.schedules.state import Number, Stage, State
from autotune.schedules.windows import window_layout
from autotune.tensor_expr import dtypes


def calls(output: str, steps: Iterable[Step]) -> str:
    """The steps as Python that makes the schedule of the tensor in the variable ``output``."""
    variable = output if output.isidentifier() else "output"
    lines = [f"    .{step.name}({', '.join(_arguments(step))})" for step in steps]
    start = f"at.create_schedule({variable})"
    return "\n".join(["(", f"    {start}", *lines, ")"]) if lines else start


def _arguments(step: Step) -> list[str]:
    """The arguments by position, up to the last one that is not at its default."""
    given = [(field.default, getattr(step, field.name)) for field in fields(step)]
    while given and given[-1][0] is not MISSING and given[-1][0] == given[-1][1]:
        given.pop()
    return [_value(value) for _, value in given]


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Knob):
        return f"at.Knob({_quoted(value.name)}, {value.choices!r})"
    if isinstance(value, np.generic):  # a knob's value from a column; its own repr is no plain number
        return repr(value.item())
    return _quoted(value) if isinstance(value, str) else repr(value)


def _quoted(text: str) -> str:
    return f'"{text}"' if text.isprintable() and not {'"', "\\"} & set(text) else repr(text)


def nest(state: State) -> str:
    """Every stage's loops with their extents, where it is computed, and the buffer that it is computed into.

    Extents and buffers are those of full tiles; the innermost line says which tensors the stage reads. An open knob
    counts as its first choice.
    """
    bounds = Bounds(state)
    lines: list[str] = []
    for stage in state.stages.values():
        if stage.attach is None and not stage.tensor.is_placeholder:
            _stage(bounds, stage, 0, lines)
    return "\n".join(lines)


def _stage(bounds: Bounds, stage: Stage, depth: int, lines: list[str]) -> None:
    state, extents = bounds.state, bounds.stages[stage.name].extents
    if stage.name != state.output:
        shape, kept = _buffer_shape(bounds, stage), _kept(stage)
        for part in stage.tensor.components:
            lines.append(f"{'    ' * depth}{part.name} = buffer {part.dtype}{shape}{kept}")
    for loop in stage.loops:
        kind = "" if stage.kind(loop) == "serial" else f"{stage.kind(loop)} "
        lines.append(f"{'    ' * depth}{kind}for {loop} in 0..{int(extents[loop])}:{_hints(stage, loop)}")
        depth += 1
        for inner in state.attached(stage.name, loop):
            _stage(bounds, inner, depth, lines)
    read = ", ".join(tensor.name for tensor in stage.tensor.inputs) or "its indices"
    axes = ", ".join(axis.name for axis in stage.tensor.axes)
    made = ", ".join(f"{part.name}[{axes}]" for part in stage.tensor.components)
    atomic = "atomic " if stage.atomic else ""
    bypass = "  # non-temporal" if stage.details.streamed else ""
    lines.append(f"{'    ' * depth}{atomic}{made} from {read}{bypass}")


def _hints(stage: Stage, loop: str) -> str:
    """What else has been asked of a loop."""
    details = stage.details
    hints = [f"{key} = {value}" for at, key, value in details.pragmas if at == loop]
    hints += [f"cut at {', '.join(map(str, cuts))}" for at, cuts in details.partitions if at == loop]
    hints += ["initialised before"] if stage.init_at == loop else []
    hints += ["one block"] if stage.block == loop else []
    hints += [f"prefetches {what}, {ahead} ahead" for what, at, ahead in details.prefetches if at == loop]
    if details.tensorized is not None and details.tensorized[0] == loop:
        hints.append(f"computed by {details.tensorized[1]}")
    if details.shared is not None and details.shared[1] == loop:
        hints.append(f"down to here the loops of {details.shared[0]}")
    return f"  # {'; '.join(hints)}" if hints else ""


def _kept(stage: Stage) -> str:
    """Where a stage's buffer lives and how long, where a step says so."""
    details = stage.details
    scope = "" if details.scope == "auto" else f" in {details.scope}"
    turns = "  # two of them in turn" if details.double_buffered else ""
    return f"{scope}{turns or ('  # a sliding window' if details.folded else '')}"


def _buffer_shape(bounds: Bounds, stage: Stage) -> list[int]:
    """What is kept of a stage at once, in its layout."""
    if stage.details.folded is not None:
        stage = replace(stage, layout=window_layout(stage, bounds))
    own = bounds.stages.get(stage.name)
    logical: list[Number] = [*stage.tensor.shape]
    if own is not None:
        logical = [own.axes[axis.name] for axis in stage.tensor.axes]
    return [int(extent) for extent in physical_shape(stage, logical)]


def buffers(state: State) -> list[tuple[str, str, str, str]]:
    """Per array of every stage: its name, dtype and shape in memory, bytes, and where it is computed."""
    bounds, rows = Bounds(state), []
    for stage in state.stages.values():
        shape = _buffer_shape(bounds, stage)
        place = "input" if stage.tensor.is_placeholder else "at the root"
        if stage.attach is not None:
            place = f"at {stage.attach[0]}, loop {stage.attach[1]}"
        for part in stage.tensor.components:
            size = f"{prod(shape) * dtypes.itemsize(part.dtype):,}"
            rows.append((part.name, f"{part.dtype}{shape}", size, place))
    return rows


def parts(steps: str, state: State) -> tuple[str, ...]:
    """The sections that show a schedule in HTML."""
    return (
        html.section("Steps", html.code(steps)),
        html.section("Loops", html.fold(nest(state))),
        html.section("Stages", html.table(("stage", "buffer", "bytes", "computed"), buffers(state)), start_open=False),
    )
