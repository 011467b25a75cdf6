"""The search space: every sketch of many operators computes what NumPy does, at odd sizes, on one thread and on two."""

from __future__ import annotations

import timeit
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import autotune.tensor_expr as te
from autotune.schedules.schedule import Schedule
from autotune.search.lookup import find_schedule
from autotune.search.space import SearchSpace
from autotune.targets.callable import Kernel
from autotune.targets.facts import X86_AVX512, Caches, Target
from autotune.targets.host import get_target, native_target, supports
from autotune.targets.llvm.build import assembly, build
from autotune.tensor_expr.operators import get_operator
from autotune.tensor_expr.workload import Workload

pytestmark = pytest.mark.compiler
conv2d, matmul = get_operator("conv2d"), get_operator("matmul")


def fused_epilogue() -> Workload:
    y = conv2d(in_channels=8, out_channels=24, height=13, width=13).output
    bias = te.placeholder((24,), name="bias", constant=True)
    return Workload(te.compute(y.shape, lambda n, c, i, j: te.max(y[n, c, i, j] + bias[c], 0.0), name="relu"))


def softmax() -> Workload:
    x = te.placeholder((37, 100), name="x")
    k, m = te.reduce_axis(100, "k"), te.reduce_axis(100, "m")
    largest = te.compute((37,), lambda i: te.max(x[i, k], axis=k), name="largest")
    powers = te.compute((37, 100), lambda i, j: te.exp(x[i, j] - largest[i]), name="powers")
    total = te.compute((37,), lambda i: te.sum(powers[i, m], axis=m), name="total")
    return Workload(te.compute((37, 100), lambda i, j: powers[i, j] / total[i], name="y"))


def blur() -> Workload:
    x = te.placeholder((67, 53), name="x")
    rows = te.compute((67, 51), lambda i, j: (x[i, j] + x[i, j + 1] + x[i, j + 2]) / 3.0, name="rows")
    return Workload(te.compute((65, 51), lambda i, j: (rows[i, j] + rows[i + 1, j] + rows[i + 2, j]) / 3.0, name="y"))


WORKLOADS: dict[str, Callable[[], Workload]] = {
    "dilated": lambda: conv2d(
        in_channels=7,
        out_channels=11,
        height=13,
        width=17,
        kernel="3,2",
        stride="2,1",
        padding="1,0,2,1",
        dilation="1,2",
    ),
    "grouped": lambda: conv2d(in_channels=8, out_channels=12, height=9, width=9, groups=4),
    "depthwise": lambda: conv2d(in_channels=5, out_channels=5, groups=5, height=11, width=13, stride=2),
    "pointwise": lambda: conv2d(in_channels=16, out_channels=32, height=7, width=7, kernel=1, stride=2),
    "first layer": lambda: conv2d(in_channels=3, out_channels=16, height=33, width=31, kernel=7, stride=2, padding=3),
    "double": lambda: conv2d(batch=2, in_channels=4, out_channels=6, height=5, width=5, dtype="float64"),
    "integer": lambda: conv2d(in_channels=4, out_channels=6, height=5, width=5, dtype="int32"),
    "one pixel": lambda: conv2d(in_channels=1, out_channels=1, height=1, width=1, kernel=1),
    "primes": lambda: matmul(m=37, n=53, k=29),
    "both transposed": lambda: matmul(m=37, n=53, k=29, transpose_a=True, transpose_b=True),
    "vector": lambda: matmul(m=1, n=100, k=64, constant_b=True),
    "column": lambda: matmul(m=64, n=1, k=33),
    "packed": lambda: matmul(m=17, n=31, k=23, constant_b=True, transpose_b=True),
    "fused epilogue": fused_epilogue,
    "softmax": softmax,
    "blur": blur,
    "layer norm": lambda: get_operator("layer_norm")(shape="13,67"),
    "softmax across rows": lambda: get_operator("softmax")(shape="3,37,53", axis=1),
    "one sum": lambda: get_operator("reduce_sum")(shape="1,5003"),
    "sums of columns": lambda: get_operator("reduce_sum")(shape="33,41", axes="0"),
    "pooling by two": lambda: get_operator("max_pool")(channels=3, extents="9,37", kernel=3, stride=2, padding=1),
    "sharpened": lambda: get_operator("unsharp_mask")(height=37, width=53),
    "transpose": lambda: get_operator("transpose")(shape="2,37,52", perm="0,2,1"),
    "odd transpose": lambda: get_operator("transpose")(shape="3,19,35", perm="2,1,0"),
    "matrix times vector": lambda: get_operator("dense")(batch=1, in_features=67, out_features=37),
}


