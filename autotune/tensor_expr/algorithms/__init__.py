"""Other definitions of the library's operators; importing this package registers all of them."""

import importlib
import pkgutil

from autotune.tensor_expr.algorithms.registry import (
    DIRECT,
    Alternative,
    algorithm,
    algorithm_names,
    algorithm_of,
    algorithms,
    alternatives,
    check_algorithms,
    definition,
    definitions,
    executed_flops,
)

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "DIRECT", "Alternative", "algorithm", "algorithm_names", "algorithm_of", "algorithms", "alternatives",
    "check_algorithms", "definition", "definitions", "executed_flops",
]  # fmt: skip
