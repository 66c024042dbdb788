"""Takes secret values out of texts and JSON, in the forms in which they are usually written. Standard library only."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote, quote_plus

MARK = "[secret]"
SHORTEST = 6
"""Characters of the shortest value that is looked for: a shorter one stands in harmless texts by chance."""


class Redactor:
    """Finds values as they are, URL-encoded, JSON-escaped, in hexadecimal and in base64, also as a part of more."""

    def __init__(self, values: Iterable[str]) -> None:
        forms = {form for value in values if len(value) >= SHORTEST for form in _forms(value)}
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


def _forms(value: str) -> Iterator[str]:
    raw = value.encode("utf-8", "surrogatepass")
    yield value
    yield quote(raw, safe="")
    yield quote(raw)
    yield quote_plus(raw)
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield raw.hex()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            # Three ways in which it may stand among other bytes; the characters that those share are left out.
            coded = encode(b"\0" * before + raw).decode().rstrip("=")
            end = len(coded) if (before + len(raw)) % 3 == 0 else -1
            part = coded[(0, 2, 3)[before] : end]
            if len(part) >= SHORTEST:
                yield part
