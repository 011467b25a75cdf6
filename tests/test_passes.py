"""The passes over the loop IR: what each changes, what it must leave alone, and what the verifier finds."""

from __future__ import annotations

import pytest
from differential import compare
from operators_for_tests import matmul

from autotune.lowering.ir import Allocate, Buffer, For, Function, If, Param, Stmt, Store, block
from autotune.lowering.passes.verify import VerifyError, verify
from autotune.lowering.pipeline import PASSES, changes, lower
from autotune.lowering.printer import show
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.targets.facts import X86_AVX512
from autotune.targets.host import native_target
from autotune.tensor_expr import compute, placeholder, reduce_axis
from autotune.tensor_expr import sum as total
from autotune.tensor_expr.expr import Axis, Binary, Call, Cast, Compare, Const, Expr, Load, Not, Select, Var, const


def text_of(schedule: Schedule) -> str:
    return show(lower(schedule, X86_AVX512, check=True))


class TestPromoteAccumulators:
    def test_a_plain_matmul(self) -> None:
        schedule = create_schedule(matmul()).reorder("c", ["i", "r", "j"]).vectorize("c", "j")
        assert (
            text_of(schedule)
            == """
kernel(a: input float32[7, 5], b: constant float32[5, 21], c: output float32[7, 21])
    for i in 0..7:
        vectorize for j in 0..16:
            c[i, j] = 0.0
        vectorize for j_2 in 0..5:
            c[i, j_2 + 16] = 0.0
        c.sum = buffer float32[5]
        c.sum = buffer float32[16]
        vectorize for j_3 in 0..16:
            c.sum[j_3] = c[i, j_3]
        vectorize for j_4 in 0..5:
            c.sum[j_4] = c[i, j_4 + 16]
        for r in 0..5:
            vectorize for j_3 in 0..16:
                c.sum[j_3] = c.sum[j_3] + a[i, r] * b[r, j_3]
            vectorize for j_4 in 0..5:
                c.sum[j_4] = c.sum[j_4] + a[i, r] * b[r, j_4 + 16]
        vectorize for j_3 in 0..16:
            c[i, j_3] = c.sum[j_3]
        vectorize for j_4 in 0..5:
            c[i, j_4 + 16] = c.sum[j_4]
""".strip()
        )
        assert compare(schedule, native_target()) == ""

    def test_at_the_outermost_loop_that_stands_still(self) -> None:
        schedule = create_schedule(matmul()).split("c", "r", [2]).split("c", "j", [16])
        schedule = schedule.reorder("c", ["r.0", "i", "j.0", "r.1", "j.1"]).vectorize("c", "j.1")
        text = text_of(schedule)
        assert text.index("for i") < text.index("c.sum = buffer") < text.index("for r.1")
        assert compare(schedule, native_target()) == ""

    def test_partial_sums_in_a_local_buffer(self) -> None:
        schedule = (
            create_schedule(matmul()).cache_write("c").reorder("c.tile", ["i", "r", "j"]).vectorize("c.tile", "j")
        )
        assert "c.tile.sum = buffer" in text_of(schedule)
        assert compare(schedule, native_target()) == ""

    def test_what_is_in_registers_already_stays(self) -> None:
        schedule = create_schedule(matmul()).cache_write("c").compute_at("c.tile", "c", "i")
        schedule = schedule.reorder("c.tile", ["i", "r", "j"]).vectorize("c.tile", "j").vectorize("c", "j")
        assert ".sum" not in text_of(schedule)

    def test_a_tile_beyond_the_registers_stays_in_memory(self) -> None:
        x = placeholder((40, 16, 9), "float32", "x")
        k = reduce_axis(9, "k")
        y = compute((40, 16), lambda i, j: total(x[i, j, k], axis=k), name="y")
        schedule = create_schedule(y).reorder("y", ["k", "i", "j"]).unroll("y", "i").vectorize("y", "j")
        assert "y.sum" not in text_of(schedule)

    def test_loops_inside_of_vector_lanes_are_left_alone(self) -> None:
        schedule = create_schedule(matmul()).split("c", "r", [2]).unroll("c", "r.0").unroll("c", "r.1")
        schedule = schedule.reorder("c", ["i", "r.1", "j", "r.0"]).vectorize("c", "j")
        assert "c.sum" not in text_of(schedule)
        assert compare(schedule, native_target()) == ""

    def test_loops_that_move_the_element_are_left_alone(self) -> None:
        schedule = create_schedule(matmul()).reorder("c", ["r", "i", "j"])
        assert "c.sum" not in text_of(schedule)


