"""Other definitions of the library's operators; importing this package registers all of them."""

import importlib
import pkgutil

from autotune.tensor_expr.algorithms.registry import Alternative, algorithm, algorithms, alternatives

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["Alternative", "algorithm", "algorithms", "alternatives"]
