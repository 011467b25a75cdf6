"""What code is generated for: facts that a generator and the search need, and nothing that is measured."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caches:
    """Data cache sizes in bytes, as one core sees them; the last is shared where the device shares it."""

    l1: int
    l2: int
    l3: int


@dataclass(frozen=True, slots=True)
class Target:
    """An instruction set and how wide it is.

    ``features`` are LLVM's names without the sign; ``vector_registers`` counts architectural vector registers;
    ``masked`` says that partial vectors are loaded and stored under a mask at full speed; ``fma_latency`` (cycles)
    times ``fma_ports`` is how many independent accumulators keep the multiply-add units busy; ``caches`` are typical
    ones, replaced by the host's own for ``native``.
    """

    name: str
    triple: str
    features: tuple[str, ...]
    vector_bytes: int
    vector_registers: int
    masked: bool
    fma_latency: int
    fma_ports: int
    load_ports: int
    caches: Caches
    cpu: str = ""

    @property
    def text(self) -> str:
        """The canonical text: what decides which code is generated."""
        features = ",".join(sorted(self.features))
        return f"{self.triple} cpu={self.cpu or 'generic'} vector={self.vector_bytes} features={features}"

    @property
    def key(self) -> str:
        """SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def arch(self) -> str:
        """The first part of the triple: ``x86_64``, ``aarch64``, ..."""
        return self.triple.split("-")[0]

    def lanes(self, itemsize: int) -> int:
        """Elements of ``itemsize`` bytes in one vector register."""
        return max(1, self.vector_bytes // itemsize)
