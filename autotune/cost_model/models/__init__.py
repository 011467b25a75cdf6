"""Cost models, one file each; importing this package registers all of them."""

import importlib
import pkgutil

from autotune.cost_model.model import CostModel, cost_model, cost_models, make_cost_model

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["CostModel", "cost_model", "cost_models", "make_cost_model"]
