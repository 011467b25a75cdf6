"""Which iterations and which stages depend on each other: the one place that decides whether a step is legal.

Every element of a stage is computed from other stages alone, or from the element before it along a scan's axis, so that
its loops carry a dependence only there and where several iterations update one element:

* ``REDUCTION``: the loops that reduction axes have a part in. Reducers are associative and commutative, so that the
  iterations may come in any order, but not at once.
* ``ORDERED``: the loops that the axis of a scan has a part in, whose iterations must come in their order.

All other loops carry none: their iterations may run at once. Loops interchange as the direction vectors of dependences
say (Allen and Kennedy, Optimizing Compilers for Modern Architectures, 2001, section 5.2): a dependence along one axis
has one direction that is not zero, until the axis is split; then its parts must stay in the order of the split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autotune.errors import ScheduleError
from autotune.schedules.state import Stage, State, reads
from autotune.tensor_expr.expr import Binary, Reduce
from autotune.tensor_expr.reducers import Reducer

REDUCTION, ORDERED = "reduction", "ordered"
_DONE = {"vectorize": "vectorized", "parallel": "parallel"}


# -- within a stage --------------------------------------------------------------------------------------------------


def carried(stage: Stage) -> Mapping[str, str]:
    """The loops that carry a dependence, each with its kind."""
    reducing, scanning = stage.reduce_loops, stage.scan_loops
    kinds = {loop: REDUCTION if loop in reducing else ORDERED for loop in reducing | scanning}
    return {loop: kinds[loop] for loop in stage.loops if loop in kinds}


def independent_loops(stage: Stage) -> tuple[str, ...]:
    """The loops whose iterations may run at once."""
    dependent = carried(stage)
    return tuple(loop for loop in stage.loops if loop not in dependent)


def permutable(stage: Stage, order: Sequence[str]) -> bool:
    """Whether the stage's loops may stand in another order."""
    ordered = _ordered(stage)
    return [loop for loop in order if loop in ordered] == ordered


def _ordered(stage: Stage) -> list[str]:
    return [loop for loop, dependence in carried(stage).items() if dependence == ORDERED]


def check_permutable(stage: Stage, order: Sequence[str]) -> None:
    """Refuse an order of loops in which iterations that must follow each other would not."""
    if not permutable(stage, order):
        ordered = ", ".join(_ordered(stage))
        raise ScheduleError(
            f"stage {stage.name!r}: each iteration of {ordered} needs the one before it; these must stay in this order"
        )


def check_independent(stage: Stage, axis: str, kind: str) -> None:
    """Refuse a loop that carries a dependence where its iterations would run at once (``vectorize``, ``parallel``)."""
    dependence = carried(stage).get(axis)
    if dependence is None or (kind == "parallel" and dependence == REDUCTION and stage.atomic):
        return
    spatial = ", ".join(independent_loops(stage)) or "none"
    if dependence == REDUCTION:
        why = "is a reduction, whose iterations write one element, and"
    else:
        why = "runs in order, since each iteration needs the one before it, and"
    done = _DONE.get(kind, f"bound to {kind}")
    hint = ", unless atomic allows it" if kind == "parallel" and dependence == REDUCTION else ""
    raise ScheduleError(
        f"stage {stage.name!r}: axis {axis!r} {why} cannot be {done}{hint}; its spatial axes are: {spatial}"
    )


def updates_at_once(stage: Stage) -> bool:
    """Whether threads share a loop of the stage that carries a reduction, so that its updates must be atomic."""
    return any(stage.kind(loop) == "parallel" for loop in carried(stage))


