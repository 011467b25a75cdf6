"""What holds all over a lowered function: the ranges of its variables, and which loads they prove to be in bounds.

Every loop has a variable of its own, so that one table serves the whole function.
"""

from __future__ import annotations

from autotune.lowering.ir import For, Function, expressions, statements
from autotune.tensor_expr.affine import affine
from autotune.tensor_expr.expr import Const, Load, walk
from autotune.tensor_expr.ranges import Ranges


def function_ranges(function: Function) -> Ranges:
    """The ranges of all loop variables, and that each is below its loop's extent."""
    ranges = Ranges()
    for stmt in statements(function.body):
        if isinstance(stmt, For):
            extent = affine(stmt.extent)
            high = ranges.interval(extent)[1]
            ranges = ranges.with_var(stmt.var, 0, int(high) - 1 if high != float("inf") else 2**40)
            if not isinstance(stmt.extent, Const):
                ranges = ranges.with_fact(affine(stmt.var) - extent, -1)
    return ranges


def in_bounds(load: Load, ranges: Ranges) -> bool:
    """Whether every index is certain to lie inside the buffer."""
    for index, size in zip(load.indices, load.buffer.shape, strict=True):
        form = affine(index)
        if not (ranges.at_least(form, 0) and ranges.at_most(form, size - 1)):
            return False
    return True


def unproven_loads(function: Function, ranges: Ranges) -> frozenset[int]:
    """The ids of loads that lie in bounds only thanks to a condition around them, as in padding."""
    found: set[int] = set()
    for stmt in statements(function.body):
        for node in walk(expressions(stmt)):
            if isinstance(node, Load) and not in_bounds(node, ranges):
                found.add(id(node))
    return frozenset(found)
