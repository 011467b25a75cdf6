"""How each math intrinsic is computed: by one of LLVM's own that are instructions everywhere, or by an emitter."""

from __future__ import annotations

from collections.abc import Callable

from autotune.targets.llvm.exponential import emit_erf, emit_exp, emit_exp2, emit_log, emit_tanh
from autotune.targets.llvm.lanes import FloatLanes
from autotune.targets.llvm.powers import emit_fmod, emit_pow
from autotune.targets.llvm.trigonometric import emit_atan, emit_cos, emit_sin

EMITTERS: dict[str, Callable[..., str]] = {
    "exp": emit_exp, "exp2": emit_exp2, "log": emit_log, "tanh": emit_tanh, "erf": emit_erf, "sin": emit_sin,
    "cos": emit_cos, "atan": emit_atan, "pow": emit_pow, "fmod": emit_fmod,
}  # fmt: skip
_PLAIN = {"sqrt": "sqrt", "abs": "fabs", "floor": "floor", "ceil": "ceil", "round": "roundeven", "trunc": "trunc"}


def emit_intrinsic(lanes: FloatLanes, name: str, *operands: str) -> str:
    """The intrinsic's value for operands of the lanes' type."""
    if name in EMITTERS:
        return EMITTERS[name](lanes, *operands)
    return lanes.call(_PLAIN[name], *operands)
