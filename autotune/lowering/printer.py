"""Loop IR as text that people can read."""

from __future__ import annotations

from autotune.lowering.ir import (
    Allocate,
    Atomic,
    Buffer,
    For,
    Function,
    If,
    Intrinsic,
    Prefetch,
    Stmt,
    Store,
    Together,
    in_sequence,
)
from autotune.tensor_expr.expr import (
    Binary,
    Call,
    Cast,
    Compare,
    Const,
    Expr,
    Load,
    Not,
    Read,
    Reduce,
    Scan,
    Select,
    Var,
    walk,
)

_SYMBOLS = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "floordiv": "//", "mod": "%", "and": "and", "or": "or",
    "xor": "^", "shl": "<<", "shr": ">>", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!=",
}  # fmt: skip
_BITS = {"and": "&", "or": "|"}
_STRENGTH = {
    "or": 1, "and": 2, "xor": 4, "shl": 4, "shr": 4, "add": 5, "sub": 5, "mul": 6, "div": 6, "floordiv": 6, "mod": 6,
}  # fmt: skip


LONGEST = 100_000  # characters of a value: what is shared is written out wherever it is used, which may be for ever


def show_expr(root: Expr) -> str:
    """One line; parentheses only where they are needed."""
    texts: dict[int, tuple[str, int]] = {}
    for node in walk([root]):
        text, strength = _show(node, [texts[id(child)] for child in node.children])
        texts[id(node)] = (text, strength) if len(text) <= LONGEST else ("...", 9)
    return texts[id(root)][0]


def _show(node: Expr, parts: list[tuple[str, int]]) -> tuple[str, int]:
    plain = [text for text, _ in parts]
    if isinstance(node, Const):
        return str(node.value), 9 if not isinstance(node.value, bool) and node.value >= 0 else 7
    if isinstance(node, Var):
        return _name(node), 9
    if isinstance(node, Binary) and node.op in ("min", "max"):
        return f"{node.op}({', '.join(plain)})", 9
    if isinstance(node, (Binary, Compare)):
        symbol = _SYMBOLS[node.op] if node.a.dtype == "bool" else _BITS.get(node.op, _SYMBOLS[node.op])
        strength = _STRENGTH.get(node.op, 3) if symbol not in _BITS.values() else 4
        left = plain[0] if parts[0][1] >= strength else f"({plain[0]})"
        right = plain[1] if parts[1][1] > strength else f"({plain[1]})"
        return f"{left} {symbol} {right}", strength
    if isinstance(node, Not):
        return f"not ({plain[0]})", 2
    if isinstance(node, Select):
        return f"select({', '.join(plain)})", 9
    if isinstance(node, Cast):
        return f"{node.dtype}({plain[0]})", 9
    if isinstance(node, Call):
        return f"{node.name}({', '.join(plain)})", 9
    if isinstance(node, Read):
        return f"{node.tensor.components[node.component].name}[{', '.join(plain)}]", 9
    if isinstance(node, Load):
        return f"{node.buffer.name}[{', '.join(plain)}]", 9
    assert isinstance(node, (Reduce, Scan)), node
    which = f".{node.component}" if len(plain) > 1 else ""
    if isinstance(node, Scan):
        return f"cumulative {node.reducer.name}{which}({', '.join(plain)}, along {node.axis.name})", 9
    return f"{node.kind}{which}({', '.join(plain)}, over {', '.join(axis.name for axis in node.axes)})", 9


def _name(var: Var) -> str:
    """A variable's name; one with an operator in it (of a fused loop) in parentheses."""
    return var.name if var.name.replace(".", "_").isidentifier() else f"({var.name})"


def show(function: Function) -> str:
    """The whole function, one statement a line."""
    params = ", ".join(
        f"{p.buffer.name}: {p.buffer.role} {p.buffer.dtype}{list(p.buffer.shape)}" for p in function.params
    )
    lines = [f"{function.name}({params})"]
    _lines(function.body, 1, lines)
    return "\n".join(lines)


def show_statement(stmt: Stmt) -> str:
    """One statement and what it holds."""
    lines: list[str] = []
    _lines(stmt, 0, lines)
    return "\n".join(lines)


def _place(store: Store) -> str:
    return f"{store.buffer.name}[{', '.join(map(show_expr, store.indices))}]"


def _lines(stmt: Stmt, depth: int, out: list[str]) -> None:
    for inner in in_sequence(stmt):
        _line(inner, depth, out)


def _line(stmt: Stmt, depth: int, out: list[str]) -> None:
    """One statement; an allocation without what it holds."""
    pad = "    " * depth
    if isinstance(stmt, For):
        kind = "" if stmt.kind == "serial" else f"{stmt.kind} "
        hints = "".join(f"  # {key} = {value}" for key, value in stmt.pragmas)
        out.append(f"{pad}{kind}for {_name(stmt.var)} in 0..{show_expr(stmt.extent)}:{hints}")
        _lines(stmt.body, depth + 1, out)
    elif isinstance(stmt, Store):
        bypass = "  # non-temporal" if stmt.nontemporal else ""
        out.append(f"{pad}{_place(stmt)} = {show_expr(stmt.value)}{bypass}")
    elif isinstance(stmt, Atomic):
        out.append(f"{pad}atomic {_place(stmt.store)} = {show_expr(stmt.store.value)}")
    elif isinstance(stmt, Together):
        places, values = map(_place, stmt.stores), (show_expr(store.value) for store in stmt.stores)
        out.append(f"{pad}{', '.join(places)} = {', '.join(values)}")
    elif isinstance(stmt, Prefetch):
        out.append(f"{pad}prefetch {stmt.buffer.name}[{', '.join(map(show_expr, stmt.indices))}]")
    elif isinstance(stmt, Intrinsic):
        out.append(f"{pad}{stmt.name}:")
        _lines(stmt.body, depth + 1, out)
    elif isinstance(stmt, If):
        out.append(f"{pad}if {show_expr(stmt.condition)}:")
        _lines(stmt.then, depth + 1, out)
        if stmt.otherwise is not None:
            out.append(f"{pad}else:")
            _lines(stmt.otherwise, depth + 1, out)
    else:
        assert isinstance(stmt, Allocate), stmt
        out.append(f"{pad}{stmt.buffer.name} = buffer {stmt.buffer.dtype}{list(stmt.buffer.shape)}{_kept(stmt.buffer)}")


def _kept(buffer: Buffer) -> str:
    """Where a buffer lives and how far its elements lie apart, where the schedule says so."""
    scope = "" if buffer.scope == "auto" else f" in {buffer.scope}"
    return scope if buffer.steps is None else f"{scope} strides {list(buffer.steps)}"