LONG: dict[str, Callable[[], Workload]] = {
    "primes": lambda: matmul(m=37, n=53, k=229),
    "both transposed": lambda: matmul(m=37, n=53, k=229, transpose_a=True, transpose_b=True),
    "packed": lambda: get_operator("dense")(batch=13, in_features=301, out_features=67),
    "double": lambda: matmul(m=23, n=31, k=130, dtype="float64"),
    "batched": lambda: get_operator("batch_matmul")(batch_a=3, batch_b=3, m=19, n=37, k=131),
    "convolution": lambda: conv2d(in_channels=131, out_channels=7, height=9, width=17),
}


def check(workload: Workload, target: Target, threads: int, count: int, seed: int, only: str = "") -> None:
    """Some legal candidates, of sketches whose names have ``only`` in them, beside NumPy."""
    space = SearchSpace(workload.output, target, threads)
    if only:
        found = [sketch for sketch in space.sketches if only in sketch.name]
        assert found, only
        space = SearchSpace(workload.output, target, threads, given=found)
    generator = np.random.default_rng(seed)
    drawn = space.evaluate(space.sample(generator, 400))
    legal = np.flatnonzero(drawn.legal)
    inputs = workload.random_inputs(seed)
    reference = workload.compute_reference(inputs)
    for row in generator.choice(legal, min(count, len(legal)), replace=False):
        schedule = space.schedule(drawn.population, int(row))
        kernel = Kernel(build(schedule, target, threads))
        result = kernel(*(inputs[name] for name in kernel.inputs))
        error = np.abs(result - reference).max() / max(1.0, np.abs(reference).max())
        assert error < 1e-5, f"{workload.text} {target.name} threads={threads}\n{schedule}"


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_candidate_is_right(name: str) -> None:
    check(WORKLOADS[name](), native_target(), threads=1, count=4, seed=1)
    check(WORKLOADS[name](), native_target(), threads=2, count=2, seed=2)


@pytest.mark.parametrize("name", ["primes", "packed", "both transposed", "double", "batched", "convolution"])
def test_long_reductions_in_blocks(name: str) -> None:
    """Where caches hold nothing, so that small operands overflow them."""
    target = replace(native_target(), caches=Caches(512, 1024, 2048))
    check(LONG[name](), target, threads=1, count=10, seed=5, only="reduction in blocks")
    check(LONG[name](), target, threads=2, count=4, seed=6, only="reduction in blocks")


def bytes_matmul(left: str = "uint8", n: int = 53) -> Workload:
    """A product of matrices of bytes in 32 bits, as quantised networks have it, and its reference."""
    a, b = te.placeholder((13, 70), left, "a"), te.placeholder((n, 70), "int8", "b", constant=True)
    r = te.reduce_axis(70, "r")
    product = lambda i, j: te.cast(a[i, r], "int32") * te.cast(b[j, r], "int32")  # noqa: E731
    return Workload(te.compute((13, n), lambda i, j: te.sum(product(i, j), axis=r), name="c"))


def bytes_conv2d() -> Workload:
    """A convolution of bytes, channels last."""
    x, w = te.placeholder((1, 9, 11, 24), "uint8", "x"), te.placeholder((3, 3, 24, 37), "int8", "w", constant=True)
    u, v, c = te.reduce_axis(3, "u"), te.reduce_axis(3, "v"), te.reduce_axis(24, "c")
    return Workload(
        te.compute(
            (1, 7, 9, 37),
            lambda n, i, j, o: te.sum(
                te.cast(x[n, i + u, j + v, c], "int32") * te.cast(w[u, v, c, o], "int32"), axis=(u, v, c)
            ),
            name="y",
        )
    )


VNNI = replace(X86_AVX512, features=(*X86_AVX512.features, "avx512vnni"))


