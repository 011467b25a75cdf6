"""The text of one LLVM function: blocks, scopes and SSA names.

A scope is a stretch of code that runs as often as its loop's body. Pure index arithmetic goes to the *prologue* of the
outermost scope that knows all of its variables, which hoists it as far as it can go; everything else goes to the body
in program order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any, Union

Lines = list[Union[str, "Lines"]]

TYPES = {
    "float16": "float", "bfloat16": "float", "float32": "float", "float64": "double", "int8": "i8", "uint8": "i8",
    "int16": "i16", "int32": "i32", "int64": "i64", "bool": "i1",
}  # fmt: skip


@dataclass(slots=True)
class Scope:
    """``values`` are pure results in this scope's prologue, by text; ``loads`` what straight-line code has loaded."""

    depth: int
    prologue: Lines = field(default_factory=list)
    values: dict[Any, str] = field(default_factory=dict)
    loads: dict[Any, Any] = field(default_factory=dict)


class Emitter:
    """Collects one function's lines; ``declarations`` are the module's."""

    def __init__(self, declarations: dict[str, str]) -> None:
        self.declarations = declarations
        self.counter = 0
        self.entry: Lines = []
        self.lines: Lines = []
        self.label = "entry"
        self._block: dict[str, str] = {}
        self.scopes: list[Scope] = [Scope(0)]
        self.lines.append(self.scopes[0].prologue)

    @property
    def scope(self) -> Scope:
        return self.scopes[-1]

    def name(self) -> str:
        self.counter += 1
        return f"%v{self.counter}"

    def emit(self, text: str) -> str:
        """One instruction at the end of the body; its result."""
        name = self.name()
        self.lines.append(f"{name} = {text}")
        return name

    def pure(self, depth: int, text: str) -> str:
        """One pure instruction in the prologue of the scope at ``depth``, once for equal text; its result."""
        scope = self.scopes[depth]
        name = scope.values.get(text)
        if name is None:
            name = scope.values[text] = self.name()
            scope.prologue.append(f"{name} = {text}")
        return name

    def local(self, text: str) -> str:
        """One pure instruction at the end of the body, once for equal text in the present block; its result."""
        name = self._block.get(text)
        if name is None:
            name = self._block[text] = self.emit(text)
        return name

    def fresh_label(self) -> str:
        self.counter += 1
        return f"b{self.counter}"

    def start_block(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.label = label
        self._block = {}

    def branch(self, label: str) -> None:
        self.lines.append(f"br label %{label}")

    def push_scope(self) -> Scope:
        scope = Scope(len(self.scopes))
        self.scopes.append(scope)
        self.lines.append(scope.prologue)
        return scope

    def pop_scope(self) -> None:
        self.scopes.pop()

    def declare(self, signature: str, name: str) -> str:
        """Make sure that a function is declared; its name."""
        self.declarations[name] = f"declare {signature}"
        return name

    def text(self) -> str:
        """The function's body."""
        out: list[str] = []
        stack: list[Any] = [iter([self.entry, self.lines])]
        while stack:
            for item in stack[-1]:
                if isinstance(item, str):
                    out.append(item)
                else:
                    stack.append(iter(item))
                    break
            else:
                stack.pop()
        return "\n".join(out)


@cache
def vector_type(dtype: str, width: int) -> str:
    """LLVM's type of ``width`` elements, 1 meaning a scalar."""
    return f"<{width} x {TYPES[dtype]}>" if width > 1 else TYPES[dtype]


@cache
def mangled(dtype: str, width: int) -> str:
    """The type's part of an overloaded intrinsic's name."""
    base = {"float": "f32", "double": "f64"}.get(TYPES[dtype], TYPES[dtype])
    return f"v{width}{base}" if width > 1 else base
