"""The space of candidates as matrices: a population is a sketch number and a row of knob positions per candidate."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autotune.cost_model.features import SCHEMA, Evaluator, evaluate
from autotune.errors import ScheduleError
from autotune.schedules.schedule import Schedule
from autotune.schedules.sketches import Sketch, sketches
from autotune.targets.facts import Target
from autotune.tensor_expr.algorithms import DIRECT, definitions
from autotune.tensor_expr.tensor import Tensor
from autotune.tensor_expr.workload import Workload

Key = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Population:
    """``sketch`` [n] and ``genes`` [n x widest sketch]: positions in each knob's choices, 0 where there is no knob."""

    sketch: np.ndarray
    genes: np.ndarray

    def __len__(self) -> int:
        return len(self.sketch)

    def take(self, rows: np.ndarray | Sequence[int]) -> Population:
        """Some of the candidates."""
        rows = np.asarray(rows, np.int64)
        return Population(self.sketch[rows], self.genes[rows])

    def join(self, other: Population) -> Population:
        """Both populations."""
        return Population(np.concatenate([self.sketch, other.sketch]), np.concatenate([self.genes, other.genes]))

    def key(self, row: int) -> Key:
        """What identifies a candidate."""
        return (int(self.sketch[row]), *map(int, self.genes[row]))


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A population with its features, and whether each candidate is worth building at all."""

    population: Population
    features: np.ndarray
    legal: np.ndarray

    def __len__(self) -> int:
        return len(self.population)

    def take(self, rows: np.ndarray | Sequence[int]) -> Evaluated:
        """Some of the candidates."""
        rows = np.asarray(rows, np.int64)
        return Evaluated(self.population.take(rows), self.features[rows], self.legal[rows])

    def join(self, other: Evaluated) -> Evaluated:
        """Both populations."""
        return Evaluated(
            self.population.join(other.population),
            np.concatenate([self.features, other.features]),
            np.concatenate([self.legal, other.legal]),
        )


class SearchSpace:
    """All sketches of an operator on a target, and the NumPy evaluation of populations over them.

    Of a workload, every definition has its own sketches: the operator's own and the alternatives, or those among them
    whose ``algorithms`` are accepted. Of an output tensor, there is but the one.
    ``given`` sketches stand in for those of the rules. Where they are ``trusted``, whatever can be replayed is worth
    building: a person wrote them, and the model is left to say what is slow.
    """

    def __init__(
        self, what: Workload | Tensor, target: Target, threads: int = 1, given: Sequence[Sketch] | None = None,
        algorithms: Iterable[str] | None = None, trusted: bool = False,
    ) -> None:  # fmt: skip
        self.trusted = trusted
        self.definitions = definitions(what, algorithms) if isinstance(what, Workload) else {DIRECT: what}
        self.target, self.threads = target, threads
        self.sketches = (
            tuple(given)
            if given is not None
            else tuple(
                sketch
                for name, output in self.definitions.items()
                for sketch in sketches(output, target, threads, name)
            )
        )
        self.choices = [[np.asarray(knob.choices) for knob in s.schedule.knobs] for s in self.sketches]
        self.names = [[knob.name for knob in s.schedule.knobs] for s in self.sketches]
        self.width = max((len(knobs) for knobs in self.choices), default=0)
        self.sizes = np.ones((len(self.sketches), self.width), np.int64)
        for number, knobs in enumerate(self.choices):
            self.sizes[number, : len(knobs)] = [len(choices) for choices in knobs]
        self._evaluators = [Evaluator(s.schedule, target, threads) for s in self.sketches]
        self._known: dict[Key, tuple[np.ndarray, bool]] = {}  # of what was evaluated alone
        self._by_text = {s.schedule.text: number for number, s in enumerate(self.sketches)}

    @property
    def size(self) -> int:
        """How many candidates there are, legal or not."""
        return int(sum(int(np.prod(row, dtype=object)) for row in self.sizes))

    def sample(self, generator: np.random.Generator, count: int) -> Population:
        """Uniformly random candidates, an equal share of each sketch."""
        count = count if self.sketches else 0
        sketch = generator.permutation(np.arange(count) % max(1, len(self.sketches)))
        genes = (generator.random((count, self.width)) * self.sizes[sketch]).astype(np.int64)
        return Population(sketch, genes)

    def evaluate(self, population: Population) -> Evaluated:
        """Features and legality of all candidates, sketch by sketch."""
        features = np.zeros((len(population), len(SCHEMA)), np.float32)
        legal = np.ones(len(population), bool)
        order = np.argsort(population.sketch, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(population.sketch[order])) + 1) if len(order) else ():
            number, genes = int(population.sketch[rows[0]]), population.genes[rows].T
            columns = {
                name: choices[genes[position]]
                for position, (name, choices) in enumerate(zip(self.names[number], self.choices[number], strict=True))
            }
            try:
                features[rows], allowed = self._evaluators[number](columns, len(rows))
                legal[rows] = self.trusted | allowed
            except ScheduleError:  # a step that takes no columns of numbers, or that some of these are not legal for
                for place, row in enumerate(rows):
                    alone = {name: int(values[place]) for name, values in columns.items()}
                    features[row], legal[row] = self._alone(number, alone)
        return Evaluated(population, features, legal)

    def _alone(self, number: int, values: Mapping[str, int]) -> tuple[np.ndarray, bool]:
        """One candidate's features and legality, found the slow way and once."""
        key = (number, *values.values())
        if key not in self._known:
            try:
                state = self.sketches[number].schedule.replay(values)
                features, cost = evaluate(state, self.target, self.threads, 1)
                self._known[key] = features[0], self.trusted or bool(cost.legal[0])
            except ScheduleError:
                self._known[key] = np.zeros(len(SCHEMA)), False
        return self._known[key]

    def knobs(self, population: Population, row: int) -> dict[str, int]:
        """A candidate's knob values by name."""
        number = int(population.sketch[row])
        return {
            name: int(choices[population.genes[row, position]])
            for position, (name, choices) in enumerate(zip(self.names[number], self.choices[number], strict=True))
        }

    def schedule(self, population: Population, row: int) -> Schedule:
        """A candidate's schedule with all knobs set."""
        return self.sketches[int(population.sketch[row])].schedule.with_knobs(self.knobs(population, row))

    def find(self, sketch_text: str, knobs: Mapping[str, int]) -> Population | None:
        """The candidate that a record describes, alone in a population; None where this space does not have it."""
        number = self._by_text.get(sketch_text)
        if number is None:
            number = self._by_text.get(json.dumps(json.loads(sketch_text), sort_keys=True, separators=(",", ":")))
        if number is None:
            return None
        genes = np.zeros((1, self.width), np.int64)
        for position, (name, choices) in enumerate(zip(self.names[number], self.choices[number], strict=True)):
            places = np.flatnonzero(choices == knobs.get(name, -1))
            if not len(places):
                return None
            genes[0, position] = places[0]
        return Population(np.array([number]), genes)

    def holds(self, population: Population) -> bool:
        """Whether every row is a candidate of this space, legal or not."""
        sketch, genes = population.sketch, population.genes
        if genes.shape != (len(sketch), self.width) or not all(
            np.issubdtype(a.dtype, np.integer) for a in (sketch, genes)
        ):
            return False
        known = np.all((sketch >= 0) & (sketch < len(self.sketches)))
        return bool(known) and bool(np.all((genes >= 0) & (genes < self.sizes[sketch])))

    def empty(self) -> Evaluated:
        """No candidates."""
        nothing = Population(np.zeros(0, np.int64), np.zeros((0, self.width), np.int64))
        return Evaluated(nothing, np.zeros((0, len(SCHEMA)), np.float32), np.zeros(0, bool))
