"""Reductions whose loops threads share: exact under contention, free of races, for every single operation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from differential import THREADS, compare, inputs_of

from autotune import tensor_expr as te
from autotune.errors import ScheduleError
from autotune.lowering.interpreter import interpret
from autotune.lowering.ir import Atomic, Function, Store, rewrite_statements
from autotune.lowering.passes.verify import VerifyError, verify
from autotune.lowering.pipeline import lower
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.targets.callable import Kernel
from autotune.targets.facts import ARM_NEON, TARGETS, X86_AVX512
from autotune.targets.host import native_target, supports
from autotune.targets.llvm.build import build
from autotune.tensor_expr import Tensor, compute, placeholder, reduce_axis

RUNNABLE = [target for target in TARGETS.values() if supports(target)]


def rows(reduce: Callable[..., te.Expr], dtype: str, count: int = 3, size: int = 101) -> Tensor:
    x = placeholder((count, size), dtype, "x")
    k = reduce_axis(size, "k")
    return compute((count,), lambda i: reduce(x[i, k], axis=k), name="c")


def shared(output: Tensor) -> Schedule:
    return create_schedule(output).atomic("c").reorder("c", ["k", "i"]).parallel("c", "k")


CASES = [
    *((reduce, dtype) for reduce in (te.sum, te.max, te.min) for dtype in ("float32", "float64", "int64", "uint8")),
    (te.prod, "int32"), (te.any, "bool"), (te.all, "bool"), (te.max, "bool"),
]  # fmt: skip


@pytest.mark.parametrize(("reduce", "dtype"), CASES)
@pytest.mark.parametrize("target", RUNNABLE, ids=lambda target: target.name)
def test_every_operation(target: object, reduce: Callable[..., te.Expr], dtype: str) -> None:
    assert compare(shared(rows(reduce, dtype)), target) == ""  # type: ignore[arg-type]


def test_no_update_is_lost_under_contention() -> None:
    size = 200_000
    kernel = Kernel(build(shared(rows(te.sum, "int64", 1, size)), native_target(), THREADS))
    ones = np.ones((1, size), np.int64)
    for _ in range(5):
        assert kernel(ones)[0] == size
    floats = Kernel(build(shared(rows(te.sum, "float64", 1, size)), native_target(), THREADS))
    assert floats(ones.astype(np.float64))[0] == size  # by exchanges, exact for whole numbers


def test_a_stage_in_the_workspace() -> None:
    x = placeholder((40, 5000), "float32", "x")
    k = reduce_axis(40, "k")
    c = compute((5000,), lambda i: te.sum(x[k, i], axis=k), name="c")
    schedule = shared(compute((5000,), lambda i: c[i] * 2, name="d"))
    assert compare(schedule, native_target()) == ""


def test_other_targets_need_no_symbols_of_a_library() -> None:
    assert build(shared(rows(te.sum, "float32")), ARM_NEON, THREADS).code


def test_the_interpreter_sees_no_race_but_where_updates_are_plain() -> None:
    schedule = shared(rows(te.sum, "int32"))
    function = lower(schedule, X86_AVX512)
    inputs = list(inputs_of(schedule.output, 0).values())
    np.testing.assert_array_equal(interpret(function, inputs)[0], inputs[0].sum(1, dtype=np.int32))

    def plain(stmt: object) -> Store | None:
        return stmt.store if isinstance(stmt, Atomic) else None

    racy = Function(function.name, function.params, rewrite_statements(function.body, plain))
    with pytest.raises(Exception, match="race in parallel loop 'k'"):
        interpret(racy, inputs)
    with pytest.raises(VerifyError):
        verify(racy)


def test_only_single_operations_are_updates() -> None:
    x = placeholder((4, 9), "float32", "x")
    k = reduce_axis(9, "k")
    first, _ = compute((4,), lambda i: te.argmax(x[i, k], axis=k), name="c")
    with pytest.raises(
        ScheduleError, match=r"'c': atomic updates are single operations \(sum, prod, max, min, any, all\)"
    ):
        create_schedule(compute((4,), lambda i: first[i] + 1, name="d")).atomic("c")


def test_half_precision_is_no_update() -> None:
    with pytest.raises(ScheduleError, match=r"'c': atomic updates .* on integers, bool, float32 or float64"):
        create_schedule(rows(te.max, "float16")).atomic("c")
