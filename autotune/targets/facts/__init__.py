"""Facts about targets: frozen data."""

from autotune.targets.facts.arm import ARM_NEON
from autotune.targets.facts.target import Caches, Target
from autotune.targets.facts.x86 import X86_AVX2, X86_AVX512

TARGETS = {target.name: target for target in (ARM_NEON, X86_AVX2, X86_AVX512)}

__all__ = ["ARM_NEON", "TARGETS", "X86_AVX2", "X86_AVX512", "Caches", "Target"]
