"""Winograd's convolution: tiles of outputs by products of transformed tiles and transformed filters.

Lavin and Gray 2016, arXiv:1509.09308, section 4. Where a direct convolution multiplies 9 times for an output of a 3x3
filter, F(2x2, 3x3) multiplies 4 times and F(4x4, 3x3) 2.25 times.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from math import prod

from autotune.tensor_expr.algorithms.channels import channels_last
from autotune.tensor_expr.algorithms.cook_toom import Matrix, Transforms, cook_toom, norm, terms
from autotune.tensor_expr.algorithms.registry import UNIT_ROUNDOFF, Alternative, accumulated, algorithm
from autotune.tensor_expr.expr import Expr, select
from autotune.tensor_expr.operators.shared.convolution import Convolution, convolution_of
from autotune.tensor_expr.tensor import Tensor, compute, reduce_axis, sum
from autotune.tensor_expr.workload import Workload

TAPS = 3


@algorithm("conv2d", "winograd_f2x3")
def winograd_f2x3(workload: Workload) -> Alternative | None:
    """F(2x2, 3x3): tiles of 2x2 outputs, with 2.25 times fewer multiplications.

    In float32 and float64, for a 3x3 window with stride, dilation and groups of 1. The steps are, over tiles of 4x4
    elements, with positions (u, v) in a tile::

        pixels[b, y, z, c]   the image, channels last; and with zeros around it
        data[u, v, p, c]     B^T d B of every tile p = (b, tile row, tile column)
        weights[u, v, o, c]  G g G^T, which reads constants alone
        product[u, v, p, o]  = sum(c) data[u, v, p, c] * weights[u, v, o, c]
        tiles[b, i, j, o]    A^T product A
        conv[b, o, i, j]     the same, channels first

    Channels are last, since there are many of them however small an image is: vectors lie along them in every step.
    """
    return _winograd(2, 4.0, workload)


@algorithm("conv2d", "winograd_f4x3")
def winograd_f4x3(workload: Workload) -> Alternative | None:
    """F(4x4, 3x3): tiles of 4x4 outputs, with 4 times fewer multiplications, over tiles of 6x6 elements.

    For what ``winograd_f2x3`` computes, in the same steps; its transforms hold larger numbers, and lose more digits.
    """
    return _winograd(4, 40.0, workload)


def _winograd(size: int, error_factor: float, workload: Workload) -> Alternative | None:
    found = convolution_of(workload)
    plain = all((w.kernel, w.stride, w.dilation) == (TAPS, 1, 1) for w in found.windows)
    if not plain or found.groups != 1 or found.dtype not in UNIT_ROUNDOFF:
        return None
    x, w = workload.placeholders
    transforms = cook_toom(size, TAPS)
    data, weights = _data(found, x, size, transforms.data), _weights(w, transforms.filter)
    edge, c = size + TAPS - 1, reduce_axis(found.in_channels, "rc")
    product = compute(
        (edge, edge, data.shape[2], found.out_channels),
        lambda u, v, p, o: sum(data[u, v, p, c] * weights[u, v, o, c], axis=c),
        name="product",
    )
    saved = 9 * size**2 / edge**2
    note = f"tiles of {size}x{size} outputs: {saved:.2f} times fewer multiplications than the direct definition"
    bound = error_bound(transforms, found.in_channels, found.dtype)
    return Alternative(_output(found, product, size, transforms.output), bound, error_factor, note)


def _tiles(found: Convolution, size: int) -> tuple[int, int]:
    """Rows and columns of tiles."""
    height, width = found.outputs
    return -(-height // size), -(-width // size)


def _data(found: Convolution, x: Tensor, size: int, matrix: Matrix) -> Tensor:
    rows, columns = _tiles(found, size)
    overhangs = (tiles * size + TAPS - 1 - w.padded for tiles, w in zip((rows, columns), found.windows, strict=True))
    covering = tuple(replace(w, overhang=more) for w, more in zip(found.windows, overhangs, strict=True))
    source, edge = channels_last(x, covering), len(matrix)

    def element(u: Expr, v: Expr, p: Expr, c: Expr) -> Expr:
        b, i, j = p // (rows * columns), p // columns % rows * size, p % columns * size
        return transformed_twice(matrix, u, v, lambda k, n: source[b, i + k, j + n, c])

    return compute((edge, edge, found.batch * rows * columns, found.in_channels), element, name="data")


def _weights(w: Tensor, matrix: Matrix) -> Tensor:
    edge, (outputs, inputs, *_) = len(matrix), w.shape
    along_columns = compute(
        (edge, outputs, inputs, TAPS),
        lambda u, o, c, q: transformed(matrix, u, lambda k: w[o, c, k, q]),
        name="weight_columns",
    )
    return compute(
        (edge, edge, outputs, inputs),
        lambda u, v, o, c: transformed(matrix, v, lambda k: along_columns[u, o, c, k]),
        name="weights",
    )


def _output(found: Convolution, product: Tensor, size: int, matrix: Matrix) -> Tensor:
    rows, columns = _tiles(found, size)

    def element(b: Expr, i: Expr, j: Expr, o: Expr) -> Expr:
        p = (b * rows + i // size) * columns + j // size
        return transformed_twice(matrix, i % size, j % size, lambda u, v: product[u, v, p, o])

    tiled = compute((found.batch, rows * size, columns * size, found.out_channels), element, name="tiles")
    shape = (found.batch, found.out_channels, *found.outputs)
    return compute(shape, lambda b, o, i, j: tiled[b, i, j, o], name="conv")


def transformed_twice(matrix: Matrix, row: Expr, column: Expr, value: Callable[[int, int], Expr]) -> Expr:
    """Element (row, column) of the matrix times a square of values times the transposed matrix."""
    return transformed(matrix, column, lambda n: transformed(matrix, row, lambda k: value(k, n)))


def transformed(matrix: Matrix, row: Expr, value: Callable[[int], Expr]) -> Expr:
    """Row ``row`` of the matrix times the vector ``value(0), value(1), ...``, without its zeros."""
    values = [value(position) for position in range(len(matrix[0]))]
    *first, last = [_combined(coefficients, values) for coefficients in matrix]
    result = last
    for number in reversed(range(len(first))):
        result = select(row == number, first[number], result)
    return result


def _combined(coefficients: tuple[Fraction, ...], values: list[Expr]) -> Expr:
    """The sum, as a chain of multiply-adds that begins with a plain value where there is one."""
    terms = [pair for pair in zip(coefficients, values, strict=True) if pair[0] != 0]
    terms.sort(key=lambda pair: pair[0] != 1)
    factor, first = terms[0]
    result = first if factor == 1 else first * float(factor)
    for factor, value in terms[1:]:
        if abs(factor) == 1:
            result = result + value if factor == 1 else result - value
        else:
            result = result + value * float(factor)
    return result


def error_bound(transforms: Transforms, channels: int, dtype: str) -> float:
    """The worst case over ``max |x| * max sum |w|``.

    Each transform, applied along both dimensions, enlarges values by its norm squared at most, and rounds each result
    once for every term of a row (G's numbers are rounded themselves); the sum over channels rounds once for each.
    """
    parts = (transforms.output, transforms.filter, transforms.data)
    growth = prod(norm(part) ** 2 for part in parts)
    roundings = channels + 2 * (terms(parts[0]) + terms(parts[1]) + 1 + terms(parts[2]))
    return growth * accumulated(roundings, dtype)
