"""What a setting may be: a number between bounds, a text of some form, one of several words, or a switch.

Each is a field of a frozen dataclass whose metadata say the rest; `refusal` says what is wrong with a value.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import re
from dataclasses import dataclass, field
from typing import Any, Protocol

Value = int | float | str | bool


class Kind(Protocol):
    """What values a setting takes."""

    def refusal(self, value: Any) -> str:
        """What a value must be, where it is something else; "" where it fits."""
        ...


@dataclass(frozen=True, slots=True)
class NumberKind:
    """A number between two bounds, whole or not."""

    whole: bool
    least: float
    most: float

    def refusal(self, value: Any) -> str:
        kinds = (int,) if self.whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value):
            return f"must be a {'whole number' if self.whole else 'number'}"
        if not self.least <= value <= self.most:
            return f"must be between {self.least} and {self.most}"
        return ""


@dataclass(frozen=True, slots=True)
class TextKind:
    """A text of a form, which `must` says in words; "" fits always. One that may be `private` is never repeated."""

    form: str = ".*"
    must: str = "must be a text"
    private: bool = False
    most: int = 500

    def refusal(self, value: Any) -> str:
        if not isinstance(value, str):
            return "must be a text"
        if len(value) > self.most:
            return f"must have at most {self.most} characters"
        return "" if not value or re.fullmatch(self.form, value) else self.must


@dataclass(frozen=True, slots=True)
class ChoiceKind:
    """One of several words."""

    words: tuple[str, ...]

    def refusal(self, value: Any) -> str:
        if isinstance(value, str) and value in self.words:
            return ""
        return f"must be one of {', '.join(word or repr(word) for word in self.words)}"


@dataclass(frozen=True, slots=True)
class SwitchKind:
    """true or false."""

    def refusal(self, value: Any) -> str:
        return "" if isinstance(value, bool) else "must be true or false"


def number(default: float, text: str, *, least: float = 0, most: float = 1_000_000_000) -> Any:
    """A number with its bounds and the sentence that explains it; it is whole where its default is."""
    return _field(default, text, NumberKind(isinstance(default, int), least, most))


def words(default: str, text: str, form: str = ".*", must: str = "must be a text", *, private: bool = False) -> Any:
    """A text with its form; `private` where somebody may write a secret there by mistake."""
    return _field(default, text, TextKind(form, must, private))


def choice(default: str, text: str, *among: str) -> Any:
    """One of several words."""
    return _field(default, text, ChoiceKind(among))


def switch(default: bool, text: str) -> Any:
    """true or false."""
    return _field(default, text, SwitchKind())


def _field(default: Value, text: str, kind: Kind) -> Any:
    return field(default=default, metadata={"text": text, "kind": kind})


def refusal(value: Any, entry: dataclasses.Field[Any]) -> str:
    """What a value must be, with what it is, where it does not fit the setting; "" where it does."""
    kind: Kind = entry.metadata["kind"]
    must = kind.refusal(value)
    if not must:
        return ""
    if isinstance(kind, TextKind) and kind.private and isinstance(value, str):
        return f"{must}; got a text of {len(value)} characters, which is not shown"
    return f"{must}; got {value!r}"


def meant(value: Any, entry: dataclasses.Field[Any]) -> str:
    """The word that somebody may have meant, as a question; "" where there is none."""
    kind = entry.metadata["kind"]
    if not isinstance(kind, ChoiceKind) or not isinstance(value, str):
        return ""
    close = difflib.get_close_matches(value, [word for word in kind.words if word], n=1)
    return f"Did you mean {close[0]}? " if close else ""


def default_of(entry: dataclasses.Field[Any]) -> Value:
    """The value of a setting that no file sets."""
    default: Any = entry.default
    value: Value = default
    return value


def value_text(value: Value) -> str:
    """A value as a person reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value or "-"
    return f"{value:g}"
