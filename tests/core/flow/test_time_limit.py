"""The countdown of a time limit, by a clock that the test turns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from core.flow.time_limit import Countdown


class Alarm:
    def __init__(self, clock: HandClock, due: float, callback: Callable[[], Any]) -> None:
        self.clock, self.due, self.callback = clock, due, callback

    def cancel(self) -> None:
        self.clock.alarms.discard(self)


class HandClock:
    """A clock that stands until it is turned."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.alarms: set[Alarm] = set()

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], Any], /) -> Alarm:
        alarm = Alarm(self, self.now + delay, callback)
        self.alarms.add(alarm)
        return alarm

    def turn(self, seconds: float) -> None:
        end = self.now + seconds
        while due := [alarm for alarm in self.alarms if alarm.due <= end]:
            first = min(due, key=lambda alarm: alarm.due)
            self.now = max(self.now, first.due)
            self.alarms.discard(first)
            first.callback()
        self.now = end


ACTS = st.lists(st.one_of(st.integers(1, 5), st.sampled_from(["hold", "release"])), max_size=30)


@given(limit=st.integers(1, 20), acts=ACTS)
def test_a_countdown_rings_once_when_the_time_outside_of_holds_is_over(limit: int, acts: list[Any]) -> None:
    clock = HandClock()
    rung: list[float] = []
    countdown = Countdown(clock, limit, lambda: rung.append(clock.now))
    passed, holds = 0, 0
    for act in acts:
        if act == "hold":
            holds += 1
            countdown.hold()
        elif act == "release":
            if holds:
                holds -= 1
                countdown.release()
        else:
            clock.turn(act)
            passed += act if not holds else 0
        assert countdown.over == (passed >= limit)
        assert len(rung) == (1 if passed >= limit else 0)


def test_one_that_has_ended_never_rings() -> None:
    clock = HandClock()
    rung: list[int] = []
    countdown = Countdown(clock, 5, lambda: rung.append(1))
    countdown.hold()
    countdown.end()
    countdown.release()
    clock.turn(100)
    assert rung == []
    assert clock.alarms == set()
