"""Stages that several others read inside one loop: computed exactly as far as all of them together read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest
from differential import compare, inputs_of
from hypothesis import given, settings
from hypothesis import strategies as st

from autotune.lowering.interpreter import interpret
from autotune.lowering.ir import Allocate, For, Function, statements
from autotune.lowering.pipeline import lower
from autotune.schedules.bounds import Bounds
from autotune.schedules.primitives import Knob
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.targets.facts import X86_AVX512
from autotune.targets.host import native_target
from autotune.tensor_expr import Expr, Tensor, compute, placeholder, reduce_axis, select
from autotune.tensor_expr import sum as total
from autotune.tensor_expr.evaluate import evaluate
from autotune.tensor_expr.expr import ARITHMETIC, Binary, Const, Var, walk


def unsharp(rows: int = 21, columns: int = 19) -> Tensor:
    """A blur in two stages and the difference from what it blurs: ``g`` has two readers, two and none stages away."""
    x = placeholder((rows, columns), "float32", "x")
    g = compute((rows, columns), lambda i, j: x[i, j] * 2, name="g")
    bx = compute((rows, columns - 2), lambda i, j: g[i, j] + g[i, j + 1] + g[i, j + 2], name="bx")
    by = compute((rows - 2, columns - 2), lambda i, j: bx[i, j] + bx[i + 1, j] + bx[i + 2, j], name="by")
    return compute((rows - 2, columns - 2), lambda i, j: g[i + 1, j + 1] * 2 - by[i, j], name="s")


def tiled(output: Tensor, rows: int | Knob, columns: int | Knob) -> Schedule:
    """All stages computed inside the tiles of the last."""
    schedule = create_schedule(output).tile(output.name, ["i", "j"], [rows, columns])
    inner = [name for name, stage in schedule.state.stages.items() if not stage.tensor.is_placeholder][:-1]
    for name in reversed(inner):
        schedule = schedule.compute_at(name, output.name, "j.0")
    return schedule


def shapes(function: Function) -> dict[str, tuple[int, ...]]:
    return {s.buffer.name: s.buffer.shape for s in statements(function.body) if isinstance(s, Allocate)}


def test_a_hull_over_several_readers() -> None:
    function = lower(tiled(unsharp(), 4, 5), X86_AVX512)
    assert shapes(function) == {"g": (6, 7), "bx": (6, 5), "by": (4, 5)}


@pytest.mark.parametrize(("read", "size"), [(lambda i: i + 3, 8), (lambda i: 2 * i, 40), (lambda i: i % 7, 40)])
def test_readers_that_do_not_move_together_take_the_whole_dimension(read: object, size: int) -> None:
    x = placeholder((40,), "float32", "x")
    a = compute((40,), lambda i: x[i] + 1, name="a")
    b = compute((12,), lambda i: a[read(i)] * 3, name="b")  # type: ignore[operator]
    c = compute((12,), lambda i: a[i] + b[i], name="c")
    schedule = create_schedule(c).split("c", "i", [5]).compute_at("b", "c", "i.0").compute_at("a", "c", "i.0")
    assert shapes(lower(schedule, X86_AVX512))["a"] == (size,)
    assert compare(schedule, native_target()) == ""


def test_reads_under_conditions_at_borders() -> None:
    x = placeholder((21,), "float32", "x")
    g = compute((21,), lambda i: x[i] * 2, name="g")
    a = compute((9,), lambda i: g[i] + g[i + 1], name="a")
    b = compute((21,), lambda i: select(i < 9, a[i] * g[i], g[i]), name="b")
    c = compute((21,), lambda i: select((i >= 2) & (i < 11), a[i - 2], 0.0) + b[i] - g[i], name="c")
    schedule = create_schedule(c).split("c", "i", [6])
    for name in ("b", "a", "g"):
        schedule = schedule.compute_at(name, "c", "i.0")
    assert compare(schedule, native_target()) == ""
    function, inputs = lower(schedule, X86_AVX512), inputs_of(c)
    assert shapes(function) == {"g": (9,), "a": (8,), "b": (6,)}
    # Where nothing of ``a`` is needed any more, none is computed: it would read ``g`` where that is not.
    np.testing.assert_allclose(interpret(function, list(inputs.values()))[0], evaluate(c, inputs), rtol=1e-5)


def _value(expr: Expr, variables: Mapping[Expr, int]) -> int:
    done: dict[int, int] = {}
    for node in walk([expr]):
        if isinstance(node, Const):
            done[id(node)] = int(node.value)
        elif isinstance(node, Var):
            done[id(node)] = variables[node]
        else:
            assert isinstance(node, Binary), node
            done[id(node)] = int(ARITHMETIC[node.op](done[id(node.a)], done[id(node.b)]))
    return done[id(expr)]


def _most(function: Function, name: str) -> Iterator[int]:
    """The most iterations that each loop of a buffer's nest runs, over all iterations of the tile loops around."""
    tiles = [s for s in statements(function.body) if isinstance(s, For) and s.var.name in ("i.0", "j.0")]
    (home,) = [s for s in statements(function.body) if isinstance(s, Allocate) and s.buffer.name == name]
    nest = home.body.statements[0] if hasattr(home.body, "statements") else home.body  # type: ignore[attr-defined]
    for loop in [s for s in statements(nest) if isinstance(s, For)]:
        counts = []
        for places in np.ndindex(*[_value(tile.extent, {}) for tile in tiles]):
            counts.append(_value(loop.extent, dict(zip([tile.var for tile in tiles], places, strict=True))))
        yield max(counts)


