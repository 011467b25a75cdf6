"""A vector of 16 float32 multiplied by one number and added: one instruction where vectors have 64 bytes."""

from __future__ import annotations

from autotune.schedules.tensor_intrinsics.registry import (
    ACCUMULATOR,
    Instruction,
    TensorIntrinsic,
    register_tensor_intrinsic,
)
from autotune.tensor_expr.tensor import Tensor, compute, placeholder, reduce_axis, sum


def _declared() -> Tensor:
    a, b, one = placeholder((1,), "float32", "a"), placeholder((16,), "float32", "b"), reduce_axis(1, "one")
    return compute((16,), lambda i: sum(a[one] * b[i], axis=one), name="c")


register_tensor_intrinsic(
    TensorIntrinsic(
        "multiply_add_16", _declared(), (Instruction(("avx512f",), "llvm.fma.v16f32", ("a", "b", ACCUMULATOR)),)
    )
)
