"""The schedule primitives; importing this package registers all of them."""

import importlib
import pkgutil

from autotune.schedules.primitives.step import Knob, Step, make_step, primitive, primitives

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["Knob", "Step", "make_step", "primitive", "primitives"]
