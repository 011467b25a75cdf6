"""Generated code: right on every target that runs here, without branches or spills in inner loops."""

from __future__ import annotations

import llvmlite.binding as llvm
import numpy as np
import pytest
from differential import compare, inputs_of
from operators_for_tests import chain, double, matmul

from autotune.lowering.pipeline import lower
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.targets.callable import Kernel
from autotune.targets.facts import ARM_NEON, TARGETS, X86_AVX2, X86_AVX512, Target
from autotune.targets.host import native_target, supports
from autotune.targets.llvm.build import assembly, build, build_from_json, target_to_json
from autotune.targets.llvm.generate import generate
from autotune.targets.llvm.inspect import branches, innermost_loops, spills
from autotune.tensor_expr import Tensor, cast, compute, exp, placeholder, reduce_axis, select
from autotune.tensor_expr import max as maximum
from autotune.tensor_expr import sum as total
from autotune.tensor_expr.evaluate import evaluate
from autotune.tensor_expr.expr import binary
from autotune.tensor_expr.operators import get_operator
from autotune.tensor_expr.serialize import to_json


def register_tile(output: Tensor, lanes: int, rows: int = 14, vectors: int = 2, depth: int = 4) -> Schedule:
    """A convolution with ``rows * vectors`` accumulators, packed weights and a padded copy of the image per row."""
    width = vectors * lanes
    s = create_schedule(output).cache_write("conv")
    s = s.transform_layout("w", [[0, width]], ["0.outer", "1", "2", "3", "0.inner"])
    s = s.split("conv", "o", [width]).split("conv", "j", [rows])
    s = s.reorder("conv", ["b", "o.0", "i", "j.0", "o.1", "j.1"]).compute_at("conv.tile", "conv", "j.0")
    s = s.split("conv.tile", "o", [vectors, lanes]).split("conv.tile", "rc", [depth])
    s = s.reorder("conv.tile", ["b", "rc.0", "rh", "rw", "rc.1", "i", "j", "o.0", "o.1", "o.2"]).compute_at(
        "pad", "conv", "i"
    )
    for loop in ("j", "o.1", "rc.1"):
        s = s.unroll("conv.tile", loop)
    return s.vectorize("conv.tile", "o.2").unroll("conv", "o.1").vectorize("conv", "j.1").vectorize("pad", "z")


def convolution(size: int, channels: int) -> Tensor:
    return get_operator("conv2d")(in_channels=channels, out_channels=channels, height=size, width=size).output


def mixed() -> Tensor:
    """float64, float32, int8 and bool in one operator."""
    x, n = placeholder((5, 19), "float64", "x"), placeholder((19,), "int8", "n")
    flag = compute((5, 19), lambda i, j: (x[i, j] > 0.25) & (n[j] < 3), name="flag")
    small = compute((5, 19), lambda i, j: cast(x[i, j], "float32") * n[j], name="small")
    return compute((5, 19), lambda i, j: select(flag[i, j], exp(small[i, j]), small[i, j]), name="y")


def softmax() -> Tensor:
    x = placeholder((3, 37), "float32", "x")
    k, m = reduce_axis(37, "k"), reduce_axis(37, "m")
    top = compute((3,), lambda i: maximum(x[i, k], axis=k), name="top")
    powers = compute((3, 37), lambda i, j: exp(x[i, j] - top[i]), name="powers")
    norm = compute((3,), lambda i: total(powers[i, m], axis=m), name="norm")
    return compute((3, 37), lambda i, j: powers[i, j] / norm[i], name="y")


def vectorized(output: Tensor) -> Schedule:
    schedule = create_schedule(output)
    for stage in list(schedule.state.stages.values()):
        if stage.loops and stage.loops[-1] not in stage.reduce_loops:
            schedule = schedule.vectorize(stage.name, stage.loops[-1])
    return schedule


SCHEDULES = {
    "double": vectorized(double(3, 37)),
    "stencil": vectorized(chain()).compute_at("a", "b", "i"),
    "matmul": create_schedule(matmul()).reorder("c", ["i", "r", "j"]).vectorize("c", "j"),
    "mixed dtypes": vectorized(mixed()),
    "softmax": vectorized(softmax()).parallel("y", "i"),
    "conv2d": register_tile(convolution(13, 19), 8, rows=5),
    "conv2d parallel": register_tile(convolution(11, 35), 16, rows=4, vectors=1)
    .fuse("conv", ["b", "o.0"])
    .parallel("conv", "b+o.0"),
}


@pytest.mark.parametrize("target", [X86_AVX2, X86_AVX512], ids=lambda target: target.name)
@pytest.mark.parametrize("name", SCHEDULES)
def test_numbers(name: str, target: Target) -> None:
    if not supports(target):
        pytest.skip(f"this machine cannot run {target.name}")
    assert compare(SCHEDULES[name], target) == ""


