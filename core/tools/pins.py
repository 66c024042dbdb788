"""`tools.json` of a workflow: which tools it uses, and for each, where wanted, provider, app, version and account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.tools.documents import read_json


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
        document: Any = read_json(content or b"[]")
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


def changed(document: Any, name: str, fields: Mapping[str, str] | None) -> Any:
    """The document of a tools.json with one tool added or changed, in the form that it has; None takes the tool out.

    A field that is empty is taken out of the entry; what is not named stays as it is.
    """
    if isinstance(document, dict) and isinstance(document.get("tools"), list | dict):
        return {**document, "tools": changed(document["tools"], name, fields)}
    if isinstance(document, dict):
        others = {key: entry for key, entry in document.items() if fields is not None or key != name}
        return others if fields is None else {**others, name: _entry(document.get(name), fields)}
    entries = list(document) if isinstance(document, list) else []
    place = next((at for at, entry in enumerate(entries) if _name_of(entry) == name), None)
    if fields is None:
        return entries if place is None else entries[:place] + entries[place + 1 :]
    if place is None:
        entries.append(_named(name, _entry({}, fields)))
    else:
        entries[place] = _named(name, _entry(entries[place], fields))
    return entries


def _name_of(entry: Any) -> str:
    name = entry.get("name") if isinstance(entry, dict) else entry
    return name.strip() if isinstance(name, str) else ""


def _entry(entry: Any, fields: Mapping[str, str]) -> dict[str, Any]:
    known = {**(entry if isinstance(entry, dict) else {}), **fields}
    return {key: value for key, value in known.items() if key not in fields or value}


def _named(name: str, entry: Mapping[str, Any]) -> Any:
    """An entry of a list: the name alone where nothing else is said."""
    others = {key: value for key, value in entry.items() if key != "name"}
    return {"name": name, **others} if others else name


def tool_names(content: bytes | None) -> list[str]:
    """The names alone."""
    return list(read_pins(content))
