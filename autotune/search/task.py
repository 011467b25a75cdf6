"""What is tuned: a workload on a target and device, as the tuning database knows it."""

from __future__ import annotations

from dataclasses import dataclass

from autotune import tuning_logs
from autotune.errors import UsageError
from autotune.schedules.sketches import SPACE_VERSION
from autotune.targets.facts import Target
from autotune.targets.host import Device
from autotune.targets.llvm.build import TOOLCHAIN
from autotune.tensor_expr.workload import Workload
from autotune.version import VERSION

CACHES = ("warm", "cold")


def toolchain() -> str:
    """What makes a kernel of a schedule here, as the database names it."""
    return f"autotune {VERSION}, {TOOLCHAIN}"


@dataclass(frozen=True, slots=True)
class TuningTask:
    """A workload, the target that code is generated for, the device that runs it, and the number of threads.

    ``cache`` is ``warm``, or ``cold`` where each sample finds the kernel's memory in no cache: other figures, so a task
    of its own.
    ``space`` names the schedules that are searched: the version of the automatic space, or a hand-written one.
    """

    workload: Workload
    target: Target
    device: Device
    threads: int = 1
    cache: str = "warm"
    space: str = str(SPACE_VERSION)

    def __post_init__(self) -> None:
        if self.cache not in CACHES:
            raise UsageError(f"cache is {self.cache!r}; it must be {' or '.join(CACHES)}")

    @property
    def key(self) -> tuning_logs.Task:
        """The task in the database's terms: what trials of earlier runs must share to count."""
        return tuning_logs.Task(
            workload=tuning_logs.Workload(self.workload.text, self.workload.operator, dict(self.workload.params)),
            target=tuning_logs.TargetInfo(self.target.name, self.target.text),
            device=tuning_logs.DeviceInfo(self.device.name, self.device.text, dict(self.device.facts)),
            threads=self.threads,
            toolchain=toolchain(),
            space_version=f"{self.space} cold" if self.cache == "cold" else self.space,
        )
