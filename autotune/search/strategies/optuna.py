"""An Optuna sampler drives: candidates are asked of its study, and told their times.

Optuna (Akiba et al., KDD 2019) is an extra, ``pip install 'autotune[optuna]'``, and is imported when it is first used.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from autotune.cost_model.models import CostModel
from autotune.errors import UsageError
from autotune.search.space import Evaluated, Key, Population, SearchSpace
from autotune.search.strategies.memory import FAILED, Memory, Supply
from autotune.search.strategies.strategy import strategy


@strategy("optuna")
class OptunaStrategy:
    """The candidates of a sampler of Optuna; by default its TPE (Bergstra et al., NeurIPS 2011, section 4).

    The space is conditional: the sketch's number comes first, then that sketch's knobs, as positions among their
    choices. Knobs of equal name and number of choices are one parameter, whatever the sketch. The sampler minimises
    log2 of the seconds; what is not legal or fails counts as eight times slower than the slowest. No cost model is
    asked. Where too few suggestions are legal and new, random candidates fill the batch. ``sampler``: what makes one of
    a seed, such as ``lambda seed: optuna.samplers.GPSampler(seed=seed)``.
    """

    ASKED = 4  # suggestions for each candidate that is wanted, at most

    def __init__(
        self, space: SearchSpace, model: CostModel, seed: int, sampler: Callable[[int], Any] | None = None
    ) -> None:
        self.optuna = _optuna()
        make = sampler or (lambda seed: self.optuna.samplers.TPESampler(seed=seed))
        # Optuna seeds with 32 bits.
        self.study = self.optuna.create_study(sampler=make(seed % 2**32))
        self.space, self.memory = space, Memory(space)
        self.supply = Supply(space, self.memory, np.random.default_rng(seed))
        self.asked: dict[Key, Any] = {}  # trials of the study that have not been told

    def propose(self, count: int) -> Evaluated:
        chosen = self.space.empty()
        for _ in range(self.ASKED):
            if len(chosen) < count:
                chosen = chosen.join(self._suggested(count - len(chosen)))
        return chosen.join(self.supply.random(count - len(chosen)))

    def observe(self, measured: Evaluated, seconds: np.ndarray) -> None:
        self.memory.observe(measured, seconds)
        costs = self.memory.costs()[len(self.memory.log_seconds) - len(seconds) :]
        for row, cost in enumerate(costs.tolist()):
            trial = self.asked.pop(measured.population.key(row), None)
            if trial is not None:
                self.study.tell(trial, cost)
            else:
                self.study.add_trial(self._trial(measured.population, row, cost))

    def _suggested(self, count: int) -> Evaluated:
        """So many suggestions, but for those that are not legal or were proposed before."""
        trials = [self.study.ask() for _ in range(count)]
        sketch = np.zeros(count, np.int64)
        genes = np.zeros((count, self.space.width), np.int64)
        for row, trial in enumerate(trials):
            sketch[row] = trial.suggest_categorical("sketch", range(len(self.space.sketches)))
            for knob, name in enumerate(self._parameters(sketch[row])):
                genes[row, knob] = trial.suggest_int(name, 0, int(self.space.sizes[sketch[row], knob]) - 1)
        found = self.space.evaluate(Population(sketch, genes))
        fresh = self.memory.fresh(found, count)
        wanted = {fresh.population.key(row) for row in range(len(fresh))}
        for row, trial in enumerate(trials):
            key = found.population.key(row)
            if key in wanted:
                wanted.remove(key)
                self.asked[key] = trial
            elif found.legal[row]:
                self.study.tell(trial, state=self.optuna.trial.TrialState.FAIL)  # as told before: nothing new
            else:
                costs = self.memory.costs()
                self.study.tell(trial, costs.max() if len(costs) else FAILED)
        return fresh

    def _parameters(self, number: int) -> list[str]:
        sizes = self.space.sizes[number]
        return [f"{name} of {size}" for name, size in zip(self.space.names[number], sizes, strict=False)]

    def _trial(self, population: Population, row: int, cost: float) -> Any:
        """A finished trial of what the sampler did not suggest."""
        number = int(population.sketch[row])
        values = dict(zip(self._parameters(number), population.genes[row].tolist(), strict=False))
        distributions = {
            name: self.optuna.distributions.IntDistribution(0, int(size) - 1)
            for name, size in zip(values, self.space.sizes[number], strict=False)
        }
        sketches = self.optuna.distributions.CategoricalDistribution(range(len(self.space.sketches)))
        return self.optuna.trial.create_trial(
            params={"sketch": number, **values}, distributions={"sketch": sketches, **distributions}, value=cost
        )


def _optuna() -> Any:
    try:
        library = import_module("optuna")
    except ImportError:
        raise UsageError(
            "the strategy 'optuna' needs Optuna, which is an extra: pip install 'autotune[optuna]'"
        ) from None
    library.logging.set_verbosity(library.logging.WARNING)  # else every trial is a line on stderr
    return library
