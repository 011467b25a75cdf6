"""Loops that a stage's ``tensorize`` replaces by an instruction, once they are built."""

from __future__ import annotations

from collections.abc import Mapping

from autotune.errors import ScheduleError
from autotune.lowering.ir import Buffer, For, Intrinsic, Stmt, Store
from autotune.schedules.tensor_intrinsics import TensorIntrinsic, get_tensor_intrinsic
from autotune.schedules.tensor_intrinsics.matching import Operands, match
from autotune.tensor_expr.affine import Affine, affine, weighted_sum
from autotune.tensor_expr.expr import Axis, Binary, Const, Expr, Load, Read, Var, walk


def tensorized(stmt: Stmt, stage: str, name: str) -> Stmt:
    """The loops as the intrinsic; as they are where they are a partial tile.

    Raises ``ScheduleError`` where operands or results do not lie in memory as the intrinsic wants them.
    """
    intrinsic = get_tensor_intrinsic(name)
    nest = full_tile(stmt, intrinsic)
    if nest is None:
        return stmt
    loops, store = nest
    wrong = [_misplaced(intrinsic, loops, store, way) for way in _ways(intrinsic, store)]
    if all(wrong):
        raise ScheduleError(f"stage {stage!r}: this is not {name}: {wrong[0]}")
    return Intrinsic(name, stmt)


def full_tile(stmt: Stmt, intrinsic: TensorIntrinsic) -> tuple[list[For], Store] | None:
    """The loops of all the intrinsic's axes and the store in them; None where there is less or more."""
    loops: list[For] = []
    for axis in intrinsic.axes:
        if not isinstance(stmt, For) or not isinstance(stmt.extent, Const) or stmt.extent.value != axis.extent:
            return None
        loops.append(stmt)
        stmt = stmt.body
    return (loops, stmt) if isinstance(stmt, Store) and isinstance(stmt.value, Binary) else None


def operands(intrinsic: TensorIntrinsic, loops: list[For], store: Store) -> Operands:
    """What is loaded for each placeholder of the declaration."""
    return next(way for way in _ways(intrinsic, store) if not _misplaced(intrinsic, loops, store, way))


def _ways(intrinsic: TensorIntrinsic, store: Store) -> tuple[Operands, ...]:
    assert isinstance(store.value, Binary)
    return match(intrinsic.reduction.operands[0], store.value.b).ways


def _misplaced(intrinsic: TensorIntrinsic, loops: list[For], store: Store, way: Operands) -> str:
    """The first operand, or result, that does not lie in memory as the intrinsic wants it."""
    variables = {axis: loop.var for axis, loop in zip(intrinsic.axes, loops, strict=True)}
    (spatial,) = intrinsic.declaration.axes
    wrong = _apart(store.buffer, store.indices, {variables[spatial]: 1}, variables, "the result")
    for operand, load in way.items():
        assert isinstance(load, Load)
        wanted = strides(intrinsic, operand, variables)
        wrong = wrong or _apart(load.buffer, load.indices, wanted, variables, repr(operand))
    return wrong


def strides(intrinsic: TensorIntrinsic, operand: str, variables: Mapping[Axis, Var]) -> dict[Var, int]:
    """How far each loop should move an operand."""
    reads = [node for node in walk(intrinsic.declaration.bodies) if isinstance(node, Read)]
    read = next(node for node in reads if node.tensor.name == operand)
    shape = read.tensor.shape
    steps = Buffer(operand, read.dtype, shape).strides
    form = weighted_sum([(affine(index), step) for index, step in zip(read.indices, steps, strict=True)])
    moved = {atom: step for atom, step in form.terms.values()}
    return {var: moved.get(axis, 0) for axis, var in variables.items()}


def _apart(
    buffer: Buffer,
    indices: tuple[Expr, ...],
    wanted: Mapping[Var, int],
    variables: Mapping[Axis, Var],
    operand: str,
) -> str:
    """The first loop that does not move an access as far as it should."""
    form: Affine = weighted_sum([(affine(i), step) for i, step in zip(indices, buffer.strides, strict=True)])
    moved = {atom: step for atom, step in form.terms.values()}
    for axis, var in variables.items():
        hidden = any(var in set(walk([atom])) for atom in moved if not isinstance(atom, Var))
        if hidden or moved.get(var, 0) != wanted.get(var, 0):
            how = "irregularly" if hidden else f"by {moved.get(var, 0)} elements"
            return (
                f"one step of its axis {axis.name!r} moves {operand} by {wanted.get(var, 0)} elements, "
                f"but {var.name!r} moves {buffer.name!r} {how}"
            )
    return ""
