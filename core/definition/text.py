"""Text that came from somewhere else, made fit to be shown."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_CLOSEST_AMONG = 500
"""More names than this are not searched for a similar one: that takes too long to be a courtesy."""


def visible(text: str, *, keep: str = "") -> str:
    """The text with each character that a terminal acts on or hides written as `<U+001B>`; `keep` lists exceptions.

    Those are controls, bidi and zero-width characters, blanks other than the space, lone surrogates, and whatever
    Unicode has not assigned.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in keep else f"<U+{ord(character):04X}>" for character in text
    )


def shortened(text: str, limit: int = 300) -> str:
    """The text on one line, visible, and cut to `limit` characters."""
    cut = visible(text[: limit + 1])
    return cut if len(cut) <= limit else cut[: limit - 1] + "…"


def closest(name: str, options: Iterable[str]) -> str:
    """The option that is most like a name, or the empty text."""
    candidates = list(options)
    if len(candidates) > _CLOSEST_AMONG or len(name) > 200:
        return ""
    by_lower_case = {option.lower(): option for option in candidates}
    found = difflib.get_close_matches(name.lower(), by_lower_case, n=1, cutoff=0.6)
    return by_lower_case[found[0]] if found else ""


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """A hint that names the closest option, or the empty text."""
    found = closest(name, options)
    return f"Did you mean {found!r}?" if found else ""
