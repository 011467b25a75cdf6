"""What a tensor intrinsic is, and the ones that there are.

An intrinsic is declared by the tensor expression that it computes ::

    a, b, r = placeholder((4,), "uint8", "a"), placeholder((16, 4), "int8", "b"), reduce_axis(4, "r")
    c = compute((16,), lambda i: sum(cast(a[r], "int32") * cast(b[i, r], "int32"), axis=r), name="c")
    register_tensor_intrinsic(TensorIntrinsic("u8_times_s8", c, (Instruction(("avx512vnni",), "llvm.x86...."),)))

and adds it to what the output holds. The expression is its meaning on every target; where a target has one of the
instructions, the LLVM generator emits that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from autotune.errors import ScheduleError, unknown
from autotune.tensor_expr.expr import Axis, Reduce
from autotune.tensor_expr.tensor import Tensor

ACCUMULATOR = "accumulator"


@dataclass(frozen=True, slots=True)
class Instruction:
    """How LLVM spells it: features that a target must have, the LLVM intrinsic, and its operands in order.

    Operands are placeholders of the declaration by name (default: in the order of their first reads), or
    ``accumulator``. Their elements lie in a vector as the declaration's axes run, reduction axes innermost.
    """

    features: tuple[str, ...]
    callee: str
    operands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TensorIntrinsic:
    """A sum over reduction axes for each point of one spatial axis, and the instructions that compute it.

    ``slots`` says for how many multiply-adds of vectors one of them takes up the ports, which the cost model asks for.
    """

    name: str
    declaration: Tensor
    instructions: tuple[Instruction, ...] = ()
    slots: int = 1

    @property
    def reduction(self) -> Reduce:
        body = self.declaration.body
        assert isinstance(body, Reduce)
        return body

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The loops that it replaces, outermost first; an axis of one element needs none."""
        return tuple(axis for axis in (*self.declaration.axes, *self.declaration.reduce_axes) if axis.extent > 1)

    @property
    def lanes(self) -> int:
        """Elements of the output."""
        return self.declaration.shape[0]


_INTRINSICS: dict[str, TensorIntrinsic] = {}


def register_tensor_intrinsic(intrinsic: TensorIntrinsic) -> TensorIntrinsic:
    """Make an intrinsic known to ``tensorize``.

    Raises ``ScheduleError`` for a declaration that is no sum for each point of one axis, or for a name that is taken.
    """
    tensor = intrinsic.declaration
    body = tensor.body
    if not isinstance(body, Reduce) or body.kind != "sum" or len(tensor.shape) != 1 or tensor.shape[0] < 2:
        raise ScheduleError(
            f"intrinsic {intrinsic.name!r} must be declared as a sum over reduction axes, for each point of "
            f"one axis of 2 or more (a product alone is a sum over an axis of one element)"
        )
    if _INTRINSICS.get(intrinsic.name, intrinsic) is not intrinsic:
        raise ScheduleError(f"there is already an intrinsic {intrinsic.name!r}")
    _INTRINSICS[intrinsic.name] = intrinsic
    return intrinsic


def tensor_intrinsics() -> Mapping[str, TensorIntrinsic]:
    """All intrinsics by name."""
    return dict(sorted(_INTRINSICS.items()))


def get_tensor_intrinsic(name: str) -> TensorIntrinsic:
    """The intrinsic, or ``UsageError`` naming the ones that exist."""
    if name not in _INTRINSICS:
        raise unknown("tensor intrinsic", name, tensor_intrinsics())
    return _INTRINSICS[name]
