"""Element types: promotion by one table, and the narrow floating point types in every kind of access."""

from __future__ import annotations

import json
from itertools import combinations_with_replacement
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from differential import compare

import autotune
from autotune import Kernel, cast, compute, placeholder, reduce_axis, select
from autotune import sum as total
from autotune.errors import UsageError
from autotune.lowering.interpreter import interpret
from autotune.lowering.pipeline import lower
from autotune.measure.check import Check
from autotune.schedules.schedule import Schedule, create_schedule
from autotune.search.workbench import TOLERANCE
from autotune.targets.facts import TARGETS, X86_AVX2, X86_AVX512, Target
from autotune.targets.host import supports
from autotune.targets.llvm.build import build
from autotune.tensor_expr import Tensor, Workload, dtypes
from autotune.tensor_expr.expr import binary, const
from autotune.tensor_expr.serialize import canonical_text, from_json, to_json

# The dtype of an operation on both, for every pair; the pairs of equal ones are themselves.
PROMOTED = {
    "bool": "uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64",
    "uint8": "int16:int8 int16 int32 int64 float16 bfloat16 float32 float64",
    "int8": "int16 int32 int64 float16 bfloat16 float32 float64",
    "int16": "int32 int64 float32:float16 float32:bfloat16 float32 float64",
    "int32": "int64 float64:float16 float64:bfloat16 float64:float32 float64",
    "int64": "float64:float16 float64:bfloat16 float64:float32 float64",
    "float16": "float32:bfloat16 float32 float64",
    "bfloat16": "float32 float64",
    "float32": "float64",
    "float64": "",
}


def golden() -> dict[tuple[str, str], str]:
    table = {}
    for a, row in PROMOTED.items():
        for entry in row.split():
            result, _, b = entry.partition(":")
            table[a, b or result] = table[b or result, a] = result
        table[a, a] = a
    return table


def test_promotion() -> None:
    table = golden()
    assert {(a, b): dtypes.promote(a, b) for a in dtypes.DTYPES for b in dtypes.DTYPES} == table
    for (a, b), result in table.items():
        if "bfloat16" not in (a, b):
            assert np.promote_types(a, b) == result


def test_promotion_is_what_the_docstring_says() -> None:
    lines = [line.split() for line in (dtypes.__doc__ or "").splitlines()]
    header = next(line[1:] for line in lines if line[:1] == [".."])
    stated = {
        (line[0], column): entry
        for line in lines
        if line and line[0] in dtypes.DTYPES and len(line) > 1 and all(entry in dtypes.DTYPES for entry in line)
        for column, entry in zip(header, line[1:], strict=False)
    }
    assert len(stated) == 53
    assert stated == {pair: golden()[pair] for pair in stated}


@pytest.mark.parametrize(("a", "b"), [*combinations_with_replacement(dtypes.DTYPES, 2)])
def test_operations_have_the_promoted_dtype(a: str, b: str) -> None:
    x, y = placeholder((3,), a, "x"), placeholder((3,), b, "y")
    if a == b == "bool":
        with pytest.raises(UsageError, match="arithmetic needs numbers"):
            binary("add", x[0], y[0])
    else:
        assert (x[0] + y[0]).dtype == (y[0] + x[0]).dtype == dtypes.promote(a, b)


def test_python_numbers_take_the_dtype_of_the_tensor() -> None:
    for dtype in dtypes.FLOATS:
        x = placeholder((3,), dtype, "x")
        assert (x[0] * 2).dtype == (0.1 + x[0]).dtype == dtype


@pytest.mark.parametrize("dtype", dtypes.NARROW)
def test_constants_round_like_memory(dtype: str) -> None:
    values = [0.1, 1 / 3, 1e-6, 3.14159, 65519.0, 1 + 2**-9]
    output = compute((6,), lambda i: const(0.1, dtype), name="y")
    assert autotune.build(create_schedule(output))()[0] == np.asarray(0.1).astype(dtype)
    for value in values:
        wanted = np.asarray(value).astype(dtype).astype(np.float64).item()
        assert dtypes.converted(np.asarray(value), dtype) == wanted


