"""A strategy held to its word: whatever it does wrong ends the search with one sentence, and nothing else."""

from __future__ import annotations

import numpy as np

from autotune.cost_model.guard import ModelError
from autotune.cost_model.models import CostModel
from autotune.errors import UsageError
from autotune.search.space import Evaluated, Key, SearchSpace
from autotune.search.strategies.strategy import Factory, Strategy, make_strategy, strategy_name


class GuardedStrategy:
    """A strategy by name, class or factory. From its first ``fault`` on it proposes nothing more.

    Raises ``UsageError`` where the strategy refuses to be made with one.
    """

    def __init__(self, chosen: str | Factory, space: SearchSpace, model: CostModel, seed: int) -> None:
        self.space, self.name = space, strategy_name(chosen)
        self.fault = ""
        self._proposed: set[Key] = set()
        self._strategy: Strategy | None = None
        try:
            made = make_strategy(chosen, space, model, seed)
        except UsageError:  # nothing has run yet: it is the asker's to hear
            raise
        except (Exception, SystemExit) as error:
            self._raised("was made", error)
            return
        if isinstance(made, Strategy):
            self._strategy = made
        else:
            self.fault = f"strategy {self.name} is {made!r:.60}, which has no methods propose and observe"

    def propose(self, count: int) -> Evaluated:
        """What the strategy proposes, which is in order; nothing where it is not."""
        if self._strategy is None or self.fault:
            return self.space.empty()
        try:
            proposed = self._strategy.propose(count)
            self.fault = self._objection(proposed, count)
        except (Exception, SystemExit) as error:
            self._raised("proposed", error)
        return self.space.empty() if self.fault else proposed

    def observe(self, measured: Evaluated, seconds: np.ndarray) -> None:
        """Tell the strategy, unless it has failed already."""
        self._proposed.update(measured.population.key(row) for row in range(len(measured)))
        if self._strategy is None or self.fault:
            return
        try:
            self._strategy.observe(measured, seconds)
        except (Exception, SystemExit) as error:
            self._raised("observed", error)

    def _raised(self, did: str, error: BaseException) -> None:
        if isinstance(error, ModelError):  # not the strategy's fault
            self.fault = str(error)
            return
        text = " ".join(str(error).split())[:200]
        self.fault = f"strategy {self.name} raised {type(error).__name__} when it {did}" + (f": {text}" if text else "")

    def _objection(self, proposed: Evaluated, count: int) -> str:
        """What is wrong with a proposal; empty where nothing is."""
        if not isinstance(proposed, Evaluated):
            return f"strategy {self.name} proposed {proposed!r:.60}; it must be what SearchSpace.evaluate returns"
        if len(proposed) > count:
            return f"strategy {self.name} proposed {len(proposed)} candidates where {count} were asked for"
        if not self.space.holds(proposed.population):
            return f"strategy {self.name} proposed what is not a candidate of this space"
        if not proposed.legal.all():
            return f"strategy {self.name} proposed a candidate that is not legal: take those whose legal is True"
        keys = [proposed.population.key(row) for row in range(len(proposed))]
        if len(set(keys)) < len(keys) or self._proposed.intersection(keys):
            return f"strategy {self.name} proposed a candidate twice, or one that was measured before"
        self._proposed.update(keys)
        return ""
