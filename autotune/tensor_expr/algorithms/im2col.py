"""Convolution as one matrix product over an image whose windows are unfolded into columns."""

from __future__ import annotations

from autotune.tensor_expr import dtypes
from autotune.tensor_expr.algorithms.channels import channels_last
from autotune.tensor_expr.algorithms.registry import Alternative, accumulated, algorithm
from autotune.tensor_expr.expr import Expr
from autotune.tensor_expr.operators.shared.convolution import convolution_of
from autotune.tensor_expr.tensor import compute, reduce_axis, sum
from autotune.tensor_expr.workload import Workload


@algorithm("conv2d", "im2col")
def im2col(workload: Workload) -> Alternative | None:
    """One matrix product a group, of the windows of all outputs and the filters::

        pixels[b, y, z, c]      the image, channels last; and with zeros around it
        columns[b, p, k, c]     what output p = (i, j) sees at place k of its window: rows of channels, copied
        filters[g, k, c, o]     which reads constants alone
        product[b, g, p, o]     = sum(k, c) columns[b, p, k, (g, c)] * filters[g, k, c, o]
        conv[b, (g, o), i, j]   the same, channels first

    An image's outputs are one dimension, along which registers are filled however narrow the image is. The sums have
    the terms of the direct definition in another order. Not for 16-bit floats.
    """
    found = convolution_of(workload)
    if found.dtype in dtypes.NARROW:
        return None
    x, w = workload.placeholders
    rows, columns = found.windows
    (height, width), area = found.outputs, rows.kernel * columns.kernel
    depth, pixels = found.group_in * area, height * width
    source = channels_last(x, found.windows)
    unfolded = compute(
        (found.batch, pixels, area, found.in_channels),
        lambda b, p, k, c: source[
            b, rows.at(p // width, k // columns.kernel), columns.at(p % width, k % columns.kernel), c
        ],
        name="columns",
    )
    filters = compute(
        (found.groups, area, found.group_in, found.group_out),
        lambda g, k, c, o: w[g * found.group_out + o, c, k // columns.kernel, k % columns.kernel],
        name="filters",
    )
    place, channel = reduce_axis(area, "rk"), reduce_axis(found.group_in, "rc")
    product = compute(
        (found.batch, found.groups, pixels, found.group_out),
        lambda b, g, p, o: sum(
            unfolded[b, p, place, g * found.group_in + channel] * filters[g, place, channel, o], axis=(place, channel)
        ),
        name="product",
    )

    def element(b: Expr, o: Expr, i: Expr, j: Expr) -> Expr:
        group, offset = (0, o) if found.groups == 1 else (o // found.group_out, o % found.group_out)
        return product[b, group, i * width + j, offset]

    conv = compute((found.batch, found.out_channels, height, width), element, name="conv")
    note = f"a matrix product of {pixels}x{depth} by {depth}x{found.group_out} for each group and image"
    return Alternative(conv, accumulated(depth, found.dtype), 2.0, note)
