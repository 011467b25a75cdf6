"""Random operators and random schedules of them, for tests that compare generated code with NumPy.

Everything is drawn from a ``Source``: Python's ``random`` when fuzzing for long, Hypothesis when a failure should
shrink.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, TypeVar

from autotune.errors import ScheduleError, UsageError
from autotune.schedules.bounds import Bounds
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.tensor_expr import (
    Component,
    Expr,
    Tensor,
    Workload,
    absolute,
    argmax,
    argmin,
    cast,
    compute,
    cumulative,
    dtypes,
    exp,
    placeholder,
    reduce_axis,
    reducer,
    select,
)
from autotune.tensor_expr import max as maximum
from autotune.tensor_expr import min as minimum
from autotune.tensor_expr import sum as total
from autotune.tensor_expr.operators import get_operator
from autotune.tensor_expr.tensor import as_output

T = TypeVar("T")
Array: TypeAlias = "Tensor | Component"
DTYPES = ("float32", "float32", "float32", "float64", "int32", "int64", "int8", "uint8", "bool")
MAX_STEPS = 14


class Source(Protocol):
    """Where choices come from."""

    def integer(self, low: int, high: int) -> int: ...

    def choice(self, options: Sequence[T]) -> T: ...


class RandomSource:
    """Choices by a seeded generator."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def integer(self, low: int, high: int) -> int:
        return self.random.randint(low, high)

    def choice(self, options: Sequence[T]) -> T:
        return self.random.choice(options)


class HypothesisSource:
    """Choices by Hypothesis, which shrinks them."""

    def __init__(self, data: Any, strategies: Any) -> None:
        self.data, self.strategies = data, strategies

    def integer(self, low: int, high: int) -> int:
        return int(self.data.draw(self.strategies.integers(low, high)))

    def choice(self, options: Sequence[T]) -> T:
        return options[self.integer(0, len(options) - 1)]


# -- operators -------------------------------------------------------------------------------------------------------


def draw_workload(source: Source) -> Workload:
    """An operator of the library or a pipeline of computes, with odd sizes."""
    kind = source.choice((_conv2d, _matmul, _pipeline, _pipeline, _pipeline, _gather))
    return kind(source)


def _conv2d(source: Source) -> Workload:
    groups = source.choice((1, 1, 1, 2, 3))
    kernel = [source.integer(1, 3), source.integer(1, 3)]
    dilation = [source.integer(1, 2), source.integer(1, 2)]
    window = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    padding = [source.integer(0, 2) for _ in range(4)]
    return get_operator("conv2d")(
        batch=source.integer(1, 2), groups=groups, in_channels=groups * source.integer(1, 5),
        out_channels=groups * source.integer(1, 19), height=window[0] + source.integer(0, 6),
        width=window[1] + source.integer(0, 18), kernel=_pair(kernel), dilation=_pair(dilation),
        stride=_pair([source.integer(1, 2), source.integer(1, 3)]), padding=",".join(map(str, padding)),
        dtype=source.choice(("float32", "float32", "float64", "int32")),
    )  # fmt: skip


def _pair(values: list[int]) -> str:
    return ",".join(map(str, values))


def _matmul(source: Source) -> Workload:
    flags = [bool(source.integer(0, 1)) for _ in range(3)]
    return get_operator("matmul")(
        m=source.integer(1, 21), n=source.integer(1, 37), k=source.integer(1, 13), transpose_a=flags[0],
        transpose_b=flags[1], constant_b=flags[2], dtype=source.choice(("float32", "float64", "int32")),
    )  # fmt: skip


def _pipeline(source: Source) -> Workload:
    """Two to five computes: element-wise, stencils, mirrors, broadcasts, reductions and scans of what came before."""
    rank = source.integer(1, 3)
    shape = tuple(source.integer(1, 23 if dim == rank - 1 else 7) for dim in range(rank))
    constant = source.integer(0, 3) == 0
    tensors: list[Array] = [
        placeholder(shape, source.choice(DTYPES), "p"),
        placeholder(shape[-1:], source.choice(DTYPES), "q", constant=constant),
    ]
    made: tuple[Array, ...] = ()
    for number in range(source.integer(1, 4)):
        made = _next_stage(source, tensors, f"s{number}")
        tensors += made
    return Workload(as_output(made if source.integer(0, 2) else made[-1:]))


