"""Room for processes: never more than there is, in order, and nobody waits while some is free for it."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from core.engine.slots import Slots

WORKFLOWS = "abc"


class Holder:
    def __init__(self, workflow: str, priority: int) -> None:
        self.workflow = workflow
        self.priority = priority
        self.granted = False
        self.asked = 0

    def room_granted(self) -> None:
        assert not self.granted
        self.granted = True

    def make_room(self) -> None:
        self.asked += 1


class SlotsMachine(RuleBasedStateMachine):
    """Against a plain model: after each change, grant one by one to the best of those who fit."""

    def __init__(self) -> None:
        super().__init__()
        self.holders = [Holder(WORKFLOWS[place % 3], place % 2) for place in range(12)]
        self.limit, self.own_limit = 3, 0
        self.slots = Slots(list, lambda: self.limit, lambda workflow: self.own_limit if workflow == "a" else 0)
        self.waiting: list[Holder] = []
        self.holding: list[Holder] = []

    @rule(place=st.integers(0, 11))
    def want(self, place: int) -> None:
        holder = self.holders[place]
        if holder not in self.holding and holder not in self.waiting:
            self.waiting.append(holder)
            self.settle()
        self.slots.want(holder)

    @rule(place=st.integers(0, 11))
    def give_back(self, place: int) -> None:
        holder = self.holders[place]
        for place_of in (self.waiting, self.holding):
            if holder in place_of:
                place_of.remove(holder)
        self.settle()
        holder.granted = False
        self.slots.give_back(holder)

    @rule(limit=st.integers(1, 5), own=st.integers(0, 2))
    def the_settings_change(self, limit: int, own: int) -> None:
        self.limit, self.own_limit = limit, own
        self.settle()
        self.slots.give_back(Holder("x", 0))

    def held(self, workflow: str) -> int:
        return sum(holder.workflow == workflow for holder in self.holding)

    def settle(self) -> None:
        while len(self.holding) < self.limit:
            fits = [
                holder
                for holder in self.waiting
                if not (holder.workflow == "a" and 0 < self.own_limit <= self.held("a"))
            ]
            if not fits:
                return
            best = min(fits, key=lambda holder: (-holder.priority, self.held(holder.workflow)))
            self.waiting.remove(best)
            self.holding.append(best)

    @invariant()
    def those_who_should_have_room_have_it(self) -> None:
        assert [holder for holder in self.holders if holder.granted] == [
            holder for holder in self.holders if holder in self.holding
        ]
        assert self.slots.crowded == bool(self.waiting)

    @invariant()
    def the_queue_says_in_which_order_room_comes(self) -> None:
        queue = self.slots.queue()
        assert sorted(map(id, queue)) == sorted(map(id, self.waiting))
        assert [self.slots.position(holder) for holder in queue] == list(range(1, len(queue) + 1))
        if self.own_limit:
            return
        held = {workflow: self.held(workflow) for workflow in WORKFLOWS}
        left = list(self.waiting)
        for holder in queue:
            best = min(left, key=lambda other: (-other.priority, held[other.workflow]))
            assert holder is best
            left.remove(best)
            held[best.workflow] += 1


TestSlots = SlotsMachine.TestCase


def slots(holders: list[Holder], limit: int, own: int = 0) -> Slots:
    return Slots(lambda: [holder for holder in holders if holder.granted], lambda: limit, lambda _: own)


def test_a_hundred_runs_of_one_workflow_do_not_hold_up_the_first_of_another() -> None:
    room = slots([], 2)
    crowd = [Holder("bulk", 0) for _ in range(100)]
    for holder in crowd:
        room.want(holder)
    late = Holder("small", 0)
    room.want(late)
    assert room.position(late) == 1
    room.give_back(crowd[0])
    assert late.granted


def test_a_higher_priority_goes_first_and_an_equal_one_waits_its_turn() -> None:
    room = slots([], 1)
    first, second, urgent = Holder("w", 0), Holder("w", 0), Holder("w", 5)
    for holder in (first, second, urgent):
        room.want(holder)
    assert (room.position(urgent), room.position(second), room.position(first)) == (1, 2, 0)
    room.give_back(first)
    assert urgent.granted and not second.granted


def test_a_workflow_at_its_own_limit_lets_others_pass() -> None:
    holders = [Holder("w", 0), Holder("w", 9), Holder("other", 0)]
    room = slots(holders, 5, own=1)
    for holder in holders:
        room.want(holder)
    assert [holder.granted for holder in holders] == [True, False, True]
    # Only one of its own workflow can make the room that it waits for.
    assert [holder.asked for holder in holders] == [1, 0, 0]


def test_each_who_waits_has_another_one_asked_for_room() -> None:
    holders = [Holder("w", 0) for _ in range(6)]
    room = slots(holders, 2)
    for holder in holders:
        room.want(holder)
    assert [holder.asked for holder in holders] == [1, 1, 0, 0, 0, 0]
