"""Rule: element-wise stages that feed others are computed where they are read."""

from __future__ import annotations

from autotune.schedules.sketches.draft import Draft, crosses_rows, is_pointwise, work
from autotune.schedules.state import Stage
from autotune.tensor_expr.expr import Call, walk

CHEAP = frozenset({"abs", "floor", "sqrt"})  # intrinsics that are an instruction


def inline(draft: Draft) -> list[Draft]:
    """Inline every pointwise stage but the output, those that would evaluate an intrinsic more than once, and
    transposes that none but element-wise stages read: these read rows then."""
    names = [
        name
        for name, stage in draft.state.stages.items()
        if name != draft.state.output and is_pointwise(stage) and not (_costly(stage) and _reused(draft, name))
        if not (crosses_rows(stage) and not any(reader.tensor.reduce_axes for reader in draft.state.consumers(name)))
    ]
    return [draft.step("compute_inline", names if len(names) > 1 else names[0])] if names else [draft]


def _costly(stage: Stage) -> bool:
    """Whether an element takes a polynomial rather than an instruction or two."""
    return any(isinstance(node, Call) and node.name not in CHEAP for node in walk(stage.tensor.bodies))


def _reused(draft: Draft, name: str) -> bool:
    """Whether several stages read the stage, or one reads its elements more than once."""
    readers = draft.state.consumers(name)
    return len(readers) > 1 or work(readers[0]) > work(draft.state.stages[name])