def _next_stage(source: Source, tensors: list[Array], name: str) -> tuple[Array, ...]:
    base = tensors[-1] if source.integer(0, 3) else source.choice(tensors)
    kind = source.integer(0, 11)
    if kind <= 3 and base.shape:
        return _reduction(source, base, tensors, name)
    if kind == 4:
        return _scan(source, base, name)
    shape = tuple(max_size(source, size) for size in base.shape)

    def body(*axes: Expr) -> Expr:
        value = _read(source, base, axes)
        for _ in range(source.integer(0, 3)):
            value = _combine(source, value, _operand(source, tensors, axes, value))
        return value

    return _declare(shape, body, name)


def max_size(source: Source, size: int) -> int:
    """Mostly the same size, at times one more, fewer, or twice."""
    return source.choice((size, size, size, size + 1, max(1, size - 2), 2 * size))


def _numbers(value: Expr) -> Expr:
    return cast(value, "int32") if value.dtype == "bool" else value


def _merged_extent(a: tuple[Expr, ...], b: tuple[Expr, ...]) -> tuple[Expr, ...]:
    return minimum(a[0], b[0]), maximum(a[1], b[1])


def _merged_count(a: tuple[Expr, ...], b: tuple[Expr, ...]) -> tuple[Expr, ...]:
    """The largest value, and how often it occurs."""
    largest = maximum(a[0], b[0])
    return largest, select(a[0] < largest, 0, a[1]) + select(b[0] < largest, 0, b[1])


EXTENT = reducer(_merged_extent, (dtypes.highest, dtypes.lowest), "extent")
COUNT = reducer(_merged_count, (dtypes.lowest, 0), "count")
# What compares exactly compares integers: where float32 and float64 round differently, another index may be right.
REDUCTIONS: tuple[Any, ...] = (
    total,
    total,
    total,
    maximum,
    minimum,
    lambda value, axis: argmax(cast(value, "int32"), axis=axis),
    lambda value, axis: argmin(cast(value, "int8"), axis=axis),
    lambda value, axis: EXTENT((value, value), axis=axis),
    lambda value, axis: COUNT((cast(value, "int32"), 1), axis=axis),
    lambda value, axis: (total(value, axis=axis), maximum(value, axis=axis)),
)
SCANS: tuple[Any, ...] = (
    lambda value, axis: cumulative("sum", value, axis=axis),
    lambda value, axis: cumulative("max", value, axis=axis),
    lambda value, axis: cumulative("argmax", (cast(value, "int32"), axis), axis=axis),
    lambda value, axis: cumulative(COUNT, (cast(value, "int32"), 1), axis=axis),
)


def _scan(source: Source, base: Array, name: str) -> tuple[Array, ...]:
    scan, dim = source.choice(SCANS), source.integer(0, len(base.shape) - 1)
    return _declare(base.shape, lambda *axes: scan(_numbers(_read(source, base, axes)), axes[dim]), name)


def _reduction(source: Source, base: Array, tensors: list[Array], name: str) -> tuple[Array, ...]:
    rank = len(base.shape)
    chosen = sorted({source.integer(0, rank - 1) for _ in range(source.integer(1, 2))})
    axes = {dim: reduce_axis(base.shape[dim], f"r{dim}") for dim in chosen}
    kept = [dim for dim in range(rank) if dim not in axes] or []
    shape = tuple(base.shape[dim] for dim in kept) or (1,)
    reduce = source.choice(REDUCTIONS)

    def body(*outer: Expr) -> Expr:
        indices = [axes[dim] if dim in axes else outer[kept.index(dim)] for dim in range(rank)]
        value = _numbers(base[tuple(indices)])
        if source.integer(0, 2) == 0:
            value = _numbers(_combine(source, value, _operand(source, tensors, tuple(indices), value)))
        return reduce(value, axis=tuple(axes.values()))

    return _declare(shape, body, name)


def _declare(shape: tuple[int, ...], body: Any, name: str) -> tuple[Array, ...]:
    functions = {1: lambda i: body(i), 2: lambda i, j: body(i, j), 3: lambda i, j, k: body(i, j, k)}
    made: Any = compute(shape, functions[len(shape)], name=name)
    return made if isinstance(made, tuple) else (made,)


def _read(source: Source, tensor: Array, axes: tuple[Expr, ...]) -> Expr:
    """An element of the tensor near the point: shifted under a guard, mirrored, divided, wrapped or plain."""
    indices: list[Expr] = []
    guards: list[Expr] = []
    for dim, size in enumerate(tensor.shape):
        axis = axes[len(axes) - len(tensor.shape) + dim] if len(axes) >= len(tensor.shape) else axes[dim % len(axes)]
        kind = source.integer(0, 9)
        if kind == 0:
            index = axis + source.integer(-2, 2)
        elif kind == 1:
            index = (size - 1) - axis
        elif kind == 2:
            index = axis // source.integer(2, 3)
        elif kind == 3:
            index = axis % size
        elif kind == 4:
            index = axis * 2 + source.integer(-1, 1)
        else:
            index = axis + 0
        extent = getattr(axis, "extent", 10**6)
        if kind != 3 and not (kind >= 5 and extent <= size):
            guards += [index >= 0, index < size]
        indices.append(index)
    value = tensor[tuple(indices)]
    if not guards:
        return value
    condition = guards[0]
    for guard in guards[1:]:
        condition = condition & guard
    return select(condition, value, False if tensor.dtype == "bool" else source.integer(0, 3))


