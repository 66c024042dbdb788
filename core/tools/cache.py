"""What providers said of apps and actions, kept in the user's cache folder with the time at which they said it."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from core.places import cache_folder
from core.tools.documents import read_json
from core.tools.provider import Action, App, ConnectField, ConnectScheme

FORMAT = 1
ONE = "app "
"""How a question about one app begins."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept, and since when, in seconds since 1970."""

    apps: tuple[App, ...]
    actions: tuple[Action, ...]
    at: float


class SchemaCache:
    """Documents by provider and question. It can be deleted at any time; what can't be read counts as missing."""

    def __init__(self, folder: Path | None = None, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._now = now

    def get(self, provider: str, question: str) -> Kept | None:
        """What the provider last said to that question; it may block a little."""
        try:
            document: Any = read_json(self._file(provider, question).read_bytes())
            if document["format"] != FORMAT or document["question"] != question:
                return None
            apps = tuple(map(_app, document["apps"]))
            if question.startswith(ONE) and len(apps) != 1:
                return None
            return Kept(apps, tuple(Action(**one) for one in document["actions"]), float(document["at"]))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def put(self, provider: str, question: str, apps: Sequence[App] = (), actions: Sequence[Action] = ()) -> None:
        """Keep what it says now; where the folder can't be written, nothing is kept."""
        document = {
            "format": FORMAT,
            "question": question,
            "at": self._now(),
            "apps": [asdict(one) for one in apps],
            "actions": [asdict(one) for one in actions],
        }
        file = self._file(provider, question)
        try:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            part = file.with_suffix(f".{os.getpid()}.part")
            part.write_text(json.dumps(document), encoding="utf-8")
            part.replace(file)
        except OSError:
            return

    def age(self, kept: Kept) -> float:
        """Seconds since it was said."""
        return max(0.0, self._now() - kept.at)

    def fresh(self, kept: Kept, seconds: float) -> bool:
        """True where it was said less than so many seconds ago; not where the clock has been put back since."""
        return 0 <= self._now() - kept.at < seconds

    def _file(self, provider: str, question: str) -> Path:
        folder = self._folder if self._folder is not None else cache_folder() / "tools"
        return folder / provider / f"{hashlib.sha256(question.encode()).hexdigest()[:24]}.json"


def _app(document: Mapping[str, Any]) -> App:
    schemes = tuple(
        ConnectScheme(
            one["name"],
            one["title"],
            one["managed"],
            tuple(ConnectField(**field) for field in one["fields"]),
            tuple(ConnectField(**field) for field in one["setup_fields"]),
        )
        for one in document["schemes"]
    )
    return App(**{**document, "categories": tuple(document["categories"]), "schemes": schemes})
