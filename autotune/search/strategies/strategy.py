"""What a search strategy is, and the registry of those that exist."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from autotune.cost_model.models import CostModel
from autotune.errors import unknown
from autotune.search.space import Evaluated, SearchSpace


class Strategy(Protocol):
    """Proposes candidates and hears what became of them."""

    def propose(self, count: int) -> Evaluated:
        """At most ``count`` legal candidates never proposed before; fewer only where there are no more to be found."""

    def observe(self, measured: Evaluated, seconds: np.ndarray) -> None:
        """The times of candidates, proposed here or by an earlier run; infinite for those that failed."""


Factory = Callable[[SearchSpace, CostModel, int], Strategy]
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


def make_strategy(name: str, space: SearchSpace, model: CostModel, seed: int) -> Strategy:
    """The strategy by name, or ``UsageError`` naming the ones that exist."""
    if name not in _STRATEGIES:
        raise unknown("strategy", name, _STRATEGIES)
    return _STRATEGIES[name](space, model, seed)