def test_bfloat16_is_rounded_once() -> None:
    """Halfway between two numbers by all but the last bits of float64: through float32 it would be a tie."""
    above, below = 1 + 2.0**-8 + 2.0**-40, 1 + 3 * 2.0**-8 - 2.0**-40
    assert dtypes.converted(np.array([above, below]), "bfloat16").tolist() == [1 + 2.0**-7, 1 + 2.0**-7]
    assert dtypes.converted(np.array([1 + 2.0**-8, 1 + 3 * 2.0**-8]), "bfloat16").tolist() == [1.0, 1 + 2.0**-6]
    assert dtypes.converted(np.array([1e39, -np.inf]), "bfloat16").tolist() == [np.inf, -np.inf]


# -- generated code --------------------------------------------------------------------------------------------------


def scaled(dtype: str) -> Tensor:
    x = placeholder((3, 37), dtype, "x")
    return compute((3, 37), lambda i, j: x[i, j] * 2 + 1, name="y")


def stencil(dtype: str) -> Tensor:
    x = placeholder((41,), dtype, "x")
    first = compute((39,), lambda i: x[i] + x[i + 1] + x[i + 2], name="first")
    return compute((37,), lambda i: first[i] - first[i + 2], name="y")


def gathered(dtype: str) -> Tensor:
    table, index = placeholder((9, 19), dtype, "table"), placeholder((19,), "int32", "index")
    return compute((5, 19), lambda i, j: table[i + index[j] % 4, (j * 7) % 19], name="y")


def mirrored(dtype: str) -> Tensor:
    x = placeholder((37,), dtype, "x")
    return compute((74,), lambda i: select((i >= 5) & (i < 40), x[41 - i], 0.5), name="y")


def matmul(dtype: str) -> Tensor:
    a, b, k = placeholder((5, 13), dtype, "a"), placeholder((13, 19), dtype, "b"), reduce_axis(13, "k")
    c = compute((5, 19), lambda i, j: total(a[i, k] * b[k, j], axis=k), name="c")
    return compute((5, 19), lambda i, j: cast(c[i, j], dtype), name="y")


def mixed(dtype: str) -> Tensor:
    x, n = placeholder((37,), dtype, "x"), placeholder((37,), "int8", "n")
    return compute((37,), lambda i: cast(cast(x[i], "float32") * n[i], dtype), name="y")


PROGRAMS = {program.__name__: program for program in (scaled, stencil, gathered, mirrored, matmul, mixed)}


def variants(output: Tensor) -> list[Schedule]:
    """Scalar, and in vectors with a tail."""
    plain = create_schedule(output)
    last = plain.state.stages[output.name].loops
    last = [loop for loop in last if loop not in plain.state.stages[output.name].reduce_loops]
    order = [loop for loop in plain.state.stages[output.name].loops if loop != last[-1]]
    moved = plain.reorder(output.name, [*order, last[-1]])
    return [plain, moved.vectorize(output.name, last[-1])]


@pytest.mark.compiler
@pytest.mark.parametrize("target", [X86_AVX2, X86_AVX512], ids=lambda target: target.name)
@pytest.mark.parametrize("dtype", dtypes.NARROW)
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str, dtype: str, target: Target) -> None:
    if not supports(target):
        pytest.skip(f"this machine cannot run {target.name}")
    for schedule in variants(PROGRAMS[name](dtype)):
        assert compare(schedule, target) == ""


@pytest.mark.compiler
@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
@pytest.mark.parametrize("dtype", dtypes.NARROW)
@pytest.mark.parametrize("name", PROGRAMS)
def test_code_is_freestanding(name: str, dtype: str, target: Target) -> None:
    for schedule in variants(PROGRAMS[name](dtype)):
        lines = autotune.assemble(schedule, target).splitlines()
        assert not [line for line in lines if "@PLT" in line or "\tbl\t" in line or "\tcall" in line]


