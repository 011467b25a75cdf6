"""Loops as hardware instructions: the loops, the numbers, the instructions in the assembly, and what is refused."""
# ruff: noqa: E501  (tables of messages and texts stay one line an entry)

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from differential import compare
from test_kept_stages import interpreted

from autotune.errors import ScheduleError, UsageError
from autotune.lowering.pipeline import lower
from autotune.lowering.printer import show
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.schedules.tensor_intrinsics import TensorIntrinsic, register_tensor_intrinsic, registry, tensor_intrinsics
from autotune.targets.facts import ARM_NEON, X86_AVX2, X86_AVX512, Target
from autotune.targets.host import supports
from autotune.targets.llvm.build import assembly
from autotune.tensor_expr import Expr, Tensor, cast, compute, placeholder, reduce_axis
from autotune.tensor_expr import max as maximum
from autotune.tensor_expr import sum as total

Apply = Callable[[Schedule], Schedule]
VNNI = replace(X86_AVX512, features=(*X86_AVX512.features, "avx512vnni"))
AVX_VNNI = replace(X86_AVX2, features=(*X86_AVX2.features, "avxvnni"))
BF16 = replace(X86_AVX512, features=(*X86_AVX512.features, "avx512bf16"))
DOT = replace(ARM_NEON, features=(*ARM_NEON.features, "dotprod"))
RUNNABLE = [target for target in (X86_AVX2, X86_AVX512, VNNI, AVX_VNNI, BF16, ARM_NEON, DOT) if supports(target)]


def quantized(m: int = 7, n: int = 37, k: int = 22, left: str = "uint8") -> Tensor:
    """A product of matrices of bytes in 32 bits."""
    a, b = placeholder((m, k), left, "a"), placeholder((k, n), "int8", "b", constant=True)
    r = reduce_axis(k, "r")
    product = lambda i, j: cast(b[r, j], "int32") * cast(a[i, r], "int32")  # noqa: E731
    return compute((m, n), lambda i, j: total(product(i, j), axis=r), name="c")


def packed(schedule: Schedule, lanes: int = 16) -> Schedule:
    """Four rows of ``b`` side by side, and the loops over a tile and four rows innermost."""
    order = ["1.outer", "0.outer", "1.inner", "0.inner"]
    schedule = schedule.transform_layout("b", [[0, 4], [1, lanes]], order)
    schedule = schedule.split("c", "j", [lanes]).split("c", "r", [4])
    return schedule.reorder("c", ["i", "j.0", "r.0", "j.1", "r.1"])


def tiled(schedule: Schedule, lanes: int, name: str, rows: int = 3) -> Schedule:
    """A tile of rows by lanes in registers."""
    schedule = schedule.transform_layout("b", [[0, 4], [1, lanes]], ["1.outer", "0.outer", "1.inner", "0.inner"])
    schedule = schedule.cache_write("c").tile("c", ["i", "j"], [rows, lanes]).compute_at("c.tile", "c", "j.0")
    schedule = schedule.unroll("c", "i.1").vectorize("c", "j.1")
    schedule = schedule.split("c.tile", "j", [lanes]).split("c.tile", "r", [4])
    schedule = schedule.reorder("c.tile", ["j.0", "r.0", "i", "j.1", "r.1"]).unroll("c.tile", "i")
    return schedule.tensorize("c.tile", "j.1", name)


def matmul() -> Tensor:
    a, b, r = placeholder((5, 9), "float32", "a"), placeholder((9, 35), "float32", "b"), reduce_axis(9, "r")
    return compute((5, 35), lambda i, j: total(a[i, r] * b[r, j], axis=r), name="c")


def brain_floats(m: int = 5, n: int = 35, k: int = 9) -> Schedule:
    """A product of matrices of bfloat16 in float32, two rows of ``b`` side by side."""
    a, b = placeholder((m, k), "bfloat16", "a"), placeholder((k, n), "bfloat16", "b", constant=True)
    r = reduce_axis(k, "r")
    c = compute((m, n), lambda i, j: total(cast(a[i, r], "float32") * cast(b[r, j], "float32"), axis=r), name="c")
    schedule = create_schedule(c).transform_layout("b", [[0, 2], [1, 16]], ["1.outer", "0.outer", "1.inner", "0.inner"])
    schedule = schedule.split("c", "j", [16]).split("c", "r", [2])
    return schedule.reorder("c", ["i", "j.0", "r.0", "j.1", "r.1"]).tensorize("c", "j.1", "vdpbf16ps_16")


