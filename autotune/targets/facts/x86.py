"""x86-64 with AVX2 and with AVX-512. Latencies and ports: Intel's optimisation manual for Skylake-SP and later."""

from autotune.targets.facts.target import Caches, Target

_TRIPLE = "x86_64-unknown-linux-gnu"
_AVX2 = ("sse4.2", "popcnt", "avx", "avx2", "fma", "bmi", "bmi2", "f16c", "lzcnt", "movbe")

X86_AVX2 = Target(
    name="x86_avx2", triple=_TRIPLE, features=_AVX2, vector_bytes=32, vector_registers=16, masked=False,
    fma_latency=4, fma_ports=2, load_ports=2, caches=Caches(32 << 10, 512 << 10, 16 << 20),
)  # fmt: skip

X86_AVX512 = Target(
    name="x86_avx512", triple=_TRIPLE,
    features=(*_AVX2, "avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"),
    vector_bytes=64, vector_registers=32, masked=True,
    fma_latency=4, fma_ports=2, load_ports=2, caches=Caches(32 << 10, 1 << 20, 32 << 20),
)  # fmt: skip
