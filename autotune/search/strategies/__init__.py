"""Search strategies; importing this package registers all of them."""

import importlib
import pkgutil

from autotune.search.strategies.strategy import (
    Factory,
    Strategy,
    check_strategy,
    make_strategy,
    strategies,
    strategy,
    strategy_name,
)

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["Factory", "Strategy", "check_strategy", "make_strategy", "strategies", "strategy", "strategy_name"]
