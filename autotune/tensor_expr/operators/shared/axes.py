"""Computes of any rank whose axes have names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Parameter, Signature
from typing import Any

from autotune.tensor_expr.expr import ExprLike


def named(names: Sequence[str], fn: Callable[..., ExprLike]) -> Callable[..., ExprLike]:
    """``fn(*axes)`` as a function whose parameters have these names, which ``compute`` gives to its axes."""

    def call(*axes: Any) -> ExprLike:
        return fn(*axes)

    parameters = [Parameter(name, Parameter.POSITIONAL_ONLY) for name in names]
    call.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return call


def spatial(names: str, rank: int) -> tuple[str, ...]:
    """The last ``rank`` of three names, so that the innermost dimension has the same one at every rank."""
    return tuple(names.split()[-rank:])
