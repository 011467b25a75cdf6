"""What a search strategy is, and the registry of those that exist."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np

from autotune.cost_model.models import CostModel
from autotune.errors import UsageError, unknown
from autotune.search.space import Evaluated, SearchSpace


@runtime_checkable
class Strategy(Protocol):
    """Proposes candidates and hears what became of them.

    Made with a space, a cost model and a seed: ``MyStrategy(space, model, seed)``. Two batches are in flight at a time,
    so that the results of one come after the next is proposed.
    """

    def propose(self, count: int) -> Evaluated:
        """At most ``count`` legal candidates never proposed before; fewer only where there are no more to be found."""

    def observe(self, measured: Evaluated, seconds: np.ndarray) -> None:
        """The times of candidates, proposed here or by an earlier run; infinite for those that failed."""


Factory: TypeAlias = Callable[[SearchSpace, CostModel, int], Strategy]
_STRATEGIES: dict[str, Factory] = {}


def strategy(name: str) -> Callable[[Factory], Factory]:
    """Register a class ``(space, model, seed) -> Strategy`` under a name."""

    def decorate(factory: Factory) -> Factory:
        _STRATEGIES[name] = factory
        return factory

    return decorate


def strategies() -> Mapping[str, Factory]:
    """All strategies by name."""
    return dict(sorted(_STRATEGIES.items()))


def check_strategy(chosen: object) -> None:
    """Refuse what is neither the name of a strategy nor something that makes one."""
    if isinstance(chosen, str):
        if chosen not in _STRATEGIES:
            raise unknown("strategy", chosen, _STRATEGIES)
    elif not callable(chosen):
        raise UsageError(f"a strategy is a name, or a class made with (space, model, seed), not {chosen!r:.100}")


def make_strategy(chosen: str | Factory, space: SearchSpace, model: CostModel, seed: int) -> Strategy:
    """The strategy of that name or class; ``UsageError`` for what is neither."""
    check_strategy(chosen)
    factory = _STRATEGIES[chosen] if isinstance(chosen, str) else chosen
    return factory(space, model, seed)


def strategy_name(chosen: str | Factory) -> str:
    """What messages and records call a strategy."""
    return chosen if isinstance(chosen, str) else getattr(chosen, "__name__", type(chosen).__name__)