@pytest.mark.parametrize("workload", [bytes_matmul, bytes_conv2d])
def test_instructions_that_add_up_four_products(workload: Callable[[], Workload]) -> None:
    plain = SearchSpace(workload().output, X86_AVX512).sketches
    assert not any("vpdpbusd" in sketch.name for sketch in plain), "the target has no such instruction"
    if not supports(VNNI):
        pytest.skip("this CPU has no AVX512 VNNI")
    check(workload(), VNNI, threads=1, count=8, seed=9, only="vpdpbusd_16")
    check(workload(), VNNI, threads=2, count=2, seed=10, only="vpdpbusd_16")


def test_other_types_have_no_such_instruction() -> None:
    assert not any("vpdpbusd" in s.name for s in SearchSpace(bytes_matmul("int8").output, VNNI).sketches)
    assert any("vpdpbusd" in s.name for s in SearchSpace(bytes_matmul().output, VNNI).sketches)


SHORT: dict[str, Callable[[], Workload]] = {
    "one sum": lambda: get_operator("reduce_sum")(shape="1,100003"),
    "means of planes": lambda: get_operator("reduce_mean")(shape="1,3,503,70", axes="0,2,3"),
    "largest": lambda: get_operator("argmax")(shape="1,100003"),
    "sums of columns": lambda: get_operator("reduce_sum")(shape="9001,11", axes="0"),
    "product": lambda: matmul(m=7, n=5, k=4001),
    "packed product": lambda: matmul(m=7, n=5, k=4001, constant_b=True, transpose_b=True),
}


@pytest.mark.parametrize("name", SHORT)
def test_few_results_are_reduced_in_parts_by_threads(name: str) -> None:
    check(SHORT[name](), native_target(), threads=2, count=6, seed=7, only="in parts")
    check(SHORT[name](), native_target(), threads=3, count=2, seed=8, only="in parts")
    assert not any("in parts" in sketch.name for sketch in SearchSpace(SHORT[name]().output, native_target()).sketches)


@pytest.mark.parametrize("name", ["dilated", "primes", "fused epilogue"])
def test_tails_on_avx2_are_shorter_vectors(name: str) -> None:
    target = get_target("x86_avx2")
    if not supports(target):
        pytest.skip("this CPU has no AVX2")
    check(WORKLOADS[name](), target, threads=1, count=4, seed=3)


def test_the_space_comes_from_the_expression_alone() -> None:
    """A user's own convolution, by another name and with other axes, has the library's sketches."""
    library = conv2d(in_channels=8, out_channels=16, height=10, width=10, kernel=3, padding=0)
    x, w = te.placeholder((1, 8, 10, 10), name="image"), te.placeholder((16, 8, 3, 3), name="filter", constant=True)
    c, p, q = te.reduce_axis(8, "c"), te.reduce_axis(3, "p"), te.reduce_axis(3, "q")
    own = te.compute(
        (1, 16, 8, 8), lambda n, f, y, z: te.sum(x[n, c, y + p, z + q] * w[f, c, p, q], axis=(c, p, q)), name="out"
    )
    target = native_target()
    assert len(SearchSpace(own, target).sketches) == len(SearchSpace(library.output, target).sketches)


def test_element_wise_stages_are_inlined_or_fused() -> None:
    workload = fused_epilogue()
    for sketch in SearchSpace(workload.output, native_target()).sketches:
        stages = sketch.schedule.state.stages
        assert stages["conv"].attach is not None and stages["conv"].attach[0] == "relu"
        assert "conv.tile" not in stages, "a fused epilogue needs no copy of the tile"


def test_an_exponential_is_not_computed_twice() -> None:
    for sketch in SearchSpace(softmax().output, native_target()).sketches:
        assert "powers" in sketch.schedule.state.stages


def test_constants_are_packed_ahead_of_time() -> None:
    workload = conv2d(in_channels=8, out_channels=16, height=10, width=10)
    packed = [s for s in SearchSpace(workload.output, native_target()).sketches if s.name.startswith("vector o")]
    assert packed and all(sketch.schedule.state.stages["w"].layout is not None for sketch in packed)


