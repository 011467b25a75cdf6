"""Compute a stage inside the loops of what it reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from autotune.errors import ScheduleError
from autotune.schedules.dependences import carried, check_independent, check_permutable
from autotune.schedules.primitives.compute_at import ComputeAt
from autotune.schedules.primitives.step import Step, name_taken, primitive
from autotune.schedules.state import Fuse, Relation, Split, Stage, State, Unit, consumed, produced, reads
from autotune.tensor_expr.expr import Axis


@primitive("reverse_compute_at")
@dataclass(frozen=True, slots=True)
class ReverseComputeAt(Step):
    """Compute ``consumer`` inside loop ``axis`` of ``producer``, as soon as what it reads is there.

    ``split("a", "i", [4])``, then ``reverse_compute_at("b", "a", "i.0")`` ::

        for i.0 in 0..2:                            for i.0 in 0..2:
            for i.1 in 0..4:                            for i.1 in 0..4:
                a[i.0 * 4 + i.1] = x[...] + 1    ->         a[i.1] = x[...] + 1
        for i in 0..8:                                  for i.1 in 0..4:
            b[i] = a[i] * 2                                 b[i.0 * 4 + i.1] = a[i.1] * 2

    The consumer must read the producer element by element (each dimension by one axis of the same extent), and not be
    scheduled yet. It takes over the producer's loops down to ``axis``, with how they run, under the names of its own
    axes, and the producer is then computed at its loop that corresponds to ``axis``: nothing else must read it.
    """

    consumer: str
    producer: str
    axis: str

    def apply(self, state: State) -> State:
        consumer, producer = state.compute_stage(self.consumer), state.compute_stage(self.producer)
        position = producer.require_loop(self.axis)
        outer = producer.loops[: position + 1]
        if consumer.is_scheduled or producer.attach is not None:
            late = consumer.name if consumer.is_scheduled else producer.name
            raise ScheduleError(
                f"stage {late!r} has been scheduled already; reverse_compute_at needs a consumer with plain loops and "
                f"a producer at the root"
            )
        for loop in outer:
            if loop in carried(producer):
                raise ScheduleError(
                    f"stage {producer.name!r}: axis {loop!r} carries a dependence, so that elements are not complete "
                    f"inside it; compute {consumer.name!r} at an axis outside it"
                )
        axes = _matching(consumer, producer)
        relations = _needed(producer, outer)
        names = _renamed(relations, axes)
        mapped = [_mapped(relation, names) for relation in relations]
        made = [name for relation in mapped for name in produced(relation)]
        for name in made:
            if name in consumer.names or made.count(name) > 1:
                raise name_taken(consumer, name)
        gone = {name for relation in mapped for name in consumed(relation)}
        first = [names[loop] for loop in outer]
        left = [name for name in (*consumer.loops, *made) if name not in gone and name not in first]
        kinds = {names[loop]: producer.kind(loop) for loop in outer if loop in producer.kinds}
        loops = (*first, *_in_order(left, consumer, mapped))
        unmoved = tuple(_in_order([*first, *left], consumer, mapped))
        consumer = replace(consumer, loops=unmoved, relations=tuple(mapped), kinds=MappingProxyType(kinds))
        check_permutable(consumer, loops)
        consumer = replace(consumer, loops=loops)
        for loop, kind in kinds.items():
            if kind not in ("serial", "unroll"):
                check_independent(consumer, loop, kind)
        plain = {loop: kind for loop, kind in producer.kinds.items() if loop not in outer}
        state = state.with_stage(consumer).with_stage(replace(producer, kinds=MappingProxyType(plain)))
        return ComputeAt(producer.name, consumer.name, names[self.axis]).apply(state)


def _matching(consumer: Stage, producer: Stage) -> dict[str, str]:
    """The producer's axes with the consumer's axis that reads each; refused where reads are not element by element."""
    found: dict[str, str] = {}
    for read in reads(consumer.tensor):
        if read.tensor.name != producer.name:
            continue
        for axis, index in zip(producer.tensor.axes, read.indices, strict=True):
            plain = isinstance(index, Axis) and index.extent == axis.extent and not index.reduce
            name = index.name if isinstance(index, Axis) else ""
            if not plain or found.setdefault(axis.name, name) != name:
                raise ScheduleError(
                    f"stage {consumer.name!r} does not read {producer.name!r} element by element: axis {axis.name!r} "
                    f"must be read by one spatial axis of the same extent"
                )
    if not found:
        raise ScheduleError(f"stage {consumer.name!r} does not read {producer.name!r}")
    if len(set(found.values())) < len(found):
        raise ScheduleError(
            f"stage {consumer.name!r} does not read {producer.name!r} element by element: one axis reads two dimensions"
        )
    return found


def _needed(producer: Stage, outer: tuple[str, ...]) -> list[Relation]:
    """The relations that the outer loops came from, in order."""
    wanted, found = set(outer), []
    for relation in reversed(producer.relations):
        if wanted.intersection(produced(relation)):
            wanted.update(consumed(relation))
            found.append(relation)
    return found[::-1]


def _renamed(relations: list[Relation], axes: Mapping[str, str]) -> dict[str, str]:
    """Names of the producer's axes and loops in the consumer: those made from an axis's name follow its new one."""
    names = dict(axes)
    for relation in relations:
        if isinstance(relation, Split):
            for child in relation.children:
                own = child.startswith(f"{relation.parent}.")
                names[child] = names[relation.parent] + child[len(relation.parent) :] if own else child
        elif isinstance(relation, Fuse):
            own = relation.child == f"{relation.outer}+{relation.inner}"
            names[relation.child] = f"{names[relation.outer]}+{names[relation.inner]}" if own else relation.child
        else:
            names[relation.child] = relation.child
    return names


def _mapped(relation: Relation, names: Mapping[str, str]) -> Relation:
    if isinstance(relation, Split):
        return Split(names[relation.parent], tuple(names[child] for child in relation.children), relation.factors)
    if isinstance(relation, Fuse):
        return Fuse(names[relation.outer], names[relation.inner], names[relation.child])
    return Unit(names[relation.child])


def _in_order(loops: list[str], consumer: Stage, relations: list[Relation]) -> list[str]:
    """Inner loops where the axes that they came from stood."""
    places: dict[str, tuple[int, ...]] = {axis: (place,) for place, axis in enumerate(consumer.loops)}
    for relation in relations:
        sources = consumed(relation)
        for number, child in enumerate(produced(relation)):
            places[child] = (*places[sources[0]], number) if sources else (-1,)
    return sorted(loops, key=places.__getitem__)
