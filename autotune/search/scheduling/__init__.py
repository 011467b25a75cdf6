"""Task schedulers, one file each; importing this package registers all of them."""

import importlib
import pkgutil

from autotune.search.scheduling.scheduler import Scheduler, Standing, get_scheduler, next_task, scheduler, schedulers

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["Scheduler", "Standing", "get_scheduler", "next_task", "scheduler", "schedulers"]
