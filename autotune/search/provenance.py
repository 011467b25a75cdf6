"""Which machine and clock a run's figures come from."""

from __future__ import annotations

import hashlib
import platform
import time
import uuid
from functools import cache
from pathlib import Path

from autotune.targets.host import host_device, host_features
from autotune.tuning_logs import Host

_MACHINE_IDS = ("/etc/machine-id", "/var/lib/dbus/machine-id")


@cache
def host() -> Host:
    """This machine. The fingerprint is a hash of what identifies it here, and tells nobody its name or address."""
    return Host(
        hashlib.sha256(f"autotune {_machine_id()}".encode()).hexdigest(),
        host_device().name,
        " ".join(sorted(host_features())),
        f"{platform.system()} {platform.machine()}",
    )


def _machine_id() -> str:
    for path in map(Path, _MACHINE_IDS):
        try:
            if text := path.read_text().strip():
                return text
        except OSError:
            continue
    return f"{uuid.getnode():012x} {platform.node()}"


def driver() -> str:
    """What runs kernels here: the operating system's kernel."""
    return f"{platform.system()} {platform.release()}"


def clock() -> str:
    """The clock that times kernels, its resolution, and the CPU's frequency where the system tells it."""
    info = time.get_clock_info("perf_counter")
    text = f"{info.implementation}, resolution {info.resolution:g} s"
    for path in map(Path, ("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "/proc/cpuinfo")):
        try:
            content = path.read_text()
        except OSError:
            continue
        lines = [line.partition(":")[2] for line in content.splitlines() if line.startswith("cpu MHz")]
        frequency = float(lines[0]) if lines else float(content) / 1e3 if content.strip().isdigit() else None
        if frequency:
            return f"{text}, CPU at {frequency:.0f} MHz when the run began"
    return text
