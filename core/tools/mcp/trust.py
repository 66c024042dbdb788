"""Which servers a person trusts, and what these offered then: kept in the user's data folder, never in a workspace."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.places import data_folder
from core.tools.documents import read_json
from core.tools.provider import Action


@dataclass(frozen=True, slots=True)
class Trusted:
    """What was trusted: the tools by name with a fingerprint of all that they say."""

    tools: dict[str, str]
    at: float


class Trust:
    """Reads and writes what is trusted; every method may block a little."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder if folder is not None else data_folder() / "mcp"

    def of(self, config_hash: str) -> Trusted | None:
        """What was trusted of a server with this configuration."""
        try:
            document: Any = read_json((self._folder / f"{config_hash}.json").read_bytes())
            return Trusted({str(name): str(value) for name, value in document["tools"].items()}, float(document["at"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def trust(self, config_hash: str, name: str, actions: Iterable[Action]) -> None:
        """Keep that the server may be used, with these tools."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self._folder / f"{config_hash}.json"
        text = json.dumps({"name": name, "at": time.time(), "tools": fingerprints(actions)}, indent=1)
        part = file.with_suffix(f".{os.getpid()}.part")
        part.write_text(text, encoding="utf-8")
        part.replace(file)

    def forget(self, config_hash: str) -> None:
        """Trust it no more."""
        with contextlib.suppress(FileNotFoundError):
            (self._folder / f"{config_hash}.json").unlink()


def fingerprints(actions: Iterable[Action]) -> dict[str, str]:
    """Tools by name with a fingerprint of what they say: a description can tell a model to do something else."""
    return {
        one.id: hashlib.sha256(
            json.dumps([one.title, one.description, one.inputs, one.outputs, one.effects], sort_keys=True).encode()
        ).hexdigest()
        for one in actions
    }


def changes(trusted: Trusted, actions: Iterable[Action]) -> list[str]:
    """What is not as it was trusted, in words; a tool that is gone harms nobody."""
    now = fingerprints(actions)
    new = [f"{name} is new" for name in now if name not in trusted.tools]
    return new + [f"{name} says something else" for name in now if trusted.tools.get(name, now[name]) != now[name]]
