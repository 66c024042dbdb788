"""Which lines of a list a typed filter keeps, and where it matched."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from textual.fuzzy import FuzzySearch

Item = TypeVar("Item")


def keep(items: Iterable[Item], text: str, words: Callable[[Item], str]) -> list[Item]:
    """The items whose words match; best first. `!text` keeps those that don't contain it, in their order."""
    everything = list(items)
    query = text.strip()
    if not query:
        return everything
    if query.startswith("!"):
        without = query[1:].strip().lower()
        return [item for item in everything if not without or without not in words(item).lower()]
    search = FuzzySearch()
    scored = [(search.match(query, words(item))[0], item) for item in everything]
    return [item for score, item in sorted(scored, key=lambda pair: -pair[0]) if score > 0]


def matched(text: str, query: str) -> frozenset[int]:
    """The characters of a text that the filter matched."""
    query = query.strip()
    if not query or query.startswith("!"):
        return frozenset()
    return frozenset(FuzzySearch().match(query, text)[1])
