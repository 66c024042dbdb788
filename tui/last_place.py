"""Where a person was when the line was lost: the next start of the app opens there, with what they had typed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from core.places import Workspace, state_folder
from tui.navigation import Place


@dataclass(frozen=True, slots=True)
class Kept:
    """A place, and answers that were typed and not sent."""

    place: Place
    drafts: dict[str, Any] = field(default_factory=dict)


def file_of(workspace: Workspace) -> Path:
    """Where the place of a workspace is kept, for the person alone."""
    name = hashlib.sha256(os.fsencode(workspace.root)).hexdigest()[:16]
    return state_folder() / "places" / f"{name}.json"


def keep(workspace: Workspace, kept: Kept) -> None:
    """Write it, at once: the line is gone, and so will this process be. Quiet where it can't be written."""
    drafts = {name: value for name, value in kept.drafts.items() if _is_json(value)}
    document = {"place": asdict(kept.place), "drafts": drafts}
    path = file_of(workspace)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(document, file)


def take(workspace: Workspace) -> Kept | None:
    """Read it, once; None where the app was left by its own door. Blocking."""
    path = file_of(workspace)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        path.unlink()
        place, drafts = document["place"], document["drafts"]
        if not isinstance(drafts, dict) or not all(isinstance(value, str) for value in place.values()):
            return None
        return Kept(Place(**place), drafts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True
