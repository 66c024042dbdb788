"""A doubled key and the same key alone: each does its own thing, whatever comes between."""

from __future__ import annotations

from collections.abc import Callable

from tui.keys import DoubledKeys


class Clock:
    """Timers that ring when the test says so."""

    def __init__(self) -> None:
        self.due: Callable[[], None] | None = None

    def call_later_in(self, seconds: float, callback: Callable[[], None]) -> Callable[[], None]:
        self.due = callback

        def cancel() -> None:
            self.due = None

        return cancel

    def ring(self) -> None:
        if self.due is not None:
            self.due()


def press(keys: DoubledKeys, done: list[str], key: str, *, alone: bool = True) -> None:
    keys.press(key, doubled=lambda: done.append(key * 2), alone=(lambda: done.append(key)) if alone else None)


def test_two_presses_are_the_doubled_key() -> None:
    done: list[str] = []
    clock = Clock()
    keys = DoubledKeys(clock)
    press(keys, done, "g")
    assert done == []
    press(keys, done, "g")
    clock.ring()
    assert done == ["gg"]


def test_a_lone_press_acts_when_the_time_is_over() -> None:
    done: list[str] = []
    clock = Clock()
    keys = DoubledKeys(clock)
    press(keys, done, "g")
    clock.ring()
    assert done == ["g"]
    clock.ring()
    assert done == ["g"]


def test_another_key_settles_the_lone_one_first() -> None:
    done: list[str] = []
    keys = DoubledKeys(Clock())
    press(keys, done, "g")
    keys.settle()
    assert done == ["g"]
    assert keys.pending == ""


def test_a_key_that_means_nothing_alone_does_nothing_alone() -> None:
    done: list[str] = []
    clock = Clock()
    keys = DoubledKeys(clock)
    press(keys, done, "g", alone=False)
    clock.ring()
    assert done == []


def test_a_third_press_begins_anew() -> None:
    done: list[str] = []
    clock = Clock()
    keys = DoubledKeys(clock)
    for _ in range(3):
        press(keys, done, "g")
    clock.ring()
    assert done == ["gg", "g"]
