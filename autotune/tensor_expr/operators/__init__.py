"""The operators that the library declares; importing this package registers all of them."""

import importlib
import pkgutil

from autotune.tensor_expr.operators.registry import Operator, Param, families, get_operator, operators, register

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["Operator", "Param", "families", "get_operator", "operators", "register"]
