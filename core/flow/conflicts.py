"""Finds out where two nodes of a dag without a path between them change one place in the state."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from core.flow.reducers import APPEND, LAST, Path, Touch

TOGETHER = frozenset({APPEND, LAST, "dict"})
"""Ways of changing a place that go together with the same way."""


@dataclass(slots=True)
class _Place:
    """One place in the state: who touched it, by the way, and who touched something below it; sets of ranks."""

    touched: dict[str, int] = field(default_factory=dict)
    below: int = 0
    inner: dict[str | int, _Place] = field(default_factory=dict)


class Conflicts:
    """Remembers which places the nodes have touched. Nodes are bits, as in `core.flow.dag_shape`."""

    def __init__(self) -> None:
        self._top = _Place()

    def find(self, touches: Iterable[Touch], related: int) -> tuple[Path, int] | None:
        """The first place where a touch doesn't go together with what others did, with the bits of those others.

        `related` are the nodes that can't be in conflict: the ancestors and the node itself.
        """
        for touch in touches:
            found = self._find(touch, ~related)
            if found is not None:
                return found
        return None

    def note(self, touches: Iterable[Touch], bit: int) -> None:
        """Remember what a node touched."""
        for path, how in touches:
            place = self._top
            for part in path:
                place.below |= bit
                place = place.inner.setdefault(part, _Place())
            place.touched[how] = place.touched.get(how, 0) | bit

    def _find(self, touch: Touch, strangers: int) -> tuple[Path, int] | None:
        place = self._top
        for depth, part in enumerate(touch.path):
            # To have made sure that there is a dict is no change of what is in it.
            others = _others(place, "dict") & strangers
            if others:
                return touch.path[:depth], others
            if part not in place.inner:
                return None
            place = place.inner[part]
        others = _others(place, touch.how if touch.how in TOGETHER else None) & strangers
        if others:
            return touch.path, others
        if touch.how != "dict" and place.below & strangers:
            return _below(place, touch.path, strangers)
        return None


def _others(place: _Place, going_together: str | None) -> int:
    """Who touched the place in another way."""
    mask = 0
    for how, bits in place.touched.items():
        if how != going_together:
            mask |= bits
    return mask


def _below(place: _Place, path: Path, strangers: int) -> tuple[Path, int]:
    """The nearest place below that a stranger touched."""
    waiting = [(place, path)]
    for place, path in waiting:
        for part, inner in place.inner.items():
            bits = _others(inner, None) & strangers
            if bits:
                return (*path, part), bits
            if inner.below & strangers:
                waiting.append((inner, (*path, part)))
    raise AssertionError("what is noted below stands below")
