"""Races that need no execution to be seen: all iterations of a concurrent loop store to one and the same element."""

from __future__ import annotations

from autotune.lowering.ir import Allocate, Atomic, Buffer, For, If, Stmt, Store, children, stores
from autotune.tensor_expr.expr import Expr, Load, Var, walk


def shared_store(loop: For) -> Store | None:
    """A store that each iteration of the loop makes to the same element of a buffer that outlives the iteration.

    What depends on data, on a condition or on the number of iterations of an inner loop is left to the interpreter.
    """
    stack: list[tuple[Stmt, frozenset[Buffer]]] = [(loop.body, frozenset())]
    while stack:
        stmt, own = stack.pop()
        for store in () if isinstance(stmt, Atomic) else stores(stmt):
            if store.buffer not in own and not _depends(store.indices, loop.var):
                return store
        if isinstance(stmt, Allocate):
            own |= {stmt.buffer}
        if not isinstance(stmt, If) and not (isinstance(stmt, For) and _depends((stmt.extent,), loop.var)):
            stack += [(child, own) for child in children(stmt)]
    return None


def _depends(roots: tuple[Expr, ...], var: Var) -> bool:
    return any(node is var or isinstance(node, Load) for node in walk(roots))
