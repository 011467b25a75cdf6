"""64-bit ARM with NEON. Latency and ports: Arm's software optimisation guide for the Cortex-A72."""

from autotune.targets.facts.target import Caches, Target

ARM_NEON = Target(
    name="arm_neon", triple="aarch64-unknown-linux-gnu", features=("neon", "fp-armv8"), vector_bytes=16,
    vector_registers=32, masked=False, fma_latency=7, fma_ports=2, load_ports=1,
    caches=Caches(32 << 10, 1 << 20, 1 << 20), cpu="cortex-a72",
)  # fmt: skip
