"""What a workflow is called that a conversation makes: as the person named it, else after what it is for. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

NAME_WORDS = 3
NAME_LENGTH = 40
_SMALL_WORDS = frozenset(
    word
    for words in (
        "a an and are as at be build by can could create do each every for from get give has have i if in into is it",
        "its let like make me my need needs new of on one or our out over please should so some something somebody",
        "someone than that the their them then there these they this those to up us want wants we what when where",
        "which who whoever will with workflow would write you your called named",
    )
    for word in words.split()
)
_WORD = r"(?P<name>[A-Za-z][A-Za-z0-9_-]*)"
_QUOTE = "[\"'`\N{LEFT DOUBLE QUOTATION MARK}\N{RIGHT DOUBLE QUOTATION MARK}]"
_NAMED = (
    re.compile(rf"\b(?:called|named|call it|name it)\s+{_QUOTE}?{_WORD}", re.IGNORECASE),
    re.compile(rf"\bworkflow\s+{_QUOTE}{_WORD}{_QUOTE}", re.IGNORECASE),
    re.compile(r"\b(?P<name>[A-Za-z]\w*_\w+)\s+workflow\b", re.IGNORECASE),
    re.compile(rf"\bworkflow\s+{_WORD}[,:]?\s+(?:that|which|to|for)\b", re.IGNORECASE),
)


def name_given(text: str) -> str:
    """The name that a person gives a workflow in their words, or "": `a workflow greeter that ...`, `called "x"`."""
    for pattern in _NAMED:
        for found in pattern.finditer(text):
            name: str = found["name"][:NAME_LENGTH].strip("-_")
            if name and name.lower() not in _SMALL_WORDS:
                return name
    return ""


def name_after(text: str) -> str:
    """A name made of the first words that say something."""
    words = [word for word in re.findall(r"[a-z0-9]+", _plain(text)) if word not in _SMALL_WORDS]
    name = "_".join(words[:NAME_WORDS])[:NAME_LENGTH].strip("_")
    return name if name[:1].isalpha() else f"workflow_{name}".rstrip("_")


def _plain(text: str) -> str:
    """In small letters, without accents: folders are typed."""
    return "".join(mark for mark in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(mark))


def free_name(name: str, taken: Collection[str]) -> str:
    """The name, with a number after it where there is such a workflow already."""
    number, free = 2, name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free