@pytest.mark.compiler
@pytest.mark.parametrize("dtype", dtypes.NARROW)
def test_every_bit_pattern_is_read_and_written(dtype: str) -> None:
    values = np.arange(2**16, dtype=np.uint16).view(dtype)
    x = placeholder(values.shape, dtype, "x")
    copy = create_schedule(compute(values.shape, lambda i: x[i] * 1, name="y"))
    for schedule in (copy, copy.split("y", "i", [16]).vectorize("y", "i.1")):
        got = autotune.build(schedule)(values)
        numbers = ~np.isnan(values.astype(np.float32))
        assert np.array_equal(got.view(np.uint16)[numbers], values.view(np.uint16)[numbers])
        assert np.isnan(got[~numbers].astype(np.float32)).all()


@pytest.mark.compiler
@pytest.mark.parametrize("dtype", dtypes.NARROW)
def test_sums_are_kept_in_float32(dtype: str) -> None:
    """4,096 ones: a sum in bfloat16 would stay at 256, one in float16 at 2,048; here it is even kept in memory."""
    x, k = placeholder((4096, 40), dtype, "x"), reduce_axis(4096, "k")
    sums = compute((40,), lambda i: total(x[k, i], axis=k), name="y")
    assert sums.dtype == "float32"
    schedule = create_schedule(sums).reorder("y", ["k", "i"])
    assert autotune.build(schedule)(np.ones((4096, 40), dtype)).tolist() == [4096] * 40


@pytest.mark.compiler
@pytest.mark.parametrize("dtype", dtypes.NARROW)
def test_the_interpreter_rounds_alike(dtype: str) -> None:
    for name in ("scaled", "mixed", "mirrored"):
        output = PROGRAMS[name](dtype)
        inputs = Workload(output).random_inputs(3)
        schedule = variants(output)[1]
        (got,) = interpret(lower(schedule, X86_AVX2), [*inputs.values()])
        compiled = Kernel(build(schedule, autotune.targets.host.native_target()))(**inputs)
        assert np.array_equal(got, compiled)


# -- around the kernels ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", dtypes.NARROW)
def test_json_and_text(dtype: str) -> None:
    output = matmul(dtype)
    again = from_json(json.loads(json.dumps(to_json(output))))
    assert canonical_text(again) == canonical_text(output)
    assert dtype in canonical_text(output)


@pytest.mark.parametrize("dtype", dtypes.NARROW)
def test_random_inputs(dtype: str) -> None:
    arrays = Workload(matmul(dtype)).random_inputs(0)
    assert all(array.dtype == dtype and abs(array.astype(np.float32)).max() <= 1 for array in arrays.values())


@pytest.mark.compiler
def test_arguments_are_checked() -> None:
    kernel = autotune.build(create_schedule(scaled("bfloat16")))
    with pytest.raises(UsageError, match="expected a contiguous array of bfloat16"):
        kernel(np.ones((3, 37), np.float16))
    assert kernel(np.ones((3, 37), ml_dtypes.bfloat16)).dtype == ml_dtypes.bfloat16


@pytest.mark.parametrize("dtype", dtypes.NARROW)
def test_outputs_are_checked_with_the_tolerance_of_their_dtype(dtype: str) -> None:
    exact = np.linspace(-1, 1, 1000)
    reference = exact.astype(dtype)
    check, tolerance = Check(reference), TOLERANCE[dtype]
    output = np.empty(1000, dtype)
    check.poison(output, check.poisons[0])
    assert "not written" in (check.compare(output, tolerance)[1] or "")
    bits = reference.view(np.int16) + np.int16(1)
    assert check.compare(bits.view(dtype), tolerance)[1] is None  # one unit in the last place
    output[...] = (exact * 1.25).astype(dtype)
    assert "wrong" in (check.compare(output, tolerance)[1] or "")


@pytest.mark.compiler
def test_tuning_measures_and_records_bfloat16(tmp_path: Path) -> None:
    workload, path = Workload(matmul("bfloat16")), tmp_path / "db.sqlite"
    result = autotune.tune(workload, trials=4, database=path)
    assert result.verified and result.failed == 0
    assert autotune.find(workload, database=path).source == "exact"
