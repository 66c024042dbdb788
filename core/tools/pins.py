"""`tools.json` of a workflow: which tools it uses, and for each, where wanted, provider, app, version and account."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Pin:
    """One tool of a workflow; what is empty is found when it is called."""

    name: str
    provider: str = ""
    app: str = ""
    version: str = ""
    account: str = ""
    """The id of the connection."""

    @property
    def service(self) -> str:
        """The app that it is, by the provider's name for it."""
        return (self.app or self.name).lower()


def read_pins(content: bytes | None) -> dict[str, Pin]:
    """The tools of a tools.json by name; what is none is left out (linting tells of it).

    The file is a list of names or of objects with a name, or an object by name; either may stand below "tools".
    """
    try:
        document: Any = json.loads(content or b"[]")
    except ValueError:
        return {}
    if isinstance(document, dict) and isinstance(document.get("tools"), list | dict):
        document = document["tools"]
    entries: list[Any] = document if isinstance(document, list) else []
    if isinstance(document, dict):
        entries = [{**(entry if isinstance(entry, dict) else {}), "name": name} for name, entry in document.items()]
    pins = {}
    for entry in entries:
        given: Mapping[str, Any] = entry if isinstance(entry, dict) else {"name": entry}
        texts = {key: value.strip() for key, value in given.items() if isinstance(value, str)}
        if texts.get("name"):
            known = {key: texts.get(key, "") for key in ("provider", "app", "version", "account")}
            pins[texts["name"]] = Pin(texts["name"], **known)
    return pins


def tool_names(content: bytes | None) -> list[str]:
    """The names alone."""
    return list(read_pins(content))
