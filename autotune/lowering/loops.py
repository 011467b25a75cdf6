"""A lowered function as people see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from autotune.display import html
from autotune.lowering.ir import Allocate, Buffer, Function, statements
from autotune.lowering.printer import show


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Loops:
    """The loops that a schedule is lowered to: ``print`` shows them, a notebook folds them."""

    function: Function

    @property
    def buffers(self) -> Iterator[Buffer]:
        """The parameters, then the buffers that the kernel allocates, in the order in which it does."""
        yield from (param.buffer for param in self.function.params)
        yield from (stmt.buffer for stmt in statements(self.function.body) if isinstance(stmt, Allocate))

    def __str__(self) -> str:
        return show(self.function)

    __repr__ = __str__

    def html_parts(self) -> tuple[str, ...]:
        """The sections that show the loops in HTML."""
        rows = [(b.name, b.role, f"{b.dtype}{list(b.shape)}", f"{b.bytes:,}") for b in self.buffers]
        return (
            html.section("Lowered loops", html.fold(str(self))),
            html.section("Buffers", html.table(("buffer", "role", "elements", "bytes"), rows), start_open=False),
        )

    def _repr_html_(self) -> str:
        return html.fragment(*self.html_parts())
