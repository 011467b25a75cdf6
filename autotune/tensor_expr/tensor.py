"""Tensors: placeholders, and computes that define every element by an expression of its indices."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, overload

from autotune.errors import UsageError
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.affine import affine, is_monotone
from autotune.tensor_expr.expr import (
    Accumulation,
    Axis,
    Expr,
    ExprLike,
    Read,
    Reduce,
    Scan,
    Select,
    Var,
    as_expr,
    binary,
    cast,
    rewrite_all,
    walk,
)
from autotune.tensor_expr.ranges import Ranges
from autotune.tensor_expr.reducers import max, min, sum

MAX_ELEMENTS = 2**40


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """An array of a shape and dtype, by name.

    A placeholder has no bodies; ``constant`` says that its values are known ahead of time (weights), so that it may be
    packed once. A compute has one axis per dimension and a body over them; one of several *components* has a body for
    each, all of one shape and computed in one loop nest. ``dtype`` is the first component's.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    axes: tuple[Axis, ...] = ()
    bodies: tuple[Expr, ...] = ()
    constant: bool = False

    def __getitem__(self, indices: ExprLike | tuple[ExprLike, ...]) -> Expr:
        return self.components[0][indices]

    @property
    def body(self) -> Expr | None:
        """The first component's body; None for a placeholder."""
        return self.bodies[0] if self.bodies else None

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Each component's dtype."""
        return tuple(body.dtype for body in self.bodies) or (self.dtype,)

    @property
    def components(self) -> tuple[Component, ...]:
        """What can be read, one array each."""
        return tuple(Component(self, number) for number in range(len(self.dtypes)))

    @property
    def is_placeholder(self) -> bool:
        return not self.bodies

    @property
    def reduce_axes(self) -> tuple[Axis, ...]:
        """The axes that this compute's reducer runs over."""
        return self.body.axes if isinstance(self.body, Reduce) else ()

    @property
    def scan_axis(self) -> Axis | None:
        """The axis along which this compute's results accumulate, if they do."""
        return self.body.axis if isinstance(self.body, Scan) else None

    @property
    def scan_dim(self) -> int | None:
        """The position of the scan's axis."""
        return next((dim for dim, axis in enumerate(self.axes) if axis is self.scan_axis), None)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors that the bodies read, each once, in the order of their first reads."""
        return tuple(dict.fromkeys(n.tensor for n in walk(self.bodies) if isinstance(n, Read)))

    def with_bodies(self, bodies: Sequence[Expr]) -> Tensor:
        """This compute with other bodies over the same axes."""
        return replace(self, bodies=tuple(bodies), dtype=bodies[0].dtype)

    def map_bodies(self, fn: Callable[[Expr], Expr | None]) -> Tensor:
        """This compute with all bodies rewritten at once, so that they go on sharing what they share."""
        return self.with_bodies(rewrite_all(self.bodies, fn))

    def __repr__(self) -> str:
        kind = "placeholder" if self.is_placeholder else "compute"
        return f"{kind} {self.name}: {', '.join(self.dtypes)}{list(self.shape)}"


@dataclass(frozen=True, slots=True)
class Component:
    """One of the arrays that a compute makes, indexed like a tensor; of several, the first is called ``name.v0``."""

    tensor: Tensor
    number: int

    @property
    def name(self) -> str:
        return f"{self.tensor.name}.v{self.number}" if len(self.tensor.dtypes) > 1 else self.tensor.name

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensor.shape

    @property
    def dtype(self) -> str:
        return self.tensor.dtypes[self.number]

    def __getitem__(self, indices: ExprLike | tuple[ExprLike, ...]) -> Expr:
        given = indices if isinstance(indices, tuple) else (indices,)
        if len(given) != len(self.shape):
            raise UsageError(f"tensor {self.name!r} has {len(self.shape)} dimensions, got {len(given)} indices")
        exprs = tuple(as_expr(index, dtypes.INDEX) for index in given)
        for dim, index in enumerate(exprs):
            if dtypes.is_float(index.dtype) or index.dtype == "bool":
                raise UsageError(f"index {dim} of tensor {self.name!r} is {index.dtype}; indices are integers")
        found = (cast(index, dtypes.INDEX) for index in exprs)
        inside = tuple(_inside(*pair) for pair in zip(found, self.shape, strict=True))
        return Read(self.dtype, self.tensor, inside, self.number)

    def __repr__(self) -> str:
        return f"component {self.name}: {self.dtype}{list(self.shape)}"


# What an operator gives: an array, or a tuple of arrays of one shape.
Output: TypeAlias = "Tensor | Component | tuple[Tensor | Component, ...]"


def _inside(index: Expr, size: int) -> Expr:
    """The index, clamped to ``[0, size)`` where it depends on data or is otherwise not known to stay there.

    Linear and monotone indices stay as they are: ``compute`` refuses those that leave the tensor, which can be proven,
    and a select may guard them.
    """
    if is_monotone(index):
        return index
    form = affine(index)
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
    if not isinstance(shape, Iterable):
        raise UsageError(f"shape of {name!r} is {shape!r}; a shape is a tuple of positive integers, such as (8,)")
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


@overload
def compute(shape: Sequence[int], fn: Callable[..., ExprLike], name: str = "compute") -> Tensor: ...
@overload
def compute(
    shape: Sequence[int], fn: Callable[..., tuple[ExprLike, ...]], name: str = "compute"
) -> tuple[Component, ...]: ...
def compute(shape: Sequence[int], fn: Callable[..., Any], name: str = "compute") -> Tensor | tuple[Component, ...]:
    """A tensor whose element at ``(i, j, ...)`` is ``fn(i, j, ...)``; the axes take the names of fn's parameters.

    A tuple of expressions gives a tuple of arrays of this shape that one loop nest computes: of any expressions, or of
    reductions over the same axes (``argmax`` is a pair of them).

    Raises ``UsageError`` for a reduction that is not the outermost node, a reduction axis used outside its reducer, or
    two axes of one name.
    """
    sizes = _check_shape(_check_name("a compute", name), shape)
    if not callable(fn):
        raise UsageError(f"compute {name!r} is given {fn!r}; it takes a function of its indices")
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
    result = fn(*axes)
    bodies = tuple(map(as_expr, result)) if isinstance(result, tuple) else (as_expr(result),)
    if not bodies:
        raise UsageError(f"compute {name!r} gives no value; its function returns an expression or a tuple of them")
    _check_bodies(name, axes, bodies)
    _check_reads(name, axes, bodies)
    tensor = Tensor(name, sizes, bodies[0].dtype, axes, bodies)
    return tensor.components if isinstance(result, tuple) else tensor


def _check_bodies(name: str, axes: tuple[Axis, ...], bodies: tuple[Expr, ...]) -> None:
    nodes = list(walk(bodies))
    roots = set(map(id, bodies))
    if any(isinstance(node, Accumulation) and id(node) not in roots for node in nodes):
        raise UsageError(
            f"compute {name!r} has a reduction inside an expression; give the reduction a compute of its own"
        )
    known = dict.fromkeys((*axes, *_check_accumulations(name, axes, bodies)))
    names = [axis.name for axis in known]
    for axis in known:
        if names.count(axis.name) > 1:
            raise UsageError(f"compute {name!r} has two axes named {axis.name!r}; schedules need names that differ")
    for node in nodes:
        if isinstance(node, Axis) and node not in known:
            where = "outside its reducer" if node.reduce else "of another compute"
            raise UsageError(f"compute {name!r} uses axis {node.name!r} {where}")


def _check_accumulations(name: str, axes: tuple[Axis, ...], bodies: tuple[Expr, ...]) -> tuple[Axis, ...]:
    """The axes that all bodies reduce over; each reducer's components must stand side by side."""
    found = [body for body in bodies if isinstance(body, Accumulation)]
    if not found:
        return ()
    first = found[0]
    if len(found) < len(bodies) or len({(type(body), *map(id, body.over)) for body in found}) > 1:
        raise UsageError(f"compute {name!r} must reduce over the same axes in every component, or in none")
    if isinstance(first, Scan) and first.axis not in set(axes):
        own = ", ".join(axis.name for axis in axes)
        raise UsageError(f"compute {name!r} accumulates along {first.axis.name!r}, which is not one of its axes: {own}")
    for number, body in enumerate(found):
        size, start = len(body.operands), number - body.component
        group = found[start : start + size] if start >= 0 else []
        mates = [item.component for item in group if item.operands is body.operands]
        if mates != list(range(size)):
            raise UsageError(
                f"compute {name!r} must return all {size} components of {body.reducer.name}, side by side; "
                f"what is not needed need not be read"
            )
    return first.axes if isinstance(first, Reduce) else ()


