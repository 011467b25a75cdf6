"""Writes docs/reference.md and docs/reference/ from the docstrings: ``python docs/reference.py``.

A test holds the pages current, and complete: whatever a registry knows has an entry.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import autotune
from autotune.cost_model.features import FEATURE_VERSION, FEATURES
from autotune.cost_model.models import cost_models
from autotune.lowering.printer import show_expr
from autotune.schedules.primitives import primitives
from autotune.schedules.tensor_intrinsics import tensor_intrinsics
from autotune.search.scheduling import schedulers
from autotune.search.strategies import strategies
from autotune.targets import facts
from autotune.tensor_expr.algorithms import algorithms
from autotune.tensor_expr.operators import families, operators
from autotune.tensor_expr.tensor import graph

INDEX = Path(__file__).with_name("reference.md")
FOLDER = Path(__file__).with_name("reference")
# The parts of the Python page: what they are called, and the modules whose public names they hold.
PARTS = {
    "Tuning and building": (
        "autotune.api",
        "autotune.databases",
        "autotune.search.",
        "autotune.cost_model.",
        "autotune.targets.",
        "autotune.tuning_logs",
    ),
    "Expressions": ("autotune.tensor_expr",),
    "Schedules and loops": ("autotune.schedules.", "autotune.lowering.", "autotune.display."),
    "Progress and errors": ("autotune.cli.", "autotune.errors"),
}


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


def python_page() -> str:
    """Every public name but the operators, by part."""
    parts = []
    for title, names in python_parts().items():
        entries = "\n\n".join(_python_entry(name, getattr(autotune, name)) for name in names)
        parts.append(f"## {title}\n\n{entries}")
    return "\n\n".join(parts)


def python_parts() -> dict[str, list[str]]:
    """The public names of each part."""
    found: dict[str, list[str]] = {title: [] for title in PARTS}
    for name in (n for n in autotune.__all__ if not n.startswith("_") and n not in operators()):
        home = autotune._HOMES[name]
        found[next(title for title, modules in PARTS.items() if home.startswith(modules))].append(name)
    return found


def _python_entry(name: str, item: Any) -> str:
    if not inspect.isclass(item):
        return _entry(name, item.__doc__, f"{name}{_signature(item)}")
    if issubclass(item, Exception) or dataclasses.is_dataclass(item):
        shown = _entry(name, item.__doc__)
    else:
        shown = _entry(name, item.__doc__, f"{name}{_signature(item)}")
    rows = [_member(member, value) for member, value in vars(item).items() if not member.startswith("_")]
    rows = [row for row in rows if row]
    return "\n".join([f"{shown}\n", "| member | |", "| --- | --- |", *rows]) if rows else shown


def _member(name: str, value: Any) -> str:
    """A method or property with the first paragraph of its docstring; nothing for plain data."""
    function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
    if not inspect.isfunction(function) or not function.__doc__:
        return ""
    call = "" if isinstance(value, property) else re.sub(r"\b(self|cls)(, )?", "", _signature(function), count=1)
    first = " ".join(inspect.cleandoc(function.__doc__).split("\n\n")[0].split()).replace("``", "`")
    return _row(f"`{name}{call}`", first)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _signature(function: Any) -> str:
    # Annotations are strings here, which the signature quotes like a default.
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(function)))


def _entry(name: str, docstring: str | None, call: str = "") -> str:
    shown = f"```text\n{call}\n```\n\n" if call else ""
    return f"### `{name}`\n\n{shown}{markdown(docstring)}".rstrip()


def operators_page() -> str:
    """The operators by family: what they compute, and their parameters."""
    parts = []
    for family, members in families().items():
        parts.append(f"## {family.capitalize()}")
        for name, operator in members.items():
            rows = [_row(f"`{p.name}`", f"`{p.default}`", p.help) for p in operator.params]
            table = "\n".join(["| parameter | default | meaning |", "| --- | --- | --- |", *rows])
            summary = f"{operator.summary[0].upper()}{operator.summary[1:]}."
            parts.append(f"### `{name}`\n\n{summary}\n\n{markdown(operator.declare.__doc__)}\n\n{table}")
    return "\n\n".join(parts)


def algorithms_page() -> str:
    """The other definitions of operators."""
    parts = ["`alternatives(workload)` gives those that can compute a workload, with the error that each may make."]
    for operator, found in algorithms().items():
        parts.append(f"## `{operator}`")
        parts += [_entry(name, define.__doc__) for name, define in found.items()]
    return "\n\n".join(parts)


def primitives_page() -> str:
    """The primitives, which are methods of a schedule."""
    parts = ["Each is a method of `Schedule` that returns a new schedule."]
    for name, step in primitives().items():
        arguments = ", ".join(
            field.name if field.default is dataclasses.MISSING else f"{field.name}={field.default!r}"
            for field in dataclasses.fields(step)
        )
        parts.append(_entry(name, step.__doc__, f"schedule.{name}({arguments})"))
    return "\n\n".join(parts)


def intrinsics_page() -> str:
    """The instructions that ``tensorize`` can use, each declared by what it computes."""
    parts = [
        "What `tensorize` replaces loops by. The expression is the meaning on every target; a target that has one of\n"
        "the instructions uses it."
    ]
    for name, intrinsic in tensor_intrinsics().items():
        declared = intrinsic.declaration
        arrays = ", ".join(f"{tensor.name}: {tensor.dtype}{list(tensor.shape)}" for tensor in graph(declared))
        indices = ", ".join(axis.name for axis in declared.axes)
        assert declared.body is not None
        rows = [
            _row(f"`{i.callee}`", ", ".join(f"`{feature}`" for feature in i.features)) for i in intrinsic.instructions
        ]
        table = "\n".join(["| instruction | features |", "| --- | --- |", *rows])
        meaning = f"{declared.name}[{indices}] += {show_expr(declared.body)}"
        parts.append(f"### `{name}`\n\n```text\n{arrays}\n{meaning}\n```\n\n{table}")
    return "\n\n".join(parts)


def schedulers_page() -> str:
    """The task schedulers."""
    return "\n\n".join(_entry(name, scheduler.__doc__) for name, scheduler in schedulers().items())


def strategies_page() -> str:
    """The search strategies."""
    return "\n\n".join(_entry(name, strategy.__doc__) for name, strategy in strategies().items())


def models_page() -> str:
    """The cost models."""
    parts = ["`tune(cost_model=...)` and `--cost-model` take the name of one; [how they compare](../cost_model.md)."]
    parts += [_entry(name, model.__doc__) for name, model in cost_models().items()]
    rows = [_row(f"`{one.name}`", one.unit, one.meaning) for one in FEATURES]
    parts.append(
        f"## Features, version {FEATURE_VERSION}\n\nWhat models see of a candidate: log2(1 + x) of these, the same for "
        "every operator and sketch.\nA stored model of another version is refused.\n\n"
        + "\n".join(["| feature | unit | |", "| --- | --- | --- |", *rows])
    )
    return "\n\n".join(parts)


def targets_page() -> str:
    """The targets and their facts."""
    parts = ["`native` is the widest of these that the machine runs, with its extensions."]
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


def index() -> str:
    """The page that lists every entry of the others."""
    lists = {
        "python": [(title, names) for title, names in python_parts().items()],
        "operators": [(family.capitalize(), members) for family, members in families().items()],
        "algorithms": [(f"Definitions of `{operator}`", found) for operator, found in algorithms().items()],
        "primitives": [("Schedule steps", primitives())],
        "intrinsics": [("Of tensors", tensor_intrinsics())],
        "strategies": [("Search", strategies())],
        "schedulers": [("Many tasks", schedulers())],
        "models": [("Of cost", cost_models())],
        "targets": [("Processors", facts.TARGETS)],
    }
    parts = [
        "# Reference",
        "Made from the docstrings by `python docs/reference.py`: one page each for "
        + ", ".join(f"[{page}](reference/{page}.md)" for page in lists)
        + ".",
    ]
    for page, groups in lists.items():
        parts.append(f"## {page.capitalize()}")
        parts += [f"- {title}: {_links(page, names)}" for title, names in groups]
    return "\n\n".join(parts) + "\n"


def _links(page: str, names: Iterable[str]) -> str:
    return ", ".join(f"[`{name}`](reference/{page}.md#{name.lower()})" for name in names)


def pages() -> Mapping[Path, str]:
    """Every page and its text."""
    bodies = {
        "python": python_page(), "operators": operators_page(), "algorithms": algorithms_page(),
        "primitives": primitives_page(),
        "intrinsics": intrinsics_page(), "strategies": strategies_page(),
        "schedulers": schedulers_page(), "models": models_page(),
        "targets": targets_page(),
    }  # fmt: skip
    return {
        INDEX: index(),
        **{
            FOLDER / f"{name}.md": f"# {name.capitalize()}\n\n[All entries](../reference.md)\n\n{body}\n"
            for name, body in bodies.items()
        },
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for path, text in pages().items():
        path.write_text(text)
