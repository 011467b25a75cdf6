"""Which stages share loops (``compute_with``), and in what order they are computed."""

from __future__ import annotations

from autotune.schedules.dependences import producers
from autotune.schedules.state import Stage, State


class Sharing:
    """The stages that are computed in the loops of another, by that one's name."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.guests: dict[str, list[Stage]] = {}
        for stage in state.stages.values():
            if stage.details.shared is not None:
                self.guests.setdefault(stage.details.shared[0], []).append(stage)

    def depth(self, guest: Stage) -> int:
        """The position of the innermost loop that a guest shares."""
        assert guest.details.shared is not None
        return guest.loops.index(guest.details.shared[1])

    def at(self, stage: Stage, position: int) -> list[Stage]:
        """The guests that share a stage's loop at a position."""
        return [guest for guest in self.guests.get(stage.name, ()) if self.depth(guest) >= position]

    def first(self, stages: list[Stage]) -> tuple[list[Stage], list[Stage]]:
        """What is computed first, a stage with its guests, and the others, what those need before all of them."""
        lead = stages[0]
        if not self.guests:
            return [lead], stages[1:]
        if lead.details.shared is not None:
            lead = self.state.stages[lead.details.shared[0]]
        group = [lead, *self.guests.get(lead.name, ())]
        names = {member.name for member in group}
        needed = frozenset().union(*(producers(self.state, name) for name in names)) if len(group) > 1 else frozenset()
        others = [stage for stage in stages if stage.name not in names]
        before = [stage for stage in others if stage.name in needed]
        if before:
            first, rest = self.first(before)
            left = [*rest, *group, *(stage for stage in others if stage.name not in needed)]
            return first, [stage for stage in left if stage not in first]
        return group, others
