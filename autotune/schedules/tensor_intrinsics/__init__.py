"""Hardware instructions that compute small tensors, one file each; importing this package registers all of them."""

import importlib
import pkgutil

from autotune.schedules.tensor_intrinsics.registry import (
    Instruction,
    TensorIntrinsic,
    get_tensor_intrinsic,
    register_tensor_intrinsic,
    tensor_intrinsics,
)

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["Instruction", "TensorIntrinsic", "get_tensor_intrinsic", "register_tensor_intrinsic", "tensor_intrinsics"]
