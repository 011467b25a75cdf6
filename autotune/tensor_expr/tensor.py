"""Tensors: placeholders, and computes that define every element by an expression of its indices."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from autotune.errors import UsageError
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.affine import affine
from autotune.tensor_expr.expr import Axis, Expr, ExprLike, Read, Reduce, Select, Var, as_expr, binary, cast, walk
from autotune.tensor_expr.ranges import Ranges

MAX_ELEMENTS = 2**40


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """An array of a shape and dtype, by name.

    A placeholder has no ``body``; ``constant`` says that its values are known ahead of time (weights), so that it may
    be packed once. A compute has one axis per dimension and a body over them.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    axes: tuple[Axis, ...] = ()
    body: Expr | None = None
    constant: bool = False

    def __getitem__(self, indices: ExprLike | tuple[ExprLike, ...]) -> Expr:
        given = indices if isinstance(indices, tuple) else (indices,)
        if len(given) != len(self.shape):
            raise UsageError(f"tensor {self.name!r} has {len(self.shape)} dimensions, got {len(given)} indices")
        exprs = tuple(as_expr(index, dtypes.INDEX) for index in given)
        for dim, index in enumerate(exprs):
            if dtypes.is_float(index.dtype) or index.dtype == "bool":
                raise UsageError(f"index {dim} of tensor {self.name!r} is {index.dtype}; indices are integers")
        found = (cast(index, dtypes.INDEX) for index in exprs)
        return Read(self.dtype, self, tuple(_inside(*pair) for pair in zip(found, self.shape, strict=True)))

    @property
    def is_placeholder(self) -> bool:
        return self.body is None

    @property
    def reduce_axes(self) -> tuple[Axis, ...]:
        """The axes that this compute's reducer runs over."""
        return self.body.axes if isinstance(self.body, Reduce) else ()

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors that the body reads, each once, in the order of their first reads."""
        roots = [] if self.body is None else [self.body]
        return tuple(dict.fromkeys(n.tensor for n in walk(roots) if isinstance(n, Read)))

    def __repr__(self) -> str:
        kind = "placeholder" if self.is_placeholder else "compute"
        return f"{kind} {self.name}: {self.dtype}{list(self.shape)}"


def _inside(index: Expr, size: int) -> Expr:
    """The index, clamped to ``[0, size)`` where it depends on data or is otherwise not known to stay there.

    Linear indices stay as they are: ``compute`` refuses those that leave the tensor, and a select may guard them.
    """
    form = affine(index)
    if all(isinstance(atom, Axis) for atom, _ in form.terms.values()):
        return index
    axes: dict[Var, tuple[int, int]] = {node: (0, node.extent - 1) for node in walk([index]) if isinstance(node, Axis)}
    low, high = Ranges(axes).interval(form)
    if low >= 0 and high < size:
        return index
    return binary("max", binary("min", index, size - 1), 0)


def _check_name(kind: str, name: str) -> str:
    if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(f"{kind} is named {name!r}; names are identifiers, or identifiers joined by dots")
    return name


def _check_shape(name: str, shape: Sequence[int]) -> tuple[int, ...]:
    total = 1
    if not len(tuple(shape)):
        raise UsageError(f"{name!r} has no dimensions; give a single value the shape (1,)")
    for size in shape:
        if isinstance(size, bool) or not hasattr(size, "__index__"):
            raise UsageError(f"shape of {name!r} has {size!r}; sizes are positive integers")
        if int(size) < 1:
            raise UsageError(f"shape of {name!r} has {int(size)}; sizes are positive integers")
        total *= int(size)
    if total > MAX_ELEMENTS:
        raise UsageError(f"{name!r} would have {total} elements; at most {MAX_ELEMENTS} are allowed")
    return tuple(int(size) for size in shape)


def placeholder(shape: Sequence[int], dtype: str = "float32", name: str = "input", constant: bool = False) -> Tensor:
    """An array that the caller hands in. ``constant``: its values are known ahead of time and may be packed once."""
    return Tensor(_check_name("a placeholder", name), _check_shape(name, shape), dtypes.check(dtype), constant=constant)


def reduce_axis(extent: int, name: str = "k") -> Axis:
    """An axis for ``sum``, ``max`` or ``min`` to run over ``[0, extent)``."""
    (size,) = _check_shape(_check_name("a reduction axis", name), (extent,))
    return Axis(dtypes.INDEX, name, size, reduce=True)


def compute(shape: Sequence[int], fn: Callable[..., ExprLike], name: str = "compute") -> Tensor:
    """A tensor whose element at ``(i, j, ...)`` is ``fn(i, j, ...)``; the axes take the names of fn's parameters.

    Raises ``UsageError`` for a reduction that is not the outermost node, or a reduction axis used outside its reducer.
    """
    sizes = _check_shape(_check_name("a compute", name), shape)
    given = inspect.signature(fn).parameters.values()
    parameters = [p for p in given if p.kind != p.VAR_POSITIONAL and p.default is p.empty]
    if len(parameters) == len(sizes):
        names = [p.name for p in parameters]
    elif not parameters:
        names = [f"i{dim}" for dim in range(len(sizes))]
    else:
        raise UsageError(
            f"compute {name!r} has {len(sizes)} dimensions, but its function takes {len(parameters)} indices"
        )
    axes = tuple(Axis(dtypes.INDEX, n, size) for n, size in zip(names, sizes, strict=True))
    body = as_expr(fn(*axes), None)
    _check_body(name, axes, body)
    _check_reads(name, axes, body)
    return Tensor(name, sizes, body.dtype, axes, body)


def _check_body(name: str, axes: tuple[Axis, ...], body: Expr) -> None:
    known: set[Any] = {*axes, *(body.axes if isinstance(body, Reduce) else ())}
    nodes = list(walk([body]))
    if any(isinstance(node, Reduce) and node is not body for node in nodes):
        raise UsageError(
            f"compute {name!r} has a reduction inside an expression; give the reduction a compute of its own"
        )
    for node in nodes:
        if isinstance(node, Axis) and node not in known:
            where = "outside its reducer" if node.reduce else "of another compute"
            raise UsageError(f"compute {name!r} uses axis {node.name!r} {where}")


def _check_reads(name: str, axes: tuple[Axis, ...], body: Expr) -> None:
    """Refuse a read that is certain to leave its tensor: where no select guards it, and its index is linear."""
    ranges = Ranges({axis: (0, axis.extent - 1) for axis in (*axes, *(body.axes if isinstance(body, Reduce) else ()))})
    for node in _unguarded(body):
        if not isinstance(node, Read):
            continue
        for dim, (index, size) in enumerate(zip(node.indices, node.tensor.shape, strict=True)):
            form = affine(index)
            low, high = ranges.interval(form)
            exact = all(isinstance(atom, Axis) for atom, _ in form.terms.values())
            if (exact and (low < 0 or high >= size)) or high < 0 or low >= size:
                raise UsageError(
                    f"compute {name!r} reads {node.tensor.name!r} out of bounds: index {dim} runs from {low} "
                    f"to {high}, but that dimension has {size} elements; guard the read with select"
                )


def _unguarded(root: Expr) -> Iterator[Expr]:
    """Every node that is evaluated at all points: what is not inside the operands of a select."""
    seen: set[int] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            stack.extend((node.condition,) if isinstance(node, Select) else node.children)


def _reduce(kind: str, body: ExprLike, axis: Axis | Sequence[Axis]) -> Expr:
    axes = tuple(axis) if isinstance(axis, Sequence) else (axis,)
    for item in axes:
        if not isinstance(item, Axis) or not item.reduce:
            raise UsageError(f"{kind} runs over axes made by reduce_axis, got {getattr(item, 'name', item)!r}")
    body = as_expr(body)
    if kind == "sum" and body.dtype == "bool":
        raise UsageError("sum needs numbers, got bool; cast to an integer first")
    if len(set(axes)) != len(axes) or not axes:
        raise UsageError(f"{kind} takes one or more reduction axes, each once")
    return Reduce(body.dtype, kind, axes, body)


def sum(body: ExprLike, axis: Axis | Sequence[Axis]) -> Expr:
    """The sum of ``body`` over the reduction axes."""
    return _reduce("sum", body, axis)


def max(a: ExprLike, b: ExprLike | None = None, *, axis: Axis | Sequence[Axis] | None = None) -> Expr:
    """``max(a, b)`` of two values, or ``max(body, axis=...)`` over reduction axes."""
    return _extremum("max", a, b, axis)


def min(a: ExprLike, b: ExprLike | None = None, *, axis: Axis | Sequence[Axis] | None = None) -> Expr:
    """``min(a, b)`` of two values, or ``min(body, axis=...)`` over reduction axes."""
    return _extremum("min", a, b, axis)


def _extremum(kind: str, a: ExprLike, b: ExprLike | None, axis: Axis | Sequence[Axis] | None) -> Expr:
    if (b is None) == (axis is None):
        raise UsageError(f"{kind} takes two values, or one value and axis=")
    return _reduce(kind, a, axis) if axis is not None else binary(kind, a, b)  # type: ignore[arg-type]


def graph(output: Tensor) -> tuple[Tensor, ...]:
    """Every tensor that the output depends on, producers before consumers, the output last.

    Two tensors of one name are refused, since schedules name stages.
    """
    order: dict[Tensor, None] = {}
    stack: list[tuple[Tensor, bool]] = [(output, False)]
    while stack:
        tensor, ready = stack.pop()
        if ready:
            order[tensor] = None
        elif tensor not in order:
            stack.append((tensor, True))
            stack.extend((t, False) for t in reversed(tensor.inputs) if t not in order)
    names: dict[str, Tensor] = {}
    for tensor in order:
        if names.setdefault(tensor.name, tensor) is not tensor:
            raise UsageError(f"two tensors are named {tensor.name!r}; names in one operator must differ")
    return tuple(order)


__all__ = ["Tensor", "compute", "graph", "max", "min", "placeholder", "reduce_axis", "sum"]
