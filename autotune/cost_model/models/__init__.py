"""Cost models, one file each; importing this package registers all of them."""

import importlib
import pkgutil

from autotune.cost_model.model import CostModel, cost_model, cost_models
from autotune.cost_model.models.xgboost import load_model
from autotune.errors import UsageError, unknown

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["CostModel", "cost_model", "cost_models", "load_model", "make_cost_model"]


def make_cost_model(chosen: str | CostModel, seed: int) -> CostModel:
    """The cost model of that name or in that file (``.json``), or the object itself.

    ``UsageError`` for anything else, naming the models that there are.
    """
    if isinstance(chosen, str):
        if chosen.endswith(".json"):
            return load_model(chosen)
        if chosen not in cost_models():
            raise unknown("cost model", chosen, cost_models())
        return cost_models()[chosen](seed)
    if isinstance(chosen, type) or not isinstance(chosen, CostModel):
        raise UsageError(
            f"a cost model is an object with predict, spread and update, or a name ({', '.join(cost_models())}), "
            f"not {chosen!r:.100}"
        )
    return chosen