def _operand(source: Source, tensors: list[Array], axes: tuple[Expr, ...], value: Expr) -> Expr:
    kind = source.integer(0, 3)
    if kind == 0:
        return value
    if kind == 1 and value.dtype != "bool":
        return cast(source.integer(1, 3), value.dtype)
    return _read(source, source.choice(tensors), axes)


def _combine(source: Source, a: Expr, b: Expr) -> Expr:
    """An operation on both that float32 and float64 agree on."""
    if a.dtype == "bool" or b.dtype == "bool":
        if a.dtype == b.dtype == "bool":
            return source.choice((a & b, a | b, ~a, maximum(a, b)))
        flag, other = (a, b) if a.dtype == "bool" else (b, a)
        return source.choice((select(flag, other, 2), cast(flag, "int32"), cast(flag, other.dtype) + other))
    kind = source.integer(0, 9)
    if kind == 0:
        return a + b
    if kind == 1:
        return a - b
    if kind == 2:
        return maximum(a, b)
    if kind == 3:
        return minimum(a, b)
    if kind == 4:
        return a * cast(source.integer(1, 2), a.dtype)
    if kind == 5 and a.dtype != "uint8" and b.dtype != "uint8":
        return absolute(a) + b
    if kind == 6 and not a.dtype.startswith("float"):
        return a // source.integer(2, 5) + a % source.integer(1, 4)
    if kind == 7:
        return a < b
    if kind == 8 and a.dtype.startswith("float"):
        return exp(minimum(a, 1)) if source.integer(0, 1) else a * 0.5
    return select(a < b, a + 1, b)


def _gather(source: Source) -> Workload:
    rows, columns, picks = source.integer(1, 9), source.integer(1, 20), source.integer(1, 19)
    table = placeholder((rows, columns), source.choice(("float32", "int32")), "table")
    index = placeholder((picks,), source.choice(("int32", "int64")), "index")

    def clipped(i: Expr) -> Expr:
        return maximum(minimum(cast(index[i], "int64"), rows - 1), 0)

    return Workload(compute((picks, columns), lambda i, j: table[clipped(i), j] * 2, name="picked"))


# -- schedules -------------------------------------------------------------------------------------------------------


def draw_schedule(source: Source, output: Tensor, threads: bool = True) -> Schedule:
    """Random steps; those that a primitive refuses are left out."""
    schedule = create_schedule(output)
    if source.integer(0, 2) == 0:
        schedule = _tiled(source, schedule)
    for _ in range(source.integer(0, MAX_STEPS)):
        try:
            candidate = _step(source, schedule, threads)
        except ScheduleError as refusal:
            assert "stage" in str(refusal) or "axis" in str(refusal), str(refusal)
            continue
        schedule = candidate
    return _bounded(schedule)


def _tiled(source: Source, schedule: Schedule) -> Schedule:
    """The usual structure with random numbers: a tile in registers, producers computed inside the tile's loops."""
    output = schedule.output.name
    steps: list[tuple[Any, ...]] = [("cache_write", output)]
    axes = [axis.name for axis in schedule.output.axes]
    for axis in axes:
        if source.integer(0, 3):
            steps.append(("split", output, axis, [source.integer(1, 16) for _ in range(source.integer(1, 2))]))
    for step in steps:
        schedule = _tried(schedule, *step)
    outer = [loop for loop in schedule.state.stages[output].loops if loop.endswith(".0") or loop in axes]
    inner = [loop for loop in schedule.state.stages[output].loops if loop not in outer]
    schedule = _tried(schedule, "reorder", output, outer + inner)
    if source.integer(0, 2) == 0 and len(outer) > 1:
        schedule = _tried(schedule, "fuse", output, outer[: source.integer(2, len(outer))])
    names = list(schedule.state.stages)
    for name in reversed(names[:-1]):
        holder = source.choice([name for name in names if schedule.state.stages[name].loops])
        if source.integer(0, 3) and schedule.state.stages[name].loops:
            schedule = _tried(schedule, "compute_at", name, holder, source.choice(schedule.state.stages[holder].loops))
    tile = f"{output}.tile"
    if tile in schedule.state.stages:
        for loop in schedule.state.stages[tile].loops:
            if source.integer(0, 1):
                schedule = _tried(schedule, "split", tile, loop, [source.choice((1, 2, 3, 4, 8, 16))])
        loops = list(schedule.state.stages[tile].loops)
        reducing = [loop for loop in loops if loop in schedule.state.stages[tile].reduce_loops]
        spatial = [loop for loop in loops if loop not in reducing]
        schedule = _tried(schedule, "reorder", tile, reducing + spatial)
    for name in schedule.state.stages:
        loops = list(schedule.state.stages[name].loops)
        if loops and source.integer(0, 3):
            schedule = _tried(schedule, "vectorize", name, loops[-1])
            for loop in reversed(loops[:-1][-source.integer(0, 3) :]):
                schedule = _tried(schedule, "unroll", name, loop)
    return schedule