def multiply_add(schedule: Schedule) -> Schedule:
    return (
        schedule.split("c", "j", [16]).reorder("c", ["i", "j.0", "r", "j.1"]).tensorize("c", "j.1", "multiply_add_16")
    )


GOLDEN: dict[str, tuple[Tensor, Apply, str]] = {
    "tensorize": (
        quantized(1, 32, 8),
        lambda s: packed(s).tensorize("c", "j.1", "vpdpbusd_16"),
        """
kernel(b: constant int8[2, 2, 16, 4], a: input uint8[1, 8], c: output int32[1, 32])
    for j.0 in 0..2:
        vectorize for j.1 in 0..16:
            c[0, j.0 * 16 + j.1] = 0
        c.sum = buffer int32[16]
        vectorize for j.1_2 in 0..16:
            c.sum[j.1_2] = c[0, j.0 * 16 + j.1_2]
        for r.0 in 0..2:
            vpdpbusd_16:
                vectorize for j.1_2 in 0..16:
                    unroll for r.1 in 0..4:
                        c.sum[j.1_2] = c.sum[j.1_2] + int32(b[j.0, r.0, j.1_2, r.1]) * int32(a[0, r.0 * 4 + r.1])
        vectorize for j.1_2 in 0..16:
            c[0, j.0 * 16 + j.1_2] = c.sum[j.1_2]
""",
    ),
    "tensorize with tails": (
        matmul(),
        multiply_add,
        """
kernel(a: input float32[5, 9], b: input float32[9, 35], c: output float32[5, 35])
    for i in 0..5:
        for j.0 in 0..2:
            vectorize for j.1_3 in 0..16:
                c[i, j.0 * 16 + j.1_3] = 0.0
            c.sum = buffer float32[16]
            vectorize for j.1_4 in 0..16:
                c.sum[j.1_4] = c[i, j.0 * 16 + j.1_4]
            for r_2 in 0..9:
                multiply_add_16:
                    vectorize for j.1_4 in 0..16:
                        c.sum[j.1_4] = c.sum[j.1_4] + a[i, r_2] * b[r_2, j.0 * 16 + j.1_4]
            vectorize for j.1_4 in 0..16:
                c[i, j.0 * 16 + j.1_4] = c.sum[j.1_4]
        vectorize for j.1 in 0..3:
            c[i, j.1 + 32] = 0.0
        c.sum = buffer float32[3]
        vectorize for j.1_2 in 0..3:
            c.sum[j.1_2] = c[i, j.1_2 + 32]
        for r in 0..9:
            vectorize for j.1_2 in 0..3:
                c.sum[j.1_2] = c.sum[j.1_2] + a[i, r] * b[r, j.1_2 + 32]
        vectorize for j.1_2 in 0..3:
            c[i, j.1_2 + 32] = c.sum[j.1_2]
""",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_loops(name: str) -> None:
    output, apply, text = GOLDEN[name]
    assert show(lower(apply(create_schedule(output)), X86_AVX512, check=True)) == text.strip()


@pytest.mark.parametrize("name", GOLDEN)
def test_json_both_ways(name: str) -> None:
    output, apply, text = GOLDEN[name]
    schedule = apply(create_schedule(output))
    again = Schedule.from_json(output, json.loads(schedule.text))
    assert again.text == schedule.text
    assert show(lower(again, X86_AVX512)) == text.strip()


@pytest.mark.parametrize("target", RUNNABLE, ids=lambda target: target.name + "+".join(target.features[-1:]))
@pytest.mark.parametrize(
    "schedule",
    [
        packed(create_schedule(quantized())).tensorize("c", "j.1", "vpdpbusd_16"),
        packed(create_schedule(quantized(3, 16, 4))).tensorize("c", "j.1", "vpdpbusd_16").parallel("c", "i"),
        packed(create_schedule(quantized(3, 23, 9)), 8).tensorize("c", "j.1", "vpdpbusd_8"),
        packed(create_schedule(quantized(3, 23, 9, "int8")), 4).tensorize("c", "j.1", "sdot_4"),
        tiled(create_schedule(quantized()), 16, "vpdpbusd_16"),
        tiled(create_schedule(quantized(4, 17, 12)), 8, "vpdpbusd_8", 2),
        tiled(create_schedule(quantized(4, 17, 12, "int8")), 4, "sdot_4", 2),
        multiply_add(create_schedule(matmul())),
        brain_floats(),
    ],
)  # fmt: skip
def test_numbers(schedule: Schedule, target: Target) -> None:
    assert compare(schedule, target) == ""


def test_the_interpreter_runs_what_the_instruction_means() -> None:
    assert interpreted(tiled(create_schedule(quantized()), 16, "vpdpbusd_16"))


@pytest.mark.parametrize(
    ("schedule", "target", "instruction", "without"),
    [
        (tiled(create_schedule(quantized(6, 32, 32)), 16, "vpdpbusd_16"), VNNI, "vpdpbusd\t", X86_AVX512),
        (tiled(create_schedule(quantized(6, 32, 32)), 8, "vpdpbusd_8"), AVX_VNNI, "vpdpbusd\t", X86_AVX2),
        (tiled(create_schedule(quantized(6, 32, 32, "int8")), 4, "sdot_4"), DOT, "sdot\t", ARM_NEON),
        (packed(create_schedule(quantized(6, 32, 32))).tensorize("c", "j.1", "vpdpbusd_16"), VNNI, "vpdpbusd\t", X86_AVX2),
        (multiply_add(create_schedule(matmul())), X86_AVX512, "vfmadd", None),
        (brain_floats(), BF16, "vdpbf16ps\t", X86_AVX512),
    ],
)  # fmt: skip
def test_the_instruction_is_there_where_the_target_has_it(
    schedule: Schedule, target: Target, instruction: str, without: Target | None
) -> None:
    assert instruction in assembly(schedule, target)
    assert without is None or instruction not in assembly(schedule, without)


def test_accumulators_stay_in_registers() -> None:
    """Three rows of a tile: one instruction each in the innermost loop, and nothing that stores."""
    lines = assembly(tiled(create_schedule(quantized(6, 32, 64)), 16, "vpdpbusd_16"), VNNI).splitlines()
    found = [number for number, line in enumerate(lines) if "vpdpbusd\t" in line]
    assert len(found) == 3
    assert not [line for line in lines[found[0] : found[-1]] if "vmov" in line and line.rstrip().endswith(")")]


def products(left: Callable[[Expr], Expr], right: Callable[[Expr], Expr]) -> Schedule:
    """Like ``quantized``, of other factors."""
    a, b = placeholder((4,), "uint8", "a"), placeholder((32, 4), "int8", "b")
    r = reduce_axis(4, "r")
    c = compute((32,), lambda j: total(left(a[r]) * right(b[j, r]), axis=r), name="c")
    schedule = create_schedule(c).split("c", "j", [16]).split("c", "r", [4])
    return schedule.reorder("c", ["j.0", "r.0", "j.1", "r.1"])


def wide(value: Expr) -> Expr:
    return cast(value, "int32")


REFUSED: list[tuple[Schedule, Apply, str]] = [
    (
        create_schedule(quantized()),
        lambda s: s.tensorize("c", "j", "vpdpbusd_16"),
        r"'c', axis 'j': this is not vpdpbusd_16: its axis 'i' has 16 iterations, but 'j' has 37",
    ),
    (
        packed(create_schedule(quantized())),
        lambda s: s.tensorize("c", "r.1", "vpdpbusd_16"),
        r"its axis 'i' is spatial, but 'r.1' is not",
    ),
    (
        packed(create_schedule(quantized())),
        lambda s: s.split("c", "r.1", [2]).tensorize("c", "j.1", "vpdpbusd_16"),
        r"its axis 'r' has 4 iterations, but 'r.1.0' has 2",
    ),
    (
        multiply_add(create_schedule(matmul())),
        lambda s: create_schedule(matmul()).split("c", "j", [16]).tensorize("c", "j.1", "multiply_add_16"),
        r"its axes are i \(16\), but the loops are j.1, r",
    ),
    (
        packed(create_schedule(quantized())),
        lambda s: s.tensorize("c", "j.1", "dot"),
        r"unknown tensor intrinsic 'dot'; known: .*vpdpbusd_8",
    ),
    (
        packed(create_schedule(quantized(left="int8"))),
        lambda s: s.tensorize("c", "j.1", "vpdpbusd_16"),
        r"the intrinsic has an element of 'a' \(uint8\), the stage an element of 'b' \(int8\)",
    ),
    (
        packed(create_schedule(quantized())),
        lambda s: s.unroll("c", "r.1").tensorize("c", "j.1", "vpdpbusd_16"),
        r"'c': axis 'r.1' is already unroll",
    ),
    (
        products(lambda a: wide(a) + 1, wide),
        lambda s: s.tensorize("c", "j.1", "vpdpbusd_16"),
        r"the intrinsic has a cast of uint8 to int32, the stage add of int32",
    ),
    (
        products(lambda a: cast(a, "int64"), lambda b: cast(b, "int64")),
        lambda s: s.tensorize("c", "j.1", "vpdpbusd_16"),
        r"the intrinsic has mul of int32, the stage mul of int64",
    ),
    (
        products(wide, lambda b: wide(cast(b, "int16"))),
        lambda s: s.tensorize("c", "j.1", "vpdpbusd_16"),
        r"the intrinsic has an element of 'b' \(int8\), the stage a cast of int8 to int16",
    ),
]


@pytest.mark.parametrize(("schedule", "apply", "message"), REFUSED)
def test_the_first_difference_is_shown(schedule: Schedule, apply: Apply, message: str) -> None:
    with pytest.raises((ScheduleError, UsageError), match=message):
        apply(schedule)


def test_operands_may_stand_in_either_order() -> None:
    swapped = packed(create_schedule(quantized())).tensorize("c", "j.1", "vpdpbusd_16")
    for schedule in (products(wide, wide).tensorize("c", "j.1", "vpdpbusd_16"), swapped):
        assert "vpdpbusd_16:" in show(lower(schedule, VNNI, check=True))


def test_another_reduction_is_refused() -> None:
    x, r = placeholder((32, 8), "int32", "x"), reduce_axis(8, "r")
    y = compute((32,), lambda j: maximum(x[j, r], axis=r), name="y")
    schedule = create_schedule(y).split("y", "j", [16]).split("y", "r", [4]).reorder("y", ["j.0", "r.0", "j.1", "r.1"])
    with pytest.raises(
        ScheduleError, match=r"this is not vpdpbusd_16: it is a sum over reduction axes, and the stage is not"
    ):
        schedule.tensorize("y", "j.1", "vpdpbusd_16")


def test_layouts_decide_how_far_operands_lie_apart() -> None:
    schedule = create_schedule(quantized()).split("c", "j", [16]).split("c", "r", [4])
    schedule = schedule.reorder("c", ["i", "j.0", "r.0", "j.1", "r.1"]).tensorize("c", "j.1", "vpdpbusd_16")
    message = r"'c': this is not vpdpbusd_16: one step of its axis 'i' moves 'b' by 4 elements, but 'j.1.*' moves 'b' by 1 elements"
    with pytest.raises(ScheduleError, match=message):
        lower(schedule, VNNI)
    lower(schedule.transform_layout("b", [[0, 4], [1, 16]], ["1.outer", "0.outer", "1.inner", "0.inner"]), VNNI)


class TestRegistry:
    def declared(self, lanes: int = 8) -> Tensor:
        a, b, one = placeholder((lanes,), "float64", "a"), placeholder((lanes,), "float64", "b"), reduce_axis(1, "one")
        return compute((lanes,), lambda i: total(a[i + one] * b[i + one], axis=one), name="c")

    def test_an_intrinsic_of_ones_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(registry, "_INTRINSICS", tensor_intrinsics())  # no other test is to see it
        own = register_tensor_intrinsic(TensorIntrinsic("products_for_a_test", self.declared()))
        assert tensor_intrinsics()["products_for_a_test"] is own
        a, b, r = placeholder((5, 19), "float64", "a"), placeholder((5, 19), "float64", "b"), reduce_axis(5, "r")
        c = compute((19,), lambda j: total(a[r, j] * b[r, j], axis=r), name="c")
        schedule = create_schedule(c).split("c", "j", [8]).reorder("c", ["j.0", "r", "j.1"])
        schedule = schedule.tensorize("c", "j.1", "products_for_a_test")
        assert "products_for_a_test:" in show(lower(schedule, X86_AVX2))
        assert all(compare(schedule, target) == "" for target in RUNNABLE)

    def test_names_are_unique(self) -> None:
        with pytest.raises(ScheduleError, match=r"there is already an intrinsic 'sdot_4'"):
            register_tensor_intrinsic(TensorIntrinsic("sdot_4", self.declared()))

    def test_declarations_are_sums(self) -> None:
        a = placeholder((8,), "float32", "a")
        with pytest.raises(ScheduleError, match=r"'copy' must be declared as a sum over reduction axes"):
            register_tensor_intrinsic(TensorIntrinsic("copy", compute((8,), lambda i: a[i], name="c")))
