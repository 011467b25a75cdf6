"""Dot products of four bytes, added to 32-bit integers.

x86 multiplies unsigned by signed bytes (Intel 64 and IA-32 Architectures Software Developer's Manual, VPDPBUSD), ARM
signed by signed ones (Arm Architecture Reference Manual for A-profile, SDOT).
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


def _declared(lanes: int, left: str) -> Tensor:
    a, b, r = placeholder((4,), left, "a"), placeholder((lanes, 4), "int8", "b"), reduce_axis(4, "r")
    return compute((lanes,), lambda i: sum(cast(a[r], "int32") * cast(b[i, r], "int32"), axis=r), name="c")


_ORDER = (ACCUMULATOR, "a", "b")

register_tensor_intrinsic(
    TensorIntrinsic(
        "vpdpbusd_16",
        _declared(16, "uint8"),
        (Instruction(("avx512f", "avx512vnni"), "llvm.x86.avx512.vpdpbusd.512", _ORDER),),
    )
)
register_tensor_intrinsic(
    TensorIntrinsic(
        "vpdpbusd_8",
        _declared(8, "uint8"),
        (
            Instruction(("avxvnni",), "llvm.x86.avx512.vpdpbusd.256", _ORDER),
            Instruction(("avx512vl", "avx512vnni"), "llvm.x86.avx512.vpdpbusd.256", _ORDER),
        ),
    )
)
register_tensor_intrinsic(
    TensorIntrinsic(
        "sdot_4",
        _declared(4, "int8"),
        (Instruction(("neon", "dotprod"), "llvm.aarch64.neon.sdot.v4i32.v16i8", _ORDER),),
    )
)