def check_atomic(stage: Stage) -> None:
    """Refuse atomic updates that no instruction can make."""
    if not stage.tensor.reduce_axes:
        raise ScheduleError(f"stage {stage.name!r} is not a reduction: it has no updates to make atomic")
    for body in stage.tensor.bodies:
        if not (isinstance(body, Reduce) and _is_operation(body.reducer)) or body.dtype in ("float16", "bfloat16"):
            raise ScheduleError(
                f"stage {stage.name!r}: atomic updates are single operations (sum, prod, max, min, any, all) on "
                f"integers, bool, float32 or float64"
            )
    if updates_at_once(stage):
        vectors = [loop for loop in stage.loops if stage.kind(loop) == "vectorize"]
        if vectors:
            raise ScheduleError(
                f"stage {stage.name!r}: axis {vectors[0]!r} cannot be vectorized beside a parallel reduction, whose "
                f"atomic updates take one element at a time"
            )


def _is_operation(reducer: Reducer) -> bool:
    """Whether combining is one operation on what is there and a new value."""
    if len(reducer.results) != 1:
        return False
    (result,) = reducer.results
    return isinstance(result, Binary) and result.a is reducer.left[0] and result.b is reducer.right[0]


def check_fusable(stage: Stage, axes: Sequence[str]) -> None:
    """Refuse to merge loops that carry different dependences."""
    dependences = carried(stage)
    kinds = [dependences.get(axis) for axis in axes]
    if len(set(kinds)) > 1:
        bound = next(number for number, kind in enumerate(kinds) if kind is not None)
        raise ScheduleError(
            f"stage {stage.name!r}: cannot fuse {kinds[bound]} axis {axes[bound]!r} with a spatial one; "
            f"its axes are: {', '.join(stage.loops)}"
        )


def check_before_reduction(stage: Stage, axis: str) -> None:
    """Refuse to initialise a result at a loop inside of one that adds to it."""
    position = stage.require_loop(axis)
    reducing = [place for place, loop in enumerate(stage.loops) if carried(stage).get(loop) == REDUCTION]
    if not reducing:
        raise ScheduleError(f"stage {stage.name!r} is not a reduction; its axes are: {', '.join(stage.loops)}")
    if position > reducing[0]:
        allowed = ", ".join(stage.loops[: reducing[0] + 1])
        raise ScheduleError(
            f"stage {stage.name!r}: axis {axis!r} is inside the reduction, and initialising there would discard sums; "
            f"allowed axes are: {allowed}"
        )


# -- between stages --------------------------------------------------------------------------------------------------


def producers(state: State, name: str) -> frozenset[str]:
    """The stages that a stage depends on, directly or through others."""
    found: set[str] = set()
    stack = [name]
    while stack:
        for read in reads(state.stages[stack.pop()].tensor):
            if read.tensor.name not in found:
                found.add(read.tensor.name)
                stack.append(read.tensor.name)
    return frozenset(found)


def check_holds(state: State, stage: Stage, holder: Stage, axis: str) -> None:
    """Refuse to compute ``stage`` in a loop that does not depend on it, or outside of which it is read."""
    if stage.name not in producers(state, holder.name):
        raise ScheduleError(
            f"stage {holder.name!r} does not depend on {stage.name!r}, so it cannot hold its computation"
        )
    for reader in state.consumers(stage.name):
        if reader.name != holder.name and not state.nested_in(reader.name, holder.name, axis):
            raise ScheduleError(
                f"stage {stage.name!r} cannot be computed at {holder.name!r} axis {axis!r}: "
                f"{reader.name!r} reads it outside that axis"
            )


def check_attachments(state: State) -> State:
    """The state, unless a stage is read outside of the loop that it is computed in (or that loop's stage is gone)."""
    for stage in state.stages.values():
        if stage.attach is None:
            continue
        holder, axis = stage.attach
        if holder not in state.stages or axis not in state.stages[holder].loops:
            raise ScheduleError(
                f"stage {stage.name!r} is computed at {holder!r} axis {axis!r}, which this step would remove"
            )
        for reader in state.consumers(stage.name):
            if reader.name != holder and not state.nested_in(reader.name, holder, axis):
                raise ScheduleError(
                    f"stage {stage.name!r} is computed at {holder!r} axis {axis!r}, "
                    f"but {reader.name!r} would read it outside that axis"
                )
    return state
