"""Index arithmetic under known ranges: what simplifies, and that nothing changes its value anywhere."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.lowering.pipeline import lower
from autotune.lowering.printer import show, show_expr
from autotune.schedules.schedule import create_schedule
from autotune.targets.facts import X86_AVX2
from autotune.tensor_expr.affine import affine
from autotune.tensor_expr.expr import ARITHMETIC, COMPARISONS, Axis, Binary, Const, Expr, walk
from autotune.tensor_expr.ranges import Ranges
from autotune.tensor_expr.tensor import compute, placeholder
from autotune.tensor_expr.tensor import max as maximum
from autotune.tensor_expr.tensor import min as minimum


def axis(name: str, extent: int) -> Axis:
    return Axis("int64", name, extent)


def ranges_of(*axes: Axis) -> Ranges:
    return Ranges({a: (0, a.extent - 1) for a in axes})


def simplified(expr: Expr, *axes: Axis) -> str:
    return show_expr(ranges_of(*axes).linear(expr, {}).to_expr())


A, B, C, X = axis("i", 12), axis("j", 35), axis("k", 4), axis("x", 420)
GOLDEN: dict[str, tuple[Expr, str]] = {
    "common factor, quotient": ((8 * A + C) // 12, "i * 2 // 3"),
    "common factor, remainder": ((8 * A + C) % 12, "i * 2 % 3 * 4 + k"),
    "common factor with an offset": ((8 * A + 5) // 12, "(i * 2 + 1) // 3"),
    "nested quotients": (X // 4 // 5, "x // 20"),
    "nested quotients with an offset": ((X // 4 + 3) // 5, "(x + 12) // 20"),
    "remainder of a remainder": (X % 12 % 4, "x % 4"),
    "remainder of a multiple of a remainder": ((X % 6 * 2 + B) % 12, "(j + x * 2) % 12"),
    "taken apart and put together": (X // 7 * 7 + X % 7, "x"),
    "in another order and scaled": (X % 7 * 3 + (B + X // 7 * 21), "j + x * 3"),
    "three levels": (X // 12 * 12 + X % 12 // 4 * 4 + X % 4, "x"),
    "a quotient that is negative throughout": ((C - 4) // 8, "-1"),
    "a remainder below 0": ((C - 4) % 8, "k + 4"),
    "a quotient between two numbers": ((C + 17) // 8, "2"),
    "minimum that is decided": (minimum(minimum(A, 20), 15), "i"),
    "minimum of a minimum": (minimum(minimum(X, 30), 20), "min(x, 20)"),
    "maximum of a maximum": (maximum(maximum(X - 30, 0), X - 40), "max(x - 30, 0)"),
    "undecided": (X // 7 % 5, "x // 7 % 5"),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_rules(name: str) -> None:
    expr, text = GOLDEN[name]
    assert simplified(expr, A, B, C, X) == text


def reshaped(read: Callable[..., Expr], old: tuple[int, ...], new: tuple[int, ...]) -> Callable[..., Expr]:
    """The index expression of a reshape: ``read`` takes the indices of the old shape."""

    def at(*index: Expr) -> Expr:
        flat: Expr = Const("int64", 0)
        for position, size in zip(index, new, strict=True):
            flat = flat * size + position
        old_index = []
        for size in reversed(old):
            old_index.append(flat % size)
            flat = flat // size
        return read(*reversed(old_index))

    return at


def test_a_reshape_and_back_is_nothing() -> None:
    for dim, name in enumerate("ij"):
        there = reshaped(lambda *index: index[dim], (12, 35), (20, 21))  # noqa: B023
        back = reshaped(there, (20, 21), (12, 35))
        assert simplified(back(A, B), A, B) == name


def test_a_reshape_that_merges_dimensions() -> None:
    flat = axis("f", 12 * 35)
    rows, columns = (reshaped(lambda *index, d=d: index[d], (12, 35), (420,))(flat) for d in (0, 1))
    assert (simplified(rows, flat), simplified(columns, flat)) == ("f // 35", "f % 35")
    assert simplified(rows * 35 + columns, flat) == "f"


def test_attention_heads_and_back() -> None:
    """[batch, time, heads * size] to [batch * heads, time, size] and back, as attention does it."""
    batch, time, heads, size = 3, 11, 8, 16
    b, t, c = axis("b", batch), axis("t", time), axis("c", heads * size)
    for dim, name in enumerate("btc"):

        def read(*index: Expr) -> Expr:
            return index[dim]  # noqa: B023

        split = reshaped(read, (batch, time, heads * size), (batch, time, heads, size))
        merged = reshaped(
            lambda b, h, t, e: split(b, t, h, e),  # noqa: B023
            (batch, heads, time, size),
            (batch * heads, time, size),
        )
        parted = reshaped(merged, (batch * heads, time, size), (batch, heads, time, size))
        back = reshaped(
            lambda b, t, h, e: parted(b, h, t, e),  # noqa: B023
            (batch, time, heads, size),
            (batch, time, heads * size),
        )
        assert simplified(back(b, t, c), b, t, c) == name


def test_fused_and_split_loops() -> None:
    fused = axis("f", 12 * 35)
    i, j = fused // 35, fused % 35
    assert simplified(i * 35 + j, fused) == "f"
    outer, inner = axis("o", 3), axis("n", 8)
    split = outer * 8 + inner
    for expr, text in (
        (split // 8, "o"), (split % 8, "n"), (split // 4, "o * 2 + n // 4"), (split % 4, "n % 4"),
        (split // 16, "o // 2"),
    ):  # fmt: skip
        assert simplified(expr, outer, inner) == text


# -- nothing changes -------------------------------------------------------------------------------------------------


@st.composite
def expressions(draw: st.DrawFn, axes: tuple[Axis, ...]) -> Expr:
    """Sums, products, quotients, remainders and extrema, by numbers of few factors so that rules apply."""
    pool: list[Expr] = [*axes]
    for _ in range(draw(st.integers(1, 8))):
        a, b = draw(st.sampled_from(pool)), draw(st.sampled_from(pool))
        factor, offset = draw(st.sampled_from([2, 3, 4, 6, 8, 12])), draw(st.integers(-13, 13))
        pool.append(
            draw(
                st.sampled_from(
                    [a + b, a - b, a * factor, a + offset, a // factor, a % factor, a // factor * factor + a % factor,
                     minimum(a, b), maximum(a, offset), minimum(a + offset, b), a * factor + b]
                )
            )
        )  # fmt: skip
    return pool[-1]


def values_on(expr: Expr, grids: dict[Expr, np.ndarray]) -> np.ndarray:
    values: dict[int, np.ndarray] = {}
    for node in walk([expr]):
        if isinstance(node, Const):
            values[id(node)] = np.asarray(int(node.value))
        elif isinstance(node, Binary):
            values[id(node)] = ARITHMETIC[node.op](values[id(node.a)], values[id(node.b)])
        else:
            values[id(node)] = grids[node]
    return values[id(expr)]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_what_is_rewritten_keeps_its_value_everywhere(data: st.DataObject) -> None:
    axes = tuple(axis(name, data.draw(st.integers(1, 13))) for name in "abc")
    expr = data.draw(expressions(axes))
    known = ranges_of(*axes)
    form = known.linear(expr, {})
    points = np.meshgrid(*(np.arange(a.extent) for a in axes), indexing="ij")
    grids: dict[Expr, np.ndarray] = dict(zip(axes, points, strict=True))
    before = np.broadcast_to(values_on(expr, grids), points[0].shape)
    np.testing.assert_array_equal(np.broadcast_to(values_on(form.to_expr(), grids), before.shape), before)
    low, high = known.interval(form)
    assert low <= before.min() and before.max() <= high


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_what_facts_decide_holds_where_the_facts_do(data: st.DataObject) -> None:
    axes = tuple(axis(name, data.draw(st.integers(1, 9))) for name in "ab")
    points = np.meshgrid(*(np.arange(a.extent) for a in axes), indexing="ij")
    grids: dict[Expr, np.ndarray] = dict(zip(axes, points, strict=True))
    bound = data.draw(st.integers(-3, 15))
    fact = axes[0] * data.draw(st.integers(-2, 3)) + axes[1] * data.draw(st.integers(-2, 3))
    known = ranges_of(*axes).with_fact(affine(fact), bound)
    holds = values_on(fact, grids) <= bound
    expr = data.draw(expressions(axes))
    form = known.linear(expr, {})
    before, after = (np.broadcast_to(values_on(e, grids), holds.shape) for e in (expr, form.to_expr()))
    np.testing.assert_array_equal(after[holds], before[holds])
    other = data.draw(expressions(axes))
    for op in ("lt", "le", "gt", "ge", "eq", "ne"):
        decided = known.decide(op, form, known.linear(other, {}))
        if decided is not None and holds.any():
            compared = COMPARISONS[op](before, np.broadcast_to(values_on(other, grids), holds.shape))
            assert (compared[holds] == decided).all()


def test_inlined_reshapes_are_a_copy_in_the_loops() -> None:
    x = placeholder((12, 35), "float32", "x")
    there = compute((20, 21), reshaped(lambda *index: x[index], (12, 35), (20, 21)), name="there")
    back = compute((12, 35), reshaped(lambda *index: there[index], (20, 21), (12, 35)), name="back")
    text = show(lower(create_schedule(back).compute_inline("there"), X86_AVX2))
    assert "back[i0, i1] = x[i0, i1]" in text
