"""Room for processes: never more than there is, in order, and nobody waits while some is free."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core.engine.slots import Slots

LIMIT = 3


class Holder:
    def __init__(self) -> None:
        self.granted = False
        self.asked = 0

    def room_granted(self) -> None:
        assert not self.granted
        self.granted = True

    def make_room(self) -> None:
        self.asked += 1


class SlotsMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.holders = [Holder() for _ in range(8)]
        self.slots = Slots(list, LIMIT)
        self.order: list[Holder] = []

    @rule(place=st.integers(0, 7))
    def want(self, place: int) -> None:
        holder = self.holders[place]
        if not holder.granted and holder not in self.order:
            self.order.append(holder)
        self.slots.want(holder)
        self.settle()

    @rule(place=st.integers(0, 7))
    def give_back(self, place: int) -> None:
        holder = self.holders[place]
        holder.granted = False
        if holder in self.order:
            self.order.remove(holder)
        self.slots.give_back(holder)
        self.settle()

    def settle(self) -> None:
        while self.order and self.order[0].granted:
            self.order.pop(0)

    @invariant()
    def as_many_as_fit_and_the_first_first(self) -> None:
        granted = sum(holder.granted for holder in self.holders)
        assert granted <= LIMIT
        assert not self.order or granted == LIMIT
        assert not any(holder.granted for holder in self.order)
        assert self.slots.crowded == bool(self.order)


TestSlots = SlotsMachine.TestCase


def test_as_many_idle_holders_are_asked_to_make_room_as_wait() -> None:
    idle = [Holder(), Holder()]
    slots = Slots(lambda: idle, 2)
    for holder in idle:
        slots.want(holder)
    for _ in range(3):
        slots.want(Holder())
    assert [holder.asked for holder in idle] == [1, 1]
