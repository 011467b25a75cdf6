"""This machine: which target it is, and its fingerprint as a device."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import llvmlite.binding as llvm

from autotune.errors import TargetError
from autotune.targets.facts import ARM_NEON, TARGETS, X86_AVX2, X86_AVX512, Caches, Target

# What a generic build may use beyond the named target's features, where the host has it.
_EXTRA = (
    "avx512vnni",
    "avx512bf16",
    "avx512fp16",
    "avxvnni",
    "amx-tile",
    "amx-int8",
    "amx-bf16",
    "dotprod",
    "i8mm",
    "bf16",
    "fullfp16",
)


@dataclass(frozen=True, slots=True)
class Device:
    """What a trial runs on: a name, and the text whose SHA-256 is its fingerprint."""

    name: str
    text: str
    facts: Mapping[str, object]

    @property
    def key(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


@cache
def host_features() -> frozenset[str]:
    """LLVM's names of the instruction set extensions that this CPU has."""
    return frozenset(name for name, there in llvm.get_host_cpu_features().items() if there)


def supports(target: Target) -> bool:
    """Whether this machine can run the target's code."""
    machine = {"AMD64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    return machine == target.arch and set(target.features) <= host_features()


@cache
def native_target() -> Target:
    """The widest named target that this machine runs, with the host's own extensions and cache sizes.

    Raises ``TargetError`` where the machine is none of the known architectures.
    """
    for target in (X86_AVX512, X86_AVX2, ARM_NEON):
        if supports(target):
            extras = tuple(name for name in _EXTRA if name in host_features() and name not in target.features)
            cpu = "" if target.arch == "x86_64" else llvm.get_host_cpu_name()
            return replace(target, features=(*target.features, *extras), caches=_caches(target.caches), cpu=cpu)
    raise TargetError(f"this machine ({platform.machine()}) runs none of the targets {', '.join(TARGETS)}")


def get_target(name: str) -> Target:
    """The target by name, ``native`` being this machine's; ``TargetError`` naming the ones that exist."""
    if name == "native":
        return native_target()
    if name not in TARGETS:
        raise TargetError(f"unknown target {name!r}; known: native, {', '.join(TARGETS)}")
    return TARGETS[name]


def require_host(target: Target) -> None:
    """Refuse a target whose code this machine cannot run, before anything runs."""
    if supports(target):
        return
    missing = sorted(set(target.features) - host_features())
    reason = f"it lacks {', '.join(missing)}" if platform.machine() == target.arch else f"it is {platform.machine()}"
    raise TargetError(
        f"this machine cannot run {target.name}: {reason}; build and explain work for any target, "
        f"tuning needs one that runs here (autotune targets lists them)"
    )


def _caches(default: Caches) -> Caches:
    found: dict[str, int] = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            kind, level, size = ((index / part).read_text().strip() for part in ("type", "level", "size"))
        except OSError:
            continue
        if kind != "Instruction" and size[-1:] in "KM":
            found[f"l{level}"] = int(size[:-1]) << (10 if size[-1] == "K" else 20)
    return replace(default, **{name: size for name, size in found.items() if name in ("l1", "l2", "l3")})


@cache
def host_device() -> Device:
    """This machine's fingerprint: CPU model, instruction sets, caches and cores, but no host name."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        fields: dict[str, str] = {}
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            fields[key.strip()] = value.strip()
        model = (
            " ".join(fields.get(key, "") for key in ("model name", "cpu family", "model", "stepping")).strip() or model
        )
    caches = _caches(Caches(0, 0, 0))
    facts: dict[str, object] = {
        "cpu": model, "cores": os.cpu_count() or 1, "l1": caches.l1, "l2": caches.l2, "l3": caches.l3,
        "features": sorted(host_features()), "system": platform.system(),
    }  # fmt: skip
    text = "; ".join(f"{key}={value}" for key, value in sorted(facts.items()))
    return Device(model, text, facts)
