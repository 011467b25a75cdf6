"""Convolution as one matrix product over an image whose windows are unfolded into columns."""

from __future__ import annotations

from autotune.tensor_expr import dtypes
from autotune.tensor_expr.algorithms.registry import Alternative, accumulated, algorithm
from autotune.tensor_expr.operators.shared.convolution import convolution_of
from autotune.tensor_expr.tensor import compute, reduce_axis, sum
from autotune.tensor_expr.workload import Workload


@algorithm("conv2d", "im2col")
def im2col(workload: Workload) -> Alternative | None:
    """``columns[b, (c, p, q), (i, j)]`` holds what every output sees; ``product = filters @ columns``.

    A window's elements, and an image's outputs, are one dimension each, along which registers are filled however
    narrow the image is. The sums have the terms of the direct definition, and so its error. Not for 16-bit floats.
    """
    found = convolution_of(workload)
    if found.dtype in dtypes.NARROW:
        return None
    x, w = workload.placeholders
    rows, columns = found.windows
    (height, width), area = found.outputs, rows.kernel * columns.kernel
    depth, pixels = found.group_in * area, height * width
    source = found.padded(x)
    unfolded = compute(
        (found.batch, found.in_channels * area, pixels),
        lambda b, k, p: source[
            b,
            k // area,
            rows.at(p // width, k % area // columns.kernel),
            columns.at(p % width, k % columns.kernel),
        ],
        name="columns",
    )
    filters = compute(
        (found.out_channels, depth),
        lambda o, k: w[o, k // area, k % area // columns.kernel, k % columns.kernel],
        name="filters",
    )
    r = reduce_axis(depth, "r")
    product = compute(
        (found.batch, found.out_channels, pixels),
        lambda b, o, p: sum(unfolded[b, o // found.group_out * depth + r, p] * filters[o, r], axis=r),
        name="product",
    )
    conv = compute(
        (found.batch, found.out_channels, height, width), lambda b, o, i, j: product[b, o, i * width + j], name="conv"
    )
    note = f"a matrix product of {found.group_out}x{depth} by {depth}x{pixels} for each group and image"
    return Alternative(conv, accumulated(depth, found.dtype), 1.0, note)
