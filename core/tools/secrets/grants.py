"""Which workflow may have which secret: by the real path of its folder, in the user's data folder, like approvals."""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.places import data_folder
from core.tools.secrets.names import check_name
from core.tools.secrets.private import read_private, unreadable, write_private, writing


@dataclass(frozen=True, slots=True)
class Grant:
    """One secret that one workflow may have; `folder` is where the workflow is."""

    secret: str
    folder: Path
    granted_at: float

    @property
    def workflow(self) -> str:
        """The workflow's name."""
        return self.folder.name


class Grants:
    """The grants of this user; every method reads or writes small files, so call them in a thread."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder if folder is not None else data_folder() / "grants"

    def of(self, workflow_folder: Path) -> list[Grant]:
        """What the workflow in that folder may have, by name; raises SecretsUnreadable."""
        return self._grants(self._read(self._file(workflow_folder)), workflow_folder.resolve())

    def grant(self, workflow_folder: Path, secret: str) -> bool:
        """Let that workflow have the secret; False where it may already."""
        check_name(secret)
        with writing(self._folder):
            secrets = self._read(self._file(workflow_folder))
            if secret in secrets:
                return False
            self._write(workflow_folder, {**secrets, secret: time.time()})
            return True

    def revoke(self, workflow_folder: Path, secret: str) -> bool:
        """Take the secret from that workflow; False where it had none."""
        with writing(self._folder):
            secrets = self._read(self._file(workflow_folder))
            if secrets.pop(secret, None) is None:
                return False
            self._write(workflow_folder, secrets)
            return True

    def all(self) -> list[Grant]:
        """Every grant, by secret and folder; raises SecretsUnreadable."""
        try:
            files = sorted(self._folder.glob("*.json"))
        except OSError as error:
            raise unreadable(self._folder, error.strerror or "It can't be read.", "Make it readable.") from error
        grants = []
        for file in files:
            document = self._document(file)
            grants += self._grants(document["secrets"], Path(document["path"])) if document is not None else []
        return sorted(grants, key=lambda grant: (grant.secret, grant.folder))

    def _grants(self, secrets: dict[str, float], folder: Path) -> list[Grant]:
        return [Grant(secret, folder, at) for secret, at in sorted(secrets.items())]

    def _file(self, folder: Path) -> Path:
        return self._folder / (hashlib.sha256(os.fsencode(folder.resolve())).hexdigest() + ".json")

    def _read(self, file: Path) -> dict[str, float]:
        document = self._document(file)
        secrets: dict[str, float] = {} if document is None else document["secrets"]
        return secrets

    def _document(self, file: Path) -> dict[str, Any] | None:
        content = read_private(file)
        if content is None:
            return None
        try:
            document = json.loads(content)
            path, secrets = document["path"], document["secrets"]
            known = {str(secret): float(at) for secret, at in secrets.items()}
            if self._file(Path(path)) != file:
                raise ValueError("it is about another folder")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
            raise unreadable(file, "It is damaged.", "Remove it, and grant anew: rondo secrets grant") from error
        return {"path": path, "secrets": known}

    def _write(self, folder: Path, secrets: dict[str, float]) -> None:
        document = {"path": str(folder.resolve()), "secrets": secrets}
        write_private(self._file(folder), json.dumps(document, indent=1).encode())