def _tried(schedule: Schedule, primitive: str, *arguments: Any) -> Schedule:
    try:
        applied: Schedule = getattr(schedule, primitive)(*arguments)
    except ScheduleError:
        return schedule
    return applied


def _bounded(schedule: Schedule) -> Schedule:
    """Without unrolling where the body would grow beyond what is worth compiling."""
    bounds = Bounds(schedule.state)
    size = 1
    for stage in bounds.stages.values():
        for loop in stage.stage.loops:
            if stage.stage.kind(loop) == "unroll":
                size *= int(stage.extents[loop])
    if size <= 300:
        return schedule
    try:
        return Schedule(schedule.output, tuple(step for step in schedule.steps if step.name != "unroll"))
    except ScheduleError:  # a vector loop had unrolled ones inside
        return create_schedule(schedule.output)


def _step(source: Source, schedule: Schedule, threads: bool) -> Schedule:
    stages = schedule.state.stages
    computes = [name for name, stage in stages.items() if not stage.tensor.is_placeholder]
    name = source.choice(computes)
    loops = stages[name].loops
    axis = source.choice(loops)
    kind = source.integer(0, 17)
    if kind <= 3:
        factors = [source.integer(1, 9) if source.integer(0, 2) else 16 for _ in range(source.choice((1, 1, 1, 2, 3)))]
        return schedule.split(name, axis, factors)
    if kind == 4:
        start = source.integer(0, len(loops) - 1)
        return schedule.fuse(name, list(loops[start : start + source.integer(2, 3)]))
    if kind <= 6:
        order = list(loops)
        for _ in range(source.integer(1, 5)):
            a, b = source.integer(0, len(order) - 1), source.integer(0, len(order) - 1)
            order[a], order[b] = order[b], order[a]
        return schedule.reorder(name, order)
    if kind <= 8:
        return schedule.vectorize(name, loops[-1] if source.integer(0, 2) else axis)
    if kind <= 10:
        return schedule.unroll(name, axis)
    if kind == 11:
        if not threads:
            return schedule
        return schedule.parallel(name, loops[0])
    if kind <= 13:
        consumer = source.choice(computes)
        return schedule.compute_at(name, consumer, source.choice(stages[consumer].loops))
    if kind == 14:
        return (
            schedule.cache_read(source.choice(list(stages)), name)
            if source.integer(0, 1)
            else schedule.cache_write(name)
        )
    if kind == 15:
        return schedule.decompose_reduction(name, axis)
    if kind == 16:
        return schedule.compute_inline(name)
    return _layout(source, schedule)


def _layout(source: Source, schedule: Schedule) -> Schedule:
    name = source.choice(list(schedule.state.stages))
    rank = len(schedule.state.stages[name].tensor.shape)
    blocks = [[dim, source.integer(1, 9)] for dim in range(rank) if source.integer(0, 2) == 0]
    blocked = {dim for dim, _ in blocks}
    order = [
        part for dim in range(rank) for part in ((f"{dim}.outer", f"{dim}.inner") if dim in blocked else (str(dim),))
    ]
    for _ in range(source.integer(0, 4)):
        a, b = source.integer(0, len(order) - 1), source.integer(0, len(order) - 1)
        order[a], order[b] = order[b], order[a]
    return schedule.transform_layout(name, blocks, order)


def draw_program(source: Source, threads: bool = True) -> tuple[Workload, Schedule] | None:
    """A workload and a schedule of it; None where the expression itself was refused."""
    try:
        workload = draw_workload(source)
    except UsageError:
        return None
    return workload, draw_schedule(source, workload.output, threads)
