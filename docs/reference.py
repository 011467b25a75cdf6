"""Writes docs/reference.md from the docstrings: ``python docs/reference.py``. A test holds the page current."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path

import autotune
from autotune.schedules.primitives import primitives
from autotune.search.strategies import strategies
from autotune.targets import facts
from autotune.tensor_expr.operators import families

PAGE = Path(__file__).with_name("reference.md")
PYTHON = (
    "tune", "build", "find", "lower", "assemble", "compile_object", "create_schedule", "placeholder", "compute",
    "reduce_axis", "sum", "max", "min", "select", "cast", "all_of", "exp", "log", "tanh", "sqrt", "floor", "absolute",
)  # fmt: skip


def markdown(docstring: str | None) -> str:
    """A docstring as Markdown: double backquotes become single ones, literal blocks are fenced."""
    assert docstring, "everything in the reference has a docstring"
    lines: list[str] = []
    literal = False
    for line in inspect.cleandoc(docstring).splitlines():
        if literal and line and not line.startswith(" "):
            _close(lines)
            literal = False
        if not literal and line.rstrip().endswith("::"):
            lines += [re.sub(r"\s*::$", ":", line.rstrip()), "", "```text"]
            literal = True
        elif not (literal and not line and lines[-1] == "```text"):
            lines.append(line if literal else line.replace("``", "`"))
    if literal:
        _close(lines)
    return "\n".join(line.replace("``", "`") if line.endswith(":") else line for line in lines)


def _close(lines: list[str]) -> None:
    while not lines[-1]:
        lines.pop()
    lines += ["```", ""]


def functions() -> str:
    """The functions of the face."""
    parts = []
    for name in PYTHON:
        # Annotations are strings here, which the signature quotes like a default.
        signature = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(getattr(autotune, name))))
        parts.append(f"### `{name}`\n\n```text\n{name}{signature}\n```\n\n{markdown(getattr(autotune, name).__doc__)}")
    return "\n\n".join(parts)


def operator_pages() -> str:
    """The operators by family: what they compute, and their parameters."""
    parts = []
    for family, members in families().items():
        listed = ", ".join(f"[`{name}`](#{name})" for name in members)
        parts.append(f"**{family.capitalize()}**: {listed}")
    for name, operator in (pair for members in families().values() for pair in members.items()):
        rows = "\n".join(f"| `{p.name}` | `{p.default}` | {p.help} |" for p in operator.params)
        table = f"| parameter | default | meaning |\n| --- | --- | --- |\n{rows}"
        parts.append(f"### `{name}`\n\n{operator.summary}.\n\n{markdown(operator.declare.__doc__)}\n\n{table}")
    return "\n\n".join(parts)


def primitive_pages() -> str:
    """The primitives, which are methods of a schedule."""
    parts = []
    for name, step in primitives().items():
        arguments = ", ".join(
            field.name if field.default is dataclasses.MISSING else f"{field.name}={field.default!r}"
            for field in dataclasses.fields(step)
        )
        parts.append(f"### `{name}`\n\n```text\nschedule.{name}({arguments})\n```\n\n{markdown(step.__doc__)}")
    return "\n\n".join(parts)


def strategy_pages() -> str:
    """The search strategies."""
    return "\n\n".join(f"### `{name}`\n\n{markdown(strategy.__doc__)}" for name, strategy in strategies().items())


def target_pages() -> str:
    """The targets and their facts."""
    parts = []
    for name, target in facts.TARGETS.items():
        shown = {
            "triple": f"`{target.triple}`", "features": ", ".join(f"`{feature}`" for feature in target.features),
            "vectors": f"{target.vector_bytes} bytes, {target.vector_registers} registers",
            "partial vectors": "under a mask" if target.masked else "narrower vectors",
            "multiply-add": f"{target.fma_latency} cycles, {target.fma_ports} ports",
            "load ports": str(target.load_ports),
            "caches": f"{target.caches.l1 >> 10}, {target.caches.l2 >> 10} and {target.caches.l3 >> 10} KiB",
        }  # fmt: skip
        rows = "\n".join(f"| {key} | {value} |" for key, value in shown.items())
        parts.append(f"### `{name}`\n\n| fact | |\n| --- | --- |\n{rows}")
    return "\n\n".join(parts)


def page() -> str:
    """The whole page."""
    sections = {
        "Python": functions(),
        "Operators": operator_pages(),
        "Primitives": f"Each is a method of `Schedule` that returns a new schedule.\n\n{primitive_pages()}",
        "Strategies": strategy_pages(),
        "Targets": f"`native` is the widest of these that the machine runs, with its extensions.\n\n{target_pages()}",
    }
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections.items())
    return f"# Reference\n\nMade from the docstrings by `python docs/reference.py`.\n\n{body}\n"


if __name__ == "__main__":
    PAGE.write_text(page())
