"""Takes secret values out of texts and JSON, in the forms in which they are usually written. Standard library only."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

MARK = "[secret]"
SHORTEST = 6
"""Characters of the shortest value that is looked for: a shorter one stands in harmless texts by chance."""
SHORTEST_LINE = 12
"""The same of one line of a value that has several: output is kept line by line."""


class Redactor:
    """Finds values as they are, URL-encoded, JSON-escaped, in hexadecimal and in base64, also as a part of more."""

    def __init__(self, values: Iterable[str]) -> None:
        forms = {form for value in values for form in forms_of(value)}
        # The longest first, so that of two values of which one begins the other nothing is left.
        ordered = sorted(forms, key=len, reverse=True)
        self._found = re.compile("|".join(re.escape(form) for form in ordered)) if ordered else None

    def text(self, text: str) -> str:
        """The text with every value replaced by a mark."""
        return self._found.sub(MARK, text) if self._found is not None else text

    def value(self, value: Any) -> Any:
        """The same of every text in a JSON value, keys too; the value itself is not changed."""
        if self._found is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.value(key): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value

    def holds(self, text: str) -> bool:
        """True where one of the values is in the text."""
        return self._found is not None and self._found.search(text) is not None

    def __repr__(self) -> str:
        return "Redactor(...)"


class JsonFinder:
    """Says whether the JSON text of something holds a value; `values` are by name. Fast: made for large texts."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._forms = [(form, name) for name, value in values.items() for form in _json_forms(value)]

    def find(self, data: bytes) -> str | None:
        """The name of a value that stands in the JSON text; None where there is none."""
        for form, name in self._forms:
            if form in data:
                return name
        return None

    def place(self, document: Any) -> list[str | int] | None:
        """The path to the first part of a JSON value that holds one, or the dict with the key; None for none."""
        if isinstance(document, dict):
            for key, item in document.items():
                if self._is_in(key):
                    return []
                if (below := self.place(item)) is not None:
                    return [key, *below]
        elif isinstance(document, list):
            for index, item in enumerate(document):
                if (below := self.place(item)) is not None:
                    return [index, *below]
        elif isinstance(document, str) and self._is_in(document):
            return []
        return None

    def _is_in(self, text: str) -> bool:
        return self.find(json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass")) is not None

    def __repr__(self) -> str:
        return "JsonFinder(...)"


def forms_of(value: str) -> set[str]:
    """Every form in which a value is looked for; none where it is too short to be told from harmless texts."""
    if len(value) < SHORTEST:
        return set()
    lines = [line.strip() for line in value.splitlines()]
    parts = [line for line in lines if len(line) >= SHORTEST_LINE and not line.startswith("-----")]
    return {form for part in (value, *(parts if len(lines) > 1 else ())) for form in _forms(part)}


def _json_forms(value: str) -> list[bytes]:
    """The forms as they stand in JSON texts."""
    escaped = {json.dumps(form, ensure_ascii=plain)[1:-1] for form in forms_of(value) for plain in (False, True)}
    return sorted(form.encode("utf-8", "surrogatepass") for form in escaped)


def _forms(value: str) -> Iterator[str]:
    raw = value.encode("utf-8", "surrogatepass")
    yield value
    for coded in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield coded
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), coded)
    for plain in (False, True):
        yield json.dumps(value, ensure_ascii=plain)[1:-1]
    # As Python shows it in messages of errors, and as others write JSON.
    yield repr(value)[1:-1]
    yield repr(raw)[2:-1]
    yield json.dumps(value)[1:-1].replace("/", "\\/")
    yield raw.hex()
    yield raw.hex().upper()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            # Three ways in which it may stand among other bytes; the characters that those share are left out.
            coded = encode(b"\0" * before + raw).decode().rstrip("=")
            end = len(coded) if (before + len(raw)) % 3 == 0 else -1
            part = coded[(0, 2, 3)[before] : end]
            if len(part) >= SHORTEST:
                yield part


# What a run process must not say ----------------------------------------------------------------------------------

_here: Redactor | None = None


def hide_here(values: Iterable[str]) -> None:
    """From now on `cleaned` takes these values out of what this process says; a run process has one run."""
    global _here
    _here = Redactor(values)


def cleaned(text: str) -> str:
    """The text without the values that are hidden in this process."""
    return text if _here is None else _here.text(text)