def _check_reads(name: str, axes: tuple[Axis, ...], bodies: tuple[Expr, ...]) -> None:
    """Refuse a read that is certain to leave its tensor: where no select guards it, and its index is monotone."""
    reduce_axes = bodies[0].axes if isinstance(bodies[0], Reduce) else ()
    ranges = Ranges({axis: (0, axis.extent - 1) for axis in (*axes, *reduce_axes)})
    for node in _unguarded(bodies):
        if not isinstance(node, Read):
            continue
        for dim, (index, size) in enumerate(zip(node.indices, node.tensor.shape, strict=True)):
            form = affine(index)
            low, high = ranges.interval(form)
            attained = is_monotone(index)  # both ends of the interval are
            if (attained and (low < 0 or high >= size)) or high < 0 or low >= size:
                raise UsageError(
                    f"compute {name!r} reads {node.tensor.name!r} out of bounds: index {dim} runs from {low} "
                    f"to {high}, but that dimension has {size} elements; guard the read with select"
                )


def _unguarded(roots: Sequence[Expr]) -> Iterator[Expr]:
    """Every node that is evaluated at all points: what is not inside the operands of a select."""
    seen: set[int] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            stack.extend((node.condition,) if isinstance(node, Select) else node.children)


def as_output(given: Output) -> Tensor:
    """The compute that gives just these arrays, in this order: one that copies them where there is none yet.

    Raises ``UsageError`` for arrays of different shapes.
    """
    if isinstance(given, Tensor):
        return given
    parts = given if isinstance(given, tuple) else (given,)
    if not parts or not all(isinstance(part, (Tensor, Component)) for part in parts):
        raise UsageError(f"an operator's output is a tensor, or a tuple of tensors, not {given!r}")
    arrays = [array for part in parts for array in (part.components if isinstance(part, Tensor) else (part,))]
    first = arrays[0]
    if tuple(arrays) == first.tensor.components:
        return first.tensor
    for array in arrays:
        if array.shape != first.shape:
            raise UsageError(
                f"the outputs {first.name!r} and {array.name!r} have shapes {list(first.shape)} and "
                f"{list(array.shape)}; the outputs of one operator have one shape"
            )
    names = [axis.name for axis in first.tensor.axes] or [f"i{dim}" for dim in range(len(first.shape))]
    axes = tuple(Axis(dtypes.INDEX, name, size) for name, size in zip(names, first.shape, strict=True))
    return Tensor(f"{first.name}.out", first.shape, first.dtype, axes, tuple(array[axes] for array in arrays))


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


__all__ = [
    "Component", "Output", "Tensor", "as_output", "compute", "graph", "max", "min", "placeholder", "reduce_axis", "sum",
]  # fmt: skip
