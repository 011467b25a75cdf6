"""Whether an expression is the one that an intrinsic declares, and the first difference where it is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from autotune.tensor_expr.expr import COMMUTATIVE, Binary, Call, Cast, Compare, Const, Expr, Load, Read

Operands: TypeAlias = "Mapping[str, Read | Load]"


@dataclass(frozen=True, slots=True)
class Match:
    """The ways in which reads or loads can stand for the placeholders; where there is none, the first difference."""

    ways: tuple[Operands, ...]
    difference: str = ""


def match(declared: Expr, actual: Expr, known: Operands | None = None) -> Match:
    """Compare node by node: dtypes, operators up to commutativity, and one operand wherever one placeholder is read.

    Recursion is as deep as the declaration.
    """
    known = known or {}
    if isinstance(declared, Read):
        return _operand(declared, actual, known)
    same = type(declared) is type(actual) and declared.dtype == actual.dtype and _label(declared) == _label(actual)
    if not same or len(declared.children) != len(actual.children):
        return Match((), f"the intrinsic has {_describe(declared)}, the stage {_describe(actual)}")
    found = [_in_order(declared.children, actual.children, known)]
    if isinstance(declared, Binary) and declared.op in COMMUTATIVE:
        found.append(_in_order(declared.children, actual.children[::-1], known))
    return Match(tuple(way for one in found for way in one.ways), found[0].difference)


def _in_order(declared: tuple[Expr, ...], actual: tuple[Expr, ...], known: Operands) -> Match:
    ways: tuple[Operands, ...] = (known,)
    for part, other in zip(declared, actual, strict=True):
        tried = [match(part, other, way) for way in ways]
        ways = tuple(way for one in tried for way in one.ways)
        if not ways:
            return Match((), tried[0].difference)
    return Match(ways)


def _operand(declared: Read, actual: Expr, known: Operands) -> Match:
    name = declared.tensor.name
    if not isinstance(actual, (Read, Load)) or actual.dtype != declared.dtype:
        return Match((), f"the intrinsic has an element of {name!r} ({declared.dtype}), the stage {_describe(actual)}")
    if known.get(name, actual) is not actual:
        return Match((), f"the intrinsic has one operand {name!r}, the stage two different ones")
    return Match(({**known, name: actual},))


def _label(node: Expr) -> object:
    if isinstance(node, (Binary, Compare)):
        return node.op
    if isinstance(node, Const):
        return node.value
    return node.name if isinstance(node, Call) else None


def _describe(node: Expr) -> str:
    if isinstance(node, Const):
        return f"the constant {node.value} ({node.dtype})"
    if isinstance(node, (Read, Load)):
        name = node.tensor.name if isinstance(node, Read) else node.buffer.name
        return f"an element of {name!r} ({node.dtype})"
    if isinstance(node, Cast):
        return f"a cast of {node.a.dtype} to {node.dtype}"
    label = _label(node)
    return f"{label if label is not None else type(node).__name__.lower()} of {node.dtype}"
