"""The object loader, the OpenMP runtime and kernels as callables, on real objects made with LLVM."""

from __future__ import annotations

import array
import ctypes
import struct
import time

import numpy as np
import pytest
from native_kernels import COUNT, PARAMETERS, RIGHT, build, expected, loop

from autotune.errors import AutotuneError, TargetError, UsageError
from autotune.schedules.layout import Dim, Layout
from autotune.targets import runtime
from autotune.targets.artifact import KernelObject, Parameter
from autotune.targets.callable import Kernel, address_of, aligned_empty
from autotune.targets.instruments import Probe
from autotune.targets.llvm.probe import fma_probe
from autotune.targets.llvm.timer import emit_object, host_features, host_triple, timer_object
from autotune.targets.loader import LoadedObject, LoadError, parse

pytestmark = pytest.mark.compiler
AARCH64 = "aarch64-unknown-linux-gnu"


def arrays(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.random(COUNT, np.float32), generator.random(COUNT, np.float32)


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return Kernel(build(loop(RIGHT)))


def test_every_alloc_section_is_loaded() -> None:
    text = """
    @data = internal global i64 40
    @bss = internal global [5000 x i64] zeroinitializer
    @table = internal constant [2 x ptr] [ptr @one, ptr @two]
    @wide = internal constant <4 x i32> <i32 1, i32 2, i32 3, i32 4>
    define internal i64 @one(i64 %v) { %r = add i64 %v, 1  ret i64 %r }
    define internal i64 @two(i64 %v) { %r = add i64 %v, 2  ret i64 %r }
    define i64 @run(i64 %which) {
      %slot = getelementptr ptr, ptr @table, i64 %which
      %f = load volatile ptr, ptr %slot
      %d = load volatile i64, ptr @data
      %p = getelementptr i64, ptr @bss, i64 4999
      %z = load volatile i64, ptr %p
      store volatile i64 7, ptr %p
      %q = load volatile <4 x i32>, ptr @wide
      %last = extractelement <4 x i32> %q, i64 3
      %last64 = zext i32 %last to i64
      %r = call i64 %f(i64 %d)
      %s = add i64 %r, %z
      %u = add i64 %s, %last64
      ret i64 %u
    }"""
    loaded = LoadedObject(emit_object(text, host_triple(), ""))
    run = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(loaded.address("run"))
    assert run(0) == 45
    assert run(1) == 46 + 7
    with pytest.raises(LoadError, match="defines no symbol 'walk'; it defines: run"):
        loaded.address("walk")
    loaded.close()
    loaded.close()


def test_pages_are_never_writable_and_executable() -> None:
    loaded = LoadedObject(emit_object("define void @f() { ret void }", host_triple(), ""))
    address = loaded.address("f")
    with open("/proc/self/maps") as maps:
        for line in maps:
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            if start <= address < end:
                assert line.split()[1].startswith("r-x")
                return
    pytest.fail("the object is not mapped")


def test_undefined_symbols_are_named() -> None:
    text = "declare float @expf(float)\ndefine float @f(float %v) { %r = call float @expf(float %v)  ret float %r }"
    for triple in (host_triple(), AARCH64):
        with pytest.raises(LoadError, match="needs the symbol 'expf' from outside"):
            parse(emit_object(text, triple, ""))


def test_corrupt_objects_are_refused() -> None:
    code = emit_object(loop(RIGHT), host_triple(), "")
    with pytest.raises(LoadError, match="no 64-bit little-endian ELF"):
        parse(b"MZ" + code[2:])
    with pytest.raises(LoadError, match="machine 40"):
        parse(code[:18] + struct.pack("<H", 40) + code[20:])
    for length in range(64, len(code), 97):
        with pytest.raises(LoadError):
            parse(code[:length])


def test_aarch64_relocations() -> None:
    """Instructions are taken apart again: an address must come out as the symbol's."""
    text = """
    @pad = internal constant [3 x i8] c"abc"
    @wide = internal constant <4 x i32> <i32 1, i32 2, i32 3, i32 4>
    define internal i64 @callee(i64 %v) noinline { %r = add i64 %v, 1  ret i64 %r }
    define <4 x i32> @load() { %q = load volatile <4 x i32>, ptr @wide  ret <4 x i32> %q }
    define ptr @where() { ret ptr @pad }
    define i64 @call(i64 %v) { %r = call i64 @callee(i64 %v)  %s = add i64 %r, 1  ret i64 %s }
    """
    image = parse(emit_object(text, AARCH64, ""), page=65536)
    base = 0x7F1234560000
    content = bytes(image.relocate(base))
    assert [segment.protection for segment in image.segments] == [5, 1]

    def word(at: int) -> int:
        return struct.unpack_from("<I", content, at)[0]

    def page_of(at: int) -> int:  # of an ADRP
        high = (word(at) >> 5 & 0x7FFFF) << 2 | (word(at) >> 29 & 3)
        return ((base + at) >> 12 << 12) + (high << 12)

    where = image.symbols["where"]
    assert content[page_of(where) + (word(where + 4) >> 10 & 0xFFF) - base :][:3] == b"abc"
    load = image.symbols["load"]
    wide = page_of(load) + (word(load + 4) >> 10 & 0xFFF) * 16 - base
    assert struct.unpack_from("<4i", content, wide) == (1, 2, 3, 4)
    callee = next(at for at in range(0, len(content), 4) if word(at) == 0x91000400)  # add x0, x0, #1
    call = image.symbols["call"]
    branch = next(at for at in range(call, call + 32, 4) if word(at) >> 26 == 0b100101)
    distance = (word(branch) & 0x3FFFFFF) - ((word(branch) >> 25 & 1) << 26)
    assert branch + 4 * distance == callee
    parse(timer_object(AARCH64)).relocate(base)


def test_relocations_that_do_not_fit_are_refused() -> None:
    text = "@here = internal global ptr @f\ndefine ptr @f() { %r = load volatile ptr, ptr @here  ret ptr %r }"
    image = parse(emit_object(text, host_triple(), ""))
    image.relocate(1 << 40)
    with pytest.raises(LoadError, match="does not fit"):
        image.relocate(1 << 64)


def test_a_kernel_is_a_function_of_arrays(kernel: Kernel) -> None:
    x, w = arrays()
    y = kernel(x, w)
    np.testing.assert_array_equal(y, expected(x, w))
    assert address_of(y) % 64 == 0 and address_of(y) == y.ctypes.data
    out = np.empty(COUNT, np.float32)
    assert kernel(w=w, x=x, out=out) is out
    np.testing.assert_array_equal(out, expected(x, w))
    bound = kernel.bind(w=w)
    np.testing.assert_array_equal(bound(x), expected(x, w))
    np.testing.assert_array_equal(bound(x=x), expected(x, w))
    assert bound.inputs == ("x",)


def test_any_buffer_and_alignment_is_welcome(kernel: Kernel) -> None:
    x, w = arrays()
    memory = np.empty(COUNT + 1, np.float32)
    memory[1:] = x
    bytes_ = np.empty(4 * COUNT + 1, np.uint8)
    odd = bytes_[1:].view(np.float32)
    odd[:] = x
    readonly = x.copy()
    readonly.flags.writeable = False

    class Exchanged:
        def __dlpack__(self, **options: object) -> object:
            return x.__dlpack__(**options)

        def __dlpack_device__(self) -> tuple[int, int]:
            return x.__dlpack_device__()

    for same in (memory[1:], odd, readonly, array.array("f", x.tolist()), memoryview(x), Exchanged()):
        np.testing.assert_array_equal(kernel(same, w), expected(x, w))


def test_what_does_not_fit_is_refused_in_one_sentence(kernel: Kernel) -> None:
    x, w = arrays()
    readonly = x.copy()
    readonly.flags.writeable = False
    for call, message in (
        (lambda: kernel(x.astype(np.float64), w), r"x: got an array of float64.*expected.*float32"),
        (lambda: kernel(x, w[:-1]), r"w: got an array of float32 and shape \(4095,\), expected.*\(4096,\)"),
        (lambda: kernel(np.zeros(2 * COUNT, np.float32)[::2], w), "x: got a non-contiguous array"),
        (lambda: kernel(np.ma.masked_equal(x, 0), w), "x: got a masked array, whose mask a kernel does not know"),
        (lambda: kernel(x, w, out=np.ma.masked_equal(x, 0)), "y: got a masked array, whose mask a kernel does not"),
        (lambda: kernel(x.astype(">f4"), w), "x: got an array of >f4"),
        (lambda: kernel([1.0], w), "x: got a list that NumPy cannot read"),
        (lambda: kernel(x), r"takes 2 inputs \(x, w\), got 1"),
        (lambda: kernel(x, w, x), r"takes 2 inputs \(x, w\), got 3"),
        (lambda: kernel(x, w, z=x), "given 'z' which it does not have; its inputs are: x, w"),
        (lambda: kernel(x, w, x=x), "given 'x' twice"),
        (lambda: kernel.bind(z=x), "no input 'z'; it has: x, w"),
        (lambda: kernel(x, w, out=readonly), "y: got a read-only array"),
        (lambda: kernel(x, w, out=x), "out overlaps x"),
    ):
        with pytest.raises(UsageError, match=message):
            call()


def test_constants_are_packed() -> None:
    """The kernel adds w as it lies in memory, so a layout that reverses blocks shows."""
    layout = Layout((Dim(0, 1, 64), Dim(0, 64)))
    plain = build(loop(RIGHT))
    parameters = (PARAMETERS[0], Parameter("w", (COUNT,), "float32", "constant", layout), PARAMETERS[2])
    kernel = Kernel(KernelObject(plain.code, plain.entry, parameters, 100))
    x, w = arrays()
    packed = layout.pack(w).reshape(-1)
    np.testing.assert_array_equal(kernel(x, w), expected(x, packed))
    np.testing.assert_array_equal(kernel.bind(w=w)(x), expected(x, packed))
    np.testing.assert_array_equal(kernel.pack("w", w), layout.pack(w))


def test_a_call_is_cheap(kernel: Kernel) -> None:
    empty = Kernel(build("define void @kernel(ptr %arguments) { ret void }"))
    x, w = arrays()
    best = float("inf")
    for _ in range(2000):
        began = time.perf_counter()
        empty(x, w)
        best = min(best, time.perf_counter() - began)
    assert best < 20e-6


def test_parallel_kernels_run_on_openmp() -> None:
    text = """
    define internal void @body(ptr %counter) { %o = atomicrmw add ptr %counter, i64 1 seq_cst  ret void }
    define void @kernel(ptr %arguments) {
      %ys = getelementptr ptr, ptr %arguments, i64 2
      %y = load ptr, ptr %ys
      store i64 0, ptr %y
      %rs = getelementptr ptr, ptr %arguments, i64 4
      %runtime = load ptr, ptr %rs
      %parallel = load ptr, ptr %runtime
      %ts = getelementptr ptr, ptr %runtime, i64 1
      %threads = load i64, ptr %ts
      %count = trunc i64 %threads to i32
      call void %parallel(ptr @body, ptr %y, i32 %count, i32 0)
      ret void
    }"""
    x, w = arrays()
    assert Kernel(build(text, threads=2))(x, w).view(np.int64)[0] == 2


def test_a_missing_runtime_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_candidates", lambda: ["no-such-library.so"])
    runtime._parallel_address.cache_clear()
    try:
        with pytest.raises(TargetError, match="install libgomp"):
            runtime.runtime_table(2)
        assert runtime.runtime_table(1) is None
    finally:
        runtime._parallel_address.cache_clear()


def test_the_probe_does_what_it_counts() -> None:
    probe = fma_probe("float32", 8, host_triple(), host_features())
    assert isinstance(probe, Probe)
    data = aligned_empty((probe.data_bytes // 4,), np.dtype(np.float32))
    data[:] = 1
    iterations = ctypes.c_int64(10)
    arguments = (ctypes.c_void_p * 2)(address_of(data), ctypes.addressof(iterations))
    loaded = LoadedObject(probe.code)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(loaded.address("fma_probe"))(ctypes.addressof(arguments))
    sums = data[:-16]
    assert (sums == sums[0]).all()
    assert (float(sums[0]) - 1) * 2 * sums.size == 10 * probe.flops_per_iteration
    with pytest.raises(TargetError, match="no peak probe for int8; known"):
        fma_probe("int8", 8, host_triple(), "")


def test_a_workspace_that_cannot_be_had_is_refused() -> None:
    with pytest.raises(AutotuneError, match=r"needs 1048576\.0 GiB of workspace"):
        Kernel(build(loop(RIGHT), workspace_bytes=1 << 50))