def test_pipelines_are_computed_in_blocks() -> None:
    """A block of the blur computes what it reads of the stages before it, and element-wise operators unroll vectors."""
    whole, blocks, sliding = SearchSpace(get_operator("blur")(height=300, width=400).output, X86_AVX512).sketches
    assert (whole.name, blocks.name, sliding.name) == ("by rows", "in blocks", "sliding")
    assert all(blocks.schedule.state.stages[name].attach == ("y", "j.0") for name in ("border", "rows"))
    assert {knob.name for knob in blocks.schedule.knobs} == {"i.block", "j.block"}
    assert blocks.schedule.state.stages["y"].details.partitions, "only the ends of a row test for the border"
    rows = sliding.schedule.state.stages["rows"]
    assert rows.attach == ("y", "i.1") and rows.details.folded == (0, 0), "three rows stay in a window"
    (plain,) = SearchSpace(get_operator("relu")(shape="30,400").output, native_target()).sketches
    assert [knob.choices for knob in plain.schedule.knobs] == [(1, 2, 4, 8)]


def test_rows_go_through_all_stages_in_the_cache() -> None:
    """Reductions along rows run in vector lanes, with every other stage inside a block of the output's rows."""
    one, several = SearchSpace(softmax().output, native_target()).sketches
    stages = one.schedule.state.stages
    assert {stage.attach for name, stage in stages.items() if name not in ("x", "y")} == {("y", "i.0")}
    assert [stages[name].kind("k.1") for name in ("largest.rf", "largest")] == ["vectorize", "unroll"]
    assert {knob.name for knob in one.schedule.knobs} == {"rows", "unroll.100"}
    assert "largest.rf.rf" in several.schedule.state.stages, "a row of its own needs several accumulators"
    (across,) = SearchSpace(get_operator("softmax")(shape="3,37,53", axis=1).output, native_target()).sketches
    assert not any(name.endswith(".rf") for name in across.schedule.state.stages), "lanes are elements of the output"


def test_transposes_run_in_blocks_and_large_outputs_may_pass_the_caches_by() -> None:
    target = X86_AVX512
    small = SearchSpace(get_operator("transpose")(shape="64,96", perm="1,0").output, target)
    large = SearchSpace(get_operator("transpose")(shape="1024,1024", perm="1,0").output, target)
    assert [sketch.name for sketch in small.sketches] == ["transposed in blocks"]
    assert [sketch.name for sketch in large.sketches] == ["transposed in blocks", "transposed in blocks; streamed"]
    assert large.sketches[1].schedule.state.stages["y"].details.streamed
    schedule = find_schedule(get_operator("transpose")(shape="1024,1024", perm="1,0"), target).schedule
    assert "gather" not in assembly(schedule, target)
    assert schedule.state.stages["y"].details.streamed, "what leaves the cache anyway had better pass it by"


def test_the_analytic_model_ranks_what_reduces_nothing() -> None:
    """Blocks of a transpose differ in how often they load a line of the source: by log2 cycles of the estimate."""
    space = SearchSpace(get_operator("transpose")(shape="1024,1024", perm="1,0").output, X86_AVX512)
    drawn = space.evaluate(space.sample(np.random.default_rng(0), 500))
    cycles = drawn.features[drawn.legal, 0]
    assert cycles.max() - cycles.min() > 0.5


def test_windows_that_move_by_two_are_vectorised() -> None:
    pool = get_operator("max_pool")(channels=5, extents="16,40", kernel=3, stride=2, padding=1)
    assert {s.name.split(";")[0] for s in SearchSpace(pool.output, native_target()).sketches} == {"vector j"}


def test_rows_of_softmax_beat_one_pass_a_stage() -> None:
    """What the analytic model chooses without a trial, beside the default schedule."""
    workload = get_operator("softmax")(shape="128,1000")
    schedule = find_schedule(workload, native_target()).schedule
    kernels = [Kernel(build(made, native_target())) for made in (schedule, Schedule(workload.output))]
    x = workload.random_inputs(0)["x"]
    times = [min(timeit.repeat(partial(kernel, x), number=2, repeat=5)) for kernel in kernels]
    assert times[0] < 0.5 * times[1], times


def test_what_is_read_anywhere_is_not_computed_in_blocks() -> None:
    """Both halves of a mirrored row are needed at once: no block of the output reads a block of it."""
    x = te.placeholder((40, 64), name="x")
    a = te.compute((40, 64), lambda i, j: te.select(j > 0, x[i, j], 0.0), name="a")
    mirrored = te.compute((40, 64), lambda i, j: a[i, j] + a[i, 63 - j], name="y")
    assert [sketch.name for sketch in SearchSpace(mirrored, native_target()).sketches] == ["by rows"]
