"""Random expressions: pipelines of element-wise computes, stencils, broadcasts, reductions and scans, and gathers.

Shapes are small and odd, some dimensions 1. Everything is built by the calls that a user has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from autotune.fuzz.choices import Choices
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
    saturating_cast,
    select,
)
from autotune.tensor_expr import max as maximum
from autotune.tensor_expr import min as minimum
from autotune.tensor_expr import sum as total
from autotune.tensor_expr.tensor import as_output

Array: TypeAlias = "Tensor | Component"
DTYPES = ("float32", "float32", "float32", "float64", "int32", "int64", "int8", "uint8", "bool", "float16", "bfloat16")


def draw_expression(choices: Choices) -> Workload:
    """A workload that is no operator of the library. Raises ``UsageError`` for one that makes no sense."""
    return choices.choice((_pipeline, _pipeline, _pipeline, _pipeline, _gather, _windows, _dot_products))(choices)


def _pipeline(choices: Choices) -> Workload:
    """Two to five computes: element-wise, stencils, mirrors, broadcasts, reductions and scans of what came before."""
    rank = choices.integer(1, 3)
    shape = tuple(choices.integer(1, 23 if dim == rank - 1 else 7) for dim in range(rank))
    constant = choices.one_in(4)
    tensors: list[Array] = [
        placeholder(shape, choices.choice(DTYPES), "p"),
        placeholder(shape[-1:], choices.choice(DTYPES), "q", constant=constant),
    ]
    made: tuple[Array, ...] = ()
    for number in range(choices.integer(1, 4)):
        made = _next_stage(choices, tensors, f"s{number}")
        tensors += made
    return Workload(as_output(made if choices.integer(0, 2) else made[-1:]))


def _windows(choices: Choices) -> Workload:
    """Two stencils of one image, of one shape, and a third of both; one number scales them."""
    rows, columns, border = choices.integer(1, 13), choices.integer(1, 19), choices.integer(0, 2)
    x = placeholder((rows + 2 * border, columns + 2), choices.choice(("float32", "int32", "uint8")), "x")
    scale = placeholder((1,), choices.choice(("float32", "int32")), "scale")
    shape = (rows + border, columns + 1)

    def stencil(name: str) -> Array:
        reach = [(choices.integer(0, border), choices.integer(0, 1)) for _ in range(choices.integer(1, 3))]
        (made,) = _declare(shape, lambda i, j: _summed([x[i + di, j + dj] for di, dj in reach]) * scale[0], name)
        return made

    a, b = stencil("a"), stencil("b")
    reach = [(choices.integer(0, border), choices.integer(0, 1)) for _ in range(choices.integer(1, 3))]
    step = choices.choice((1, 1, 2))
    size = ((rows - 1) // step + 1, columns)

    def joined(i: Expr, j: Expr) -> Expr:
        return _summed([maximum(a[i * step + di, j + dj], b[i * step + di, j]) for di, dj in reach])

    return Workload(compute(size, joined, name="c"))


def _summed(values: list[Expr]) -> Expr:
    result = values[0]
    for value in values[1:]:
        result = result + value
    return result


def _dot_products(choices: Choices) -> Workload:
    """A product of matrices whose right one holds small groups of rows side by side, as instructions want them.

    Or one of floats whose right one is computed of a constant.
    """
    dtype, other, wide, group = choices.choice((
        ("uint8", "int8", "int32", 4), ("int8", "int8", "int32", 4), ("bfloat16", "bfloat16", "float32", 2),
        ("float32", "float32", "float32", 1),
    ))  # fmt: skip
    m, n, k = choices.integer(1, 7), choices.integer(3, 37), choices.integer(1, 5)
    constant = dtype == "float32"
    a, b = placeholder((m, k * group), dtype, "a"), placeholder((k, n, group), other, "b", constant=constant)
    if constant:
        given = b
        b = compute((k, n, group), lambda h, j, g: given[h, j, g] * select(j == 0, 2.0, 0.5), "scaled")
    r, s = reduce_axis(k, "r"), reduce_axis(group, "s")
    return Workload(
        compute((m, n), lambda i, j: total(cast(a[i, r * group + s], wide) * cast(b[r, j, s], wide), axis=(r, s)), "c")
    )


def _next_stage(choices: Choices, tensors: list[Array], name: str) -> tuple[Array, ...]:
    base = tensors[-1] if choices.integer(0, 3) else choices.choice(tensors)
    kind = choices.integer(0, 11)
    if kind <= 3 and base.shape:
        return _reduction(choices, base, tensors, name)
    if kind == 4:
        return _scan(choices, base, name)
    shape = tuple(max_size(choices, size) for size in base.shape)

    def body(*axes: Expr) -> Expr:
        value = _read(choices, base, axes)
        for _ in range(choices.integer(0, 3)):
            value = _combine(choices, value, _operand(choices, tensors, axes, value))
        return value

    return _declare(shape, body, name)


def max_size(choices: Choices, size: int) -> int:
    """Mostly the same size, at times one more, fewer, or twice."""
    return choices.choice((size, size, size, size + 1, max(1, size - 2), 2 * size))


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


def _scan(choices: Choices, base: Array, name: str) -> tuple[Array, ...]:
    scan, dim = choices.choice(SCANS), choices.integer(0, len(base.shape) - 1)
    return _declare(base.shape, lambda *axes: scan(_numbers(_read(choices, base, axes)), axes[dim]), name)


def _reduction(choices: Choices, base: Array, tensors: list[Array], name: str) -> tuple[Array, ...]:
    rank = len(base.shape)
    chosen = sorted({choices.integer(0, rank - 1) for _ in range(choices.integer(1, 2))})
    axes = {dim: reduce_axis(base.shape[dim], f"r{dim}") for dim in chosen}
    kept = [dim for dim in range(rank) if dim not in axes] or []
    shape = tuple(base.shape[dim] for dim in kept) or (1,)
    reduce = choices.choice(REDUCTIONS)

    def body(*outer: Expr) -> Expr:
        indices = [axes[dim] if dim in axes else outer[kept.index(dim)] for dim in range(rank)]
        value = _numbers(base[tuple(indices)])
        if choices.one_in(3):
            value = _numbers(_combine(choices, value, _operand(choices, tensors, tuple(indices), value)))
        return reduce(value, axis=tuple(axes.values()))

    return _declare(shape, body, name)


def _declare(shape: tuple[int, ...], body: Callable[..., Any], name: str) -> tuple[Array, ...]:
    functions: dict[int, Callable[..., Any]] = {
        1: lambda i: body(i),
        2: lambda i, j: body(i, j),
        3: lambda i, j, k: body(i, j, k),
    }
    made: Any = compute(shape, functions[len(shape)], name=name)
    return made if isinstance(made, tuple) else (made,)


def _read(choices: Choices, tensor: Array, axes: tuple[Expr, ...]) -> Expr:
    """An element of the tensor near the point: shifted under a guard, mirrored, divided, wrapped or plain."""
    indices: list[Expr] = []
    guards: list[Expr] = []
    for dim, size in enumerate(tensor.shape):
        axis = axes[len(axes) - len(tensor.shape) + dim] if len(axes) >= len(tensor.shape) else axes[dim % len(axes)]
        kind = choices.integer(0, 9)
        if kind == 0:
            index = axis + choices.integer(-2, 2)
        elif kind == 1:
            index = (size - 1) - axis
        elif kind == 2:
            index = axis // choices.integer(2, 3)
        elif kind == 3:
            index = axis % size
        elif kind == 4:
            index = axis * 2 + choices.integer(-1, 1)
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
    return select(condition, value, False if tensor.dtype == "bool" else choices.integer(0, 3))


def _operand(choices: Choices, tensors: list[Array], axes: tuple[Expr, ...], value: Expr) -> Expr:
    kind = choices.integer(0, 3)
    if kind == 0:
        return value
    if kind == 1 and value.dtype != "bool":
        return cast(choices.integer(1, 3), value.dtype)
    return _read(choices, choices.choice(tensors), axes)


def _combine(choices: Choices, a: Expr, b: Expr) -> Expr:
    """An operation on both that float32 and float64 agree on."""
    if a.dtype == "bool" or b.dtype == "bool":
        if a.dtype == b.dtype == "bool":
            return choices.choice((a & b, a | b, ~a, maximum(a, b)))
        flag, other = (a, b) if a.dtype == "bool" else (b, a)
        return choices.choice((select(flag, other, 2), cast(flag, "int32"), cast(flag, other.dtype) + other))
    kind = choices.integer(0, 11)
    if kind >= 10 and a.dtype in dtypes.INTEGERS:
        return _bits(choices, a, b)
    if kind == 0:
        return a + b
    if kind == 1:
        return a - b
    if kind == 2:
        return maximum(a, b)
    if kind == 3:
        return minimum(a, b)
    if kind == 4:
        return a * cast(choices.integer(1, 2), a.dtype)
    if kind == 5 and a.dtype != "uint8" and b.dtype != "uint8":
        return absolute(a) + b
    if kind == 6 and not a.dtype.startswith("float"):
        return a // choices.integer(2, 5) + a % choices.integer(1, 4)
    if kind == 7:
        return a < b
    if kind == 8 and a.dtype.startswith("float"):
        return exp(minimum(a, 1)) if choices.integer(0, 1) else a * 0.5
    return select(a < b, a + 1, b)


def _bits(choices: Choices, a: Expr, b: Expr) -> Expr:
    """An operation on integers whose edges are defined: shifts by any amount, division by 0, narrowing."""
    if b.dtype not in dtypes.INTEGERS:
        return saturating_cast(a, choices.choice(dtypes.INTEGERS)) + cast(b, "int16")
    operations: tuple[Callable[[Expr, Expr], Expr], ...] = (
        lambda a, b: a & b,
        lambda a, b: a | ~b,
        lambda a, b: a ^ b,
        lambda a, b: a << b,
        lambda a, b: a >> b,
        lambda a, b: a // b,
        lambda a, b: a % b,
        lambda a, b: saturating_cast(a - b, "int8"),
    )
    return choices.choice(operations)(a, b)


def _gather(choices: Choices) -> Workload:
    rows, columns, picks = choices.integer(1, 9), choices.integer(1, 20), choices.integer(1, 19)
    table = placeholder((rows, columns), choices.choice(("float32", "int32")), "table")
    index = placeholder((picks,), choices.choice(("int32", "int64")), "index")

    def clipped(i: Expr) -> Expr:
        return maximum(minimum(cast(index[i], "int64"), rows - 1), 0)

    return Workload(compute((picks, columns), lambda i, j: table[clipped(i), j] * 2, name="picked"))
