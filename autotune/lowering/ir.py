"""The loop IR: statements over scalar expressions.

===========  =========================================================================================
statement    meaning
===========  =========================================================================================
For          run the body for ``var`` = 0 .. extent-1. ``kind`` says how: ``serial``; ``parallel`` (iterations shared
             among threads); ``unroll`` (straight-line code; the extent is constant once enclosing unrolled variables
             are); ``vectorize`` (iterations are lanes; likewise constant, or masked where it is not); or the name of
             a GPU's thread index. ``pragmas`` are hints to generators
Block        statements in order
Store        one element of a buffer becomes a value; ``Load`` in the value reads one. ``nontemporal``: a hint that the
             caches need not keep it
Together     several stores that take effect at once: all values are computed before any element changes
Atomic       a store of ``element op value``: no other thread changes the element between its load and its store
If           the first branch where the condition holds, else the second
Allocate     a buffer that exists while its body runs; its content is undefined at first
Prefetch     a hint that the cache line of an element will be read soon; the element need not exist
Intrinsic    a hardware instruction whose meaning is the body; a generator may emit either
===========  =========================================================================================

Buffers have constant shapes and row-major order, with gaps where ``steps`` say so; two buffers never overlap. Nodes are
immutable; variables, buffers and statements compare by identity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod

from autotune.schedules.layout import Layout
from autotune.tensor_expr import dtypes
from autotune.tensor_expr.expr import Expr, Load, Var, walk
from autotune.tensor_expr.tensor import Tensor, graph


@dataclass(frozen=True, slots=True, eq=False)
class Buffer:
    """Memory for ``shape`` elements. ``role``: ``input``, ``constant`` or ``output`` (parameters), or ``local``.

    ``scope`` says where a local buffer lives (``autotune.schedules.details.SCOPES``), ``steps`` how far neighbours of
    each dimension lie apart where that is not what the shape implies.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    role: str = "local"
    scope: str = "auto"
    steps: tuple[int, ...] | None = None

    @property
    def bytes(self) -> int:
        elements = 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        return elements * dtypes.itemsize(self.dtype)

    @property
    def strides(self) -> tuple[int, ...]:
        """Elements between neighbours of each dimension."""
        if self.steps is not None:
            return self.steps
        return tuple(prod(self.shape[dim + 1 :]) for dim in range(len(self.shape)))


@dataclass(frozen=True, slots=True, eq=False)
class Stmt:
    """The base of all statements."""


