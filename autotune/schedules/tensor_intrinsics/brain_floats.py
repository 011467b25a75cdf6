"""Dot products of pairs of bfloat16, added to float32 (Intel 64 and IA-32 Architectures Software Developer's Manual).

VDPBF16PS takes subnormal numbers for 0 and rounds after each product, of which it adds the second of a pair first.
"""

from __future__ import annotations

from autotune.schedules.tensor_intrinsics.registry import (
    ACCUMULATOR,
    Instruction,
    TensorIntrinsic,
    register_tensor_intrinsic,
)
from autotune.tensor_expr.expr import cast
from autotune.tensor_expr.tensor import Tensor, compute, placeholder, reduce_axis, sum


def _declared() -> Tensor:
    a, b, r = placeholder((2,), "bfloat16", "a"), placeholder((16, 2), "bfloat16", "b"), reduce_axis(2, "r")
    return compute((16,), lambda i: sum(cast(a[r], "float32") * cast(b[i, r], "float32"), axis=r), name="c")


register_tensor_intrinsic(
    TensorIntrinsic(
        "vdpbf16ps_16",
        _declared(),
        (Instruction(("avx512f", "avx512bf16"), "llvm.x86.avx512bf16.dpbf16ps.512", (ACCUMULATOR, "a", "b")),),
        slots=2,  # measured on Sapphire Rapids: no faster than widening both and multiplying
    )
)