@st.composite
def pipelines(draw: st.DrawFn) -> Tensor:
    """Stencils over a 2-D image, each of which reads one to three earlier stages, all without borders."""
    margin = 12
    x = placeholder((20 + 2 * margin, 24 + 2 * margin), "float32", "x")
    made = [compute(x.shape, lambda i, j: x[i, j] + 1, name="s0")]
    for number in range(1, draw(st.integers(2, 4))):
        shape = tuple(size - 4 for size in made[-1].shape)
        sources = [made[-1], *(draw(st.sampled_from(made)) for _ in range(draw(st.integers(0, 2))))]
        offsets = [[draw(st.integers(0, 4)) for _ in range(2)] for _ in sources]

        def body(i: Expr, j: Expr, sources: list[Tensor] = sources, offsets: list[list[int]] = offsets) -> Expr:
            terms = [tensor[i + a, j + b] for tensor, (a, b) in zip(sources, offsets, strict=True)]
            return sum(terms[1:], terms[0])

        made.append(compute(shape, lambda i, j, body=body: body(i, j), name=f"s{number}"))
    return made[-1]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(pipelines(), st.integers(1, 5), st.integers(2, 5))
def test_trip_counts_are_those_of_the_bounds(output: Tensor, rows: int, columns: int) -> None:
    schedule = tiled(output, rows, columns)
    function = lower(schedule, X86_AVX512, check=True)
    stages = Bounds(schedule.state).stages
    for name, shape in shapes(function).items():
        extents = tuple(int(extent) for extent in stages[name].axes.values())
        assert shape == extents
        assert tuple(_most(function, name)) == tuple(extent for extent in extents if extent > 1)


def test_columns_agree_with_numbers() -> None:
    rows, columns = np.array([1, 4, 7, 19]), np.array([5, 2, 17, 3])
    sketch = tiled(unsharp(), Knob("rows", (4,)), Knob("columns", (5,)))
    together = Bounds(sketch.replay({"rows": rows, "columns": columns})).stages
    for position in range(len(rows)):
        alone = Bounds(tiled(unsharp(), int(rows[position]), int(columns[position])).state).stages
        for name, stage in alone.items():
            found = {axis: int(np.broadcast_to(e, 4)[position]) for axis, e in together[name].axes.items()}
            assert found == dict(stage.axes)


def test_fused_axes_of_a_region_beyond_the_tensor() -> None:
    """Found by fuzzing: fused, a region that ends at the border was computed beyond it."""
    p = placeholder((6, 5, 20), "float32", "p")
    r = reduce_axis(5, "r")
    s = compute((6, 20), lambda i, j: total(p[i, r, j], axis=r), name="s")
    y = compute((12, 20), lambda i, j: select(i < 6, s[i, 19 - j], 0), name="y")
    schedule = create_schedule(y).compute_at("s", "y", "j").fuse("s", ["i", "j"])
    assert compare(schedule, native_target()) == ""