def test_the_runner_names_and_times_each_pass() -> None:
    seen: list[tuple[str, str]] = []

    def observe(name: str, before: Function | None, after: Function, seconds: float) -> None:
        assert seconds >= 0
        seen.append((name, changes(name, before, after)))

    lower(create_schedule(matmul()), X86_AVX512, observe)
    assert [name for name, _ in seen] == ["build loops", *(name for name, _ in PASSES)]
    assert "+            c.sum = buffer float32[1]" in dict(seen)["promote accumulators"]


ROW, COL = Var("int64", "i"), Var("int64", "j")
X, Y = Buffer("x", "float32", (8,), "input"), Buffer("y", "float32", (8,), "output")
LOCAL = Buffer("t", "float32", (8,))


def n(value: int) -> Expr:
    return const(value, "int64")


def function(body: Stmt) -> Function:
    return Function("kernel", (Param(X, (8,), None), Param(Y, (8,), None)), body)


def loop(body: Stmt, extent: Expr | None = None, kind: str = "serial", var: Var = ROW, lanes: int = 0) -> For:
    return For(var, extent if extent is not None else n(8), kind, body, lanes)


def copied(index: Expr) -> Store:
    return Store(Y, (ROW,), Load("float32", X, (index,)))


def stored(value: Expr) -> For:
    return loop(Store(Y, (ROW,), value))


