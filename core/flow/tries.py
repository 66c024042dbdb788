"""The numbers under which code asks, the same for each of its tries."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token


class Tries:
    """The numbers under which one execute phase, or the work on one item of a map, asks: per request id, in order.

    Parallel nodes and maps do several of these at once, each in a task of its own: a count of the whole visit alone
    could not be turned back for one of them.
    """

    def __init__(self, owner: object, next_number: Callable[[str], int]) -> None:
        self.owner = owner
        self._next_number = next_number
        self._numbers: dict[str, list[int]] = {}
        self._used: dict[str, int] = {}

    def number(self, request_id: str) -> int:
        """The number of the next request with this id."""
        numbers = self._numbers.setdefault(request_id, [])
        place = self._used.get(request_id, 0)
        self._used[request_id] = place + 1
        if place == len(numbers):
            numbers.append(self._next_number(request_id))
        return numbers[place]

    def restart(self) -> None:
        """The next try asks from the beginning."""
        self._used.clear()


_tries: ContextVar[Tries | None] = ContextVar("tries", default=None)


def present_tries(owner: object) -> Tries | None:
    """The tries that the calling code belongs to, where they are those of that visit."""
    tries = _tries.get()
    return tries if tries is not None and tries.owner is owner else None


def begin_tries(tries: Tries) -> Token[Tries | None]:
    """From here on the calling task's requests belong to these tries."""
    return _tries.set(tries)


def end_tries(token: Token[Tries | None]) -> None:
    """They do no more."""
    _tries.reset(token)