@pytest.mark.parametrize("name", ["softmax", "conv2d parallel"])
def test_parallel_loops_run_on_one_thread_without_a_runtime(name: str) -> None:
    schedule = SCHEDULES[name]
    inputs = inputs_of(schedule.output, seed=0)
    kernel = Kernel(build(schedule, native_target(), threads=1))
    assert kernel._runtime is None
    np.testing.assert_allclose(kernel(**inputs), evaluate(schedule.output, inputs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", SCHEDULES)
def test_aarch64_code(name: str) -> None:
    kernel = build(SCHEDULES[name], ARM_NEON, 2)
    assert kernel.code[:4] == b"\x7fELF" and int.from_bytes(kernel.code[18:20], "little") == 183
    assert ".arch" in assembly(SCHEDULES[name], ARM_NEON) or "ret" in assembly(SCHEDULES[name], ARM_NEON)


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_objects_are_freestanding(target: Target) -> None:
    for schedule in (SCHEDULES["softmax"], SCHEDULES["mixed dtypes"]):
        calls = [line for line in assembly(schedule, target).splitlines() if "@PLT" in line or "\tbl\t" in line]
        assert [line for line in calls if "parallel" not in line and "body" not in line] == []


class TestInnerLoops:
    @pytest.mark.parametrize(("target", "lanes"), [(X86_AVX512, 16), (X86_AVX2, 8), (ARM_NEON, 4)])
    @pytest.mark.parametrize("size", [13, 17, 29, 31])
    def test_no_branches_for_primes(self, size: int, target: Target, lanes: int) -> None:
        text = assembly(register_tile(convolution(size, size), lanes, rows=3), target)
        busy = [loop for loop in innermost_loops(text) if any("fmadd" in line or "fmla" in line for line in loop)]
        assert busy
        assert [branches(loop) for loop in busy] == [0] * len(busy)

    def test_twenty_eight_accumulators_stay_in_registers(self) -> None:
        assert spills(assembly(register_tile(convolution(28, 64), 16), X86_AVX512)) == 0

    def test_too_many_accumulators_are_seen(self) -> None:
        assert spills(assembly(register_tile(convolution(28, 64), 16, rows=28), X86_AVX512)) > 0
        assert spills(assembly(register_tile(convolution(28, 64), 8), X86_AVX2)) > 0
        assert spills(assembly(register_tile(convolution(28, 64), 4, rows=28), ARM_NEON)) > 0

    def test_tails_are_masks_or_short_vectors(self) -> None:
        schedule = vectorized(double(3, 37))
        assert "llvm.masked" in generate(lower(schedule, X86_AVX512), X86_AVX512).text
        text = generate(lower(schedule, X86_AVX2), X86_AVX2).text
        assert "<5 x float>" in text and "llvm.masked" not in text


def test_every_module_passes_llvms_verifier() -> None:
    for target in TARGETS.values():
        for schedule in SCHEDULES.values():
            llvm.parse_assembly(generate(lower(schedule, target), target, 2).text).verify()


def test_two_thousand_operations_deep() -> None:
    x = placeholder((37,), "float32", "x")

    def chain_of(i: object) -> object:
        value = x[i]  # type: ignore[index]
        for number in range(2000):
            value = select(value > 0, value * 0.999, value + 0.5) if number % 3 == 0 else value + 0.25 * (number % 2)
        return value

    schedule = create_schedule(compute((37,), chain_of, name="y"))
    assert compare(schedule, X86_AVX2 if supports(X86_AVX2) else ARM_NEON) == ""
    assert compare(schedule.vectorize("y", "i"), X86_AVX2 if supports(X86_AVX2) else ARM_NEON) == ""


def test_five_hundred_nested_guarded_reads() -> None:
    inputs = [placeholder((2,), "float32", f"x{number}") for number in range(500)]

    def concat(i: object) -> object:
        value = inputs[-1][i - 998]  # type: ignore[operator]
        for number in range(498, -1, -1):
            value = select(i < 2 * number + 2, inputs[number][i - 2 * number], value)  # type: ignore[operator]
        return value

    first = compute((1000,), lambda i: select(i >= 998, inputs[-1][i - 998], concat(i)), name="y")
    schedule = create_schedule(first)
    assert compare(schedule, X86_AVX2) == ""


def test_guarded_division_does_not_trap() -> None:
    a, b = placeholder((37,), "int32", "a"), placeholder((37,), "int32", "b")
    y = compute((37,), lambda i: select(b[i] != 0, a[i] // b[i] + a[i] % b[i], -1), name="y")
    inputs = {"a": np.arange(-18, 19, dtype=np.int32), "b": np.tile(np.array([-2, 0, 3], np.int32), 13)[:37].copy()}
    with np.errstate(all="ignore"):
        expected = np.where(inputs["b"] != 0, inputs["a"] // inputs["b"] + inputs["a"] % inputs["b"], -1)
    for schedule in (create_schedule(y), create_schedule(y).vectorize("y", "i")):
        for target in (X86_AVX2, X86_AVX512):
            if supports(target):
                assert np.array_equal(Kernel(build(schedule, target))(**inputs), expected)


def test_the_smallest_number_divided_by_minus_one_wraps() -> None:
    a, b = placeholder((9,), "int32", "a"), placeholder((9,), "int32", "b")
    y = compute((9,), lambda i: a[i] // b[i] + a[i] % b[i], name="y")
    inputs = {"a": np.full(9, -(2**31), np.int32), "b": np.full(9, -1, np.int32)}
    for schedule in (create_schedule(y), create_schedule(y).vectorize("y", "i")):
        if supports(X86_AVX2):
            assert set(Kernel(build(schedule, X86_AVX2))(**inputs)) == {-(2**31)}


def test_a_load_under_a_mask_is_not_reused_under_a_wider_one() -> None:
    q = placeholder((4,), "int32", "q")
    first = compute((2,), lambda i: q[i] * 3, name="first")
    y = compute((4,), lambda i: first[i % 2] + q[i], name="y")
    schedule = create_schedule(y).vectorize("first", "i").vectorize("y", "i")
    assert compare(schedule, native_target()) == ""


def test_building_from_json_gives_the_same_code() -> None:
    schedule = SCHEDULES["conv2d"]
    request = {
        "definition": to_json(schedule.output), "schedule": schedule.to_json(), "knobs": {},
        "target": target_to_json(X86_AVX512), "threads": 1,
    }  # fmt: skip
    assert build_from_json(request).code == build(schedule, X86_AVX512).code


@pytest.mark.parametrize("target", [X86_AVX2, X86_AVX512], ids=lambda target: target.name)
@pytest.mark.parametrize(("rows", "columns", "dtype"), [(14, 36, "float32"), (5, 12, "int32"), (21, 6, "float64")])
def test_columns_are_loaded_without_gathers(rows: int, columns: int, dtype: str, target: Target) -> None:
    """A transposed copy: lanes run down the rows of the source."""
    x = placeholder((rows, columns), dtype, "x")
    y = compute((columns, rows), lambda i, j: x[j, i] + 1, name="y")
    schedule = (
        create_schedule(y).split("y", "i", [4 if dtype != "float64" else 2]).unroll("y", "i.1").vectorize("y", "j")
    )
    assert "gather" not in assembly(schedule, target)
    if supports(target):
        assert compare(schedule, target) == ""


def test_rows_that_are_no_whole_blocks_are_gathered() -> None:
    """The block around the last column of an odd row would reach beyond the array's end."""
    x = placeholder((16, 35), name="x")
    y = compute((35, 16), lambda i, j: x[j, i] + 1, name="y")
    assert "gather" in assembly(create_schedule(y).vectorize("y", "j"), X86_AVX512)


@pytest.mark.parametrize(("columns", "dtype"), [(64, "float32"), (37, "float32"), (3, "int32"), (21, "float64")])
@pytest.mark.parametrize("target", [X86_AVX512, X86_AVX2], ids=lambda target: target.name)
def test_every_second_element_is_loaded_without_gathers(columns: int, dtype: str, target: Target) -> None:
    """Windows that move by two elements, tails of vectors included; the array ends with the last lane's element."""
    x = placeholder((3, 2 * columns + 1), dtype, "x")
    y = compute((3, columns), lambda i, j: x[i, 2 * j] + x[i, 2 * j + 1] * x[i, 2 * j + 2], name="y")
    schedule = create_schedule(y).split("y", "j", [target.vector_bytes // 4]).vectorize("y", "j.1")
    assert "gather" not in assembly(schedule, target)
    if supports(target):
        assert compare(schedule, target) == ""


@pytest.mark.parametrize("dtype", ["int32", "int8", "uint8"])
def test_divisors_that_lowering_finds_to_be_0_or_minus_1(dtype: str) -> None:
    x, y = placeholder((19,), dtype, "x"), placeholder((1,), dtype, "y")
    least = np.iinfo(dtype).min
    for divisor in (0, -1) if least else (0,):
        for name in ("floordiv", "mod"):
            z = compute(
                (19,),
                lambda i, d=divisor, op=name: binary(
                    op, select(i < 1, cast(least, dtype), x[i]), select(i > 20, y[0], d)
                ),  # type: ignore[misc]
                name="z",
            )
            for schedule in (create_schedule(z), create_schedule(z).vectorize("z", "i")):
                assert compare(schedule, native_target()) == ""