X_I = Load("float32", X, (ROW,))
BROKEN = {
    "variable 'j' is used outside of its loop": loop(copied(COL)),
    "stores to 't', which does not exist there": loop(Store(LOCAL, (ROW,), const(0, "float32"))),
    "buffer 't' exists twice": Allocate(LOCAL, Allocate(LOCAL, loop(copied(ROW)))),
    "buffer 'y' exists twice": Allocate(Y, loop(copied(ROW))),
    "buffer 'u' is allocated, but it is no local one": Allocate(
        Buffer("u", "float32", (8,), "input"), loop(copied(ROW))
    ),
    "loop variable 'i' exists twice": block(loop(copied(ROW)), loop(copied(ROW), n(4))),
    "loop variable 'j' exists twice": loop(loop(copied(ROW), var=COL), var=COL),
    "output 'y' is never stored to": block(),
    "loads from 't' before anything is stored there": Allocate(
        LOCAL, loop(Store(Y, (ROW,), Load("float32", LOCAL, (ROW,))))
    ),
    "loads from 'y' before anything is stored there": loop(Store(Y, (ROW,), Load("float32", Y, (ROW,)))),
    "lanes of a vectorized loop differ in how often loop 'j' runs": loop(
        loop(copied(ROW), ROW + 1, var=COL), kind="vectorize", lanes=8
    ),
    "race: every iteration of the parallel loop 'i' stores to one element of 'y', which outlives": loop(
        loop(Store(Y, (COL,), const(0, "float32")), var=COL), kind="parallel"
    ),
    "race: every iteration of the vectorize loop 'i' stores to one element of 't'": Allocate(
        LOCAL, loop(block(Store(LOCAL, (n(0),), const(0, "float32")), copied(ROW)), kind="vectorize", lanes=8)
    ),
    "the result of add should be int64, but is float32": stored(Binary("float32", "add", ROW, ROW)),
    "the operands of add should be float32, but is int64": stored(Binary("float32", "add", X_I, ROW)),
    "and is of float32, which has no bits": stored(Binary("float32", "and", X_I, X_I)),
    "the result of lt should be bool, but is float32": stored(Compare("float32", "lt", X_I, X_I)),
    "div is of int64": stored(Cast("float32", Binary("int64", "div", ROW, ROW))),
    "pow is no operation": stored(Binary("float32", "pow", X_I, X_I)),
    "sinc is no intrinsic": stored(Call("float32", "sinc", (X_I,))),
    "the operand of exp should be float32, but is int64": stored(Call("float32", "exp", (ROW,))),
    "an operand of a select should be float32, but is int64": stored(Select("float32", ROW < 3, X_I, ROW)),
    "the operand of not should be bool, but is float32": stored(Cast("float32", Not("bool", X_I))),
    "an index of a load of x should be int64, but is int32": loop(copied(Cast("int32", ROW))),
    "an index of a store to y should be int64, but is int32": loop(Store(Y, (Cast("int32", ROW),), X_I)),
    "the constant 300 is no int8": stored(Cast("float32", Const("int8", 300))),
    "Read is no expression of loop IR": stored(placeholder((8,), "float32", "p")[ROW]),
    "axis 'a' has not been lowered": stored(Cast("float32", Axis("int64", "a", 8))),
    "y should be float32, but is float64": loop(Store(Y, (ROW,), const(0, "float64"))),
    "'x' is stored to, but it is the caller's input": loop(Store(X, (ROW,), const(0, "float32"))),
    "loads from 'x' out of bounds: index 0 is 8 to 15 of 8": loop(copied(ROW + 8)),
    "stores to 'y' with 2 of 1 indices": Store(Y, (n(0), n(0)), const(0, "float32")),
    "parallel loop 'j' stands inside a parallel loop": loop(
        loop(copied(ROW), kind="parallel", var=COL), kind="parallel"
    ),
    "vectorized loop 'j' stands inside a vectorized loop": loop(
        loop(copied(ROW), kind="vectorize", var=COL, lanes=8), kind="vectorize", lanes=8
    ),
    "vectorized loop 'i' has 8 of 4 lanes": loop(copied(ROW), kind="vectorize", lanes=4),
    "unrolled loop 'j' has no constant extent": loop(loop(copied(COL), ROW + 1, "unroll", COL)),
    "loop 'i' is sideways": loop(copied(ROW), kind="sideways"),
    "a condition should be bool, but is int64": If(n(1), loop(copied(ROW))),
}


@pytest.mark.parametrize("message", BROKEN)
def test_the_verifier_says_what_is_wrong(message: str) -> None:
    body = BROKEN[message]
    with pytest.raises(VerifyError, match=message):
        verify(function(body))


def test_the_verifier_knows_the_conditions_around() -> None:
    guarded = Select("float32", Compare("bool", "ge", ROW, n(8)), const(0, "float32"), Load("float32", X, (ROW,)))
    verify(function(loop(If(Compare("bool", "lt", ROW, n(8)), Store(Y, (ROW,), guarded)), n(12))))


def test_the_verifier_leaves_to_the_interpreter_what_it_cannot_decide() -> None:
    """A load that a condition guards may follow a store of an earlier iteration; lanes of one iteration do not race."""
    guarded = Select("float32", Compare("bool", "gt", ROW, n(0)), Load("float32", LOCAL, (n(0),)), X_I)
    verify(function(Allocate(LOCAL, loop(block(stored_at_once(guarded), Store(LOCAL, (n(0),), X_I))))))
    verify(function(block(loop(copied(ROW)), For(COL, n(1), "vectorize", Store(Y, (n(0),), const(0, "float32")), 8))))


def stored_at_once(value: Expr) -> Store:
    return Store(Y, (ROW,), value)


def test_parameters_are_as_large_as_they_hold() -> None:
    wrong = Function("kernel", (Param(X, (9,), None), Param(Y, (8,), None)), loop(copied(ROW)))
    with pytest.raises(VerifyError, match=r"parameter 'x' is \[8\], but holds \[9\]"):
        verify(wrong)