@dataclass(frozen=True, slots=True, eq=False)
class For(Stmt):
    var: Var
    extent: Expr
    kind: str
    body: Stmt
    lanes: int = 0
    pragmas: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Block(Stmt):
    statements: tuple[Stmt, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Store(Stmt):
    buffer: Buffer
    indices: tuple[Expr, ...]
    value: Expr
    nontemporal: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Together(Stmt):
    """Components of one point: each value may read what the other stores change. No two store to one element."""

    stores: tuple[Store, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Atomic(Stmt):
    """The store's value is a ``Binary`` whose first operand loads the element that is stored."""

    store: Store


@dataclass(frozen=True, slots=True, eq=False)
class If(Stmt):
    condition: Expr
    then: Stmt
    otherwise: Stmt | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Allocate(Stmt):
    buffer: Buffer
    body: Stmt


@dataclass(frozen=True, slots=True, eq=False)
class Prefetch(Stmt):
    buffer: Buffer
    indices: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Intrinsic(Stmt):
    name: str
    body: Stmt


@dataclass(frozen=True, slots=True, eq=False)
class Param:
    """A buffer that the caller hands in: its logical shape, and its layout where it is packed.

    ``ahead`` is what it holds as a compute of one constant, which the caller evaluates.
    """

    buffer: Buffer
    shape: tuple[int, ...]
    layout: Layout | None
    ahead: Tensor | None = None

    @property
    def source(self) -> Tensor | None:
        """The constant that it is made of, where something is computed ahead."""
        return None if self.ahead is None else graph(self.ahead)[0]

    @property
    def name(self) -> str:
        """What the caller knows it by."""
        return self.buffer.name if self.source is None else self.source.name


@dataclass(frozen=True, slots=True, eq=False)
class Function:
    """A lowered operator: parameters (inputs in the order of the operator, then the outputs) and a body."""

    name: str
    params: tuple[Param, ...]
    body: Stmt


def block(*statements: Stmt | None) -> Stmt:
    """The statements in order, nested blocks flattened."""
    flat: list[Stmt] = []
    for statement in statements:
        flat += statement.statements if isinstance(statement, Block) else [statement] if statement is not None else []
    return flat[0] if len(flat) == 1 else Block(tuple(flat))


def children(stmt: Stmt) -> tuple[Stmt, ...]:
    """The statements directly inside."""
    if isinstance(stmt, (For, Allocate, Intrinsic)):
        return (stmt.body,)
    if isinstance(stmt, Block):
        return stmt.statements
    if isinstance(stmt, If):
        return (stmt.then,) if stmt.otherwise is None else (stmt.then, stmt.otherwise)
    return ()


def with_children(stmt: Stmt, inner: tuple[Stmt, ...]) -> Stmt:
    """The statement around other statements; the same object where nothing changed."""
    if all(a is b for a, b in zip(children(stmt), inner, strict=True)):
        return stmt
    if isinstance(stmt, For):
        return For(stmt.var, stmt.extent, stmt.kind, inner[0], stmt.lanes, stmt.pragmas)
    if isinstance(stmt, Intrinsic):
        return Intrinsic(stmt.name, inner[0])
    if isinstance(stmt, Allocate):
        return Allocate(stmt.buffer, inner[0])
    if isinstance(stmt, If):
        return If(stmt.condition, inner[0], inner[1] if len(inner) > 1 else None)
    return block(*inner)


def rewrite_statements(stmt: Stmt, fn: Callable[[Stmt], Stmt | None]) -> Stmt:
    """Rebuild bottom-up: ``fn`` sees each statement over its rewritten parts and returns a replacement or None."""
    return _rewritten(stmt, lambda _: None, fn)


def replace_outermost(stmt: Stmt, fn: Callable[[Stmt], Stmt | None]) -> Stmt:
    """Rebuild top-down: ``fn`` returns what replaces a statement and all inside it, or None to be asked about that."""
    return _rewritten(stmt, fn, lambda _: None)


def _rewritten(root: Stmt, before: Callable[[Stmt], Stmt | None], after: Callable[[Stmt], Stmt | None]) -> Stmt:
    """Without recursion: two thousand stages make allocations that nest two thousand deep."""
    done: dict[int, Stmt] = {}
    stack = [(root, False)]
    while stack:
        stmt, ready = stack.pop()
        if ready:
            rebuilt = with_children(stmt, tuple(done[id(child)] for child in children(stmt)))
            done[id(stmt)] = after(rebuilt) or rebuilt
            continue
        found = before(stmt)
        if found is not None:
            done[id(stmt)] = found
        else:
            stack.append((stmt, True))
            stack.extend((child, False) for child in children(stmt))
    return done[id(root)]


def in_sequence(stmt: Stmt) -> Iterator[Stmt]:
    """What runs one after the other: blocks opened up, and each allocation before what its body holds."""
    stack = [stmt]
    while stack:
        current = stack.pop()
        if isinstance(current, Block):
            stack.extend(reversed(current.statements))
        else:
            yield current
            if isinstance(current, Allocate):
                stack.append(current.body)


def statements(stmt: Stmt) -> Iterator[Stmt]:
    """The statement and all inside it, outer ones first."""
    stack = [stmt]
    while stack:
        current = stack.pop()
        yield current
        stack.extend(reversed(children(current)))


def stores(stmt: Stmt) -> tuple[Store, ...]:
    """The stores that the statement itself makes; those of ``Together`` or ``Atomic`` are no statements."""
    if isinstance(stmt, Together):
        return stmt.stores
    if isinstance(stmt, Atomic):
        return (stmt.store,)
    return (stmt,) if isinstance(stmt, Store) else ()


def expressions(stmt: Stmt) -> tuple[Expr, ...]:
    """The expressions that the statement itself holds."""
    if isinstance(stmt, For):
        return (stmt.extent,)
    if isinstance(stmt, (Store, Together, Atomic)):
        return tuple(expr for store in stores(stmt) for expr in (*store.indices, store.value))
    if isinstance(stmt, Prefetch):
        return stmt.indices
    return (stmt.condition,) if isinstance(stmt, If) else ()


def loads(stmt: Stmt) -> Iterator[Load]:
    """Every distinct load in the statement itself."""
    for node in walk(expressions(stmt)):
        if isinstance(node, Load):
            yield node
