"""Who may run: approvals by real path and content hash, kept in the user's data folder and never in a workspace."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.definition.examples import example_hashes
from core.errors import EnvironmentProblem
from core.places import data_folder


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a version may run; `reason` is own, example, approved, consent, or why not: never, changed."""

    approved: bool
    reason: str
    previous: str | None


class Approvals:
    """The user's approvals for one workspace; its methods read and write small files, so call them in a thread.

    With `consent` every version may run: in the Python API, naming the workflows folder is consent.
    """

    def __init__(self, root: Path, *, consent: bool = False) -> None:
        self._root = root
        self._consent = consent
        self._folder = data_folder() / "approvals"
        self._examples = frozenset(example_hashes().values())
        self._writing = threading.Lock()

    def verdict(self, workflow_folder: Path, version: str, *, foreign: bool = False) -> Verdict:
        """Say whether this version of the workflow in that folder may run.

        A foreign one came with an imported run: trust in what is written here says nothing of it.
        """
        versions = self._read(workflow_folder).get("versions", [])
        previous = versions[-1] if versions else None
        if self._consent and not foreign:
            return Verdict(True, "consent", previous)
        if version in self._examples:
            return Verdict(True, "example", previous)
        if not foreign and self._read(self._root).get("trust") == "own":
            return Verdict(True, "own", previous)
        if version in versions:
            return Verdict(True, "approved", previous)
        return Verdict(False, "changed" if versions else "never", previous)

    def approve(self, workflow_folder: Path, version: str) -> None:
        """Let this version of the workflow in that folder run from now on."""
        with self._writing:
            document = self._read(workflow_folder)
            versions = [known for known in document.get("versions", []) if known != version]
            document["versions"] = [*versions, version]
            self._write(workflow_folder, document)

    def trust_own(self) -> None:
        """Approve every version in this workspace, now and later: "trust my edits here"."""
        with self._writing:
            document = self._read(self._root)
            if document.get("trust") != "own":
                document["trust"] = "own"
                self._write(self._root, document)

    def _file(self, path: Path) -> Path:
        return self._folder / (hashlib.sha256(os.fsencode(path.resolve())).hexdigest() + ".json")

    def _read(self, path: Path) -> dict[str, Any]:
        """The document of one folder; one that can't be read or that is not ours approves nothing."""
        file = self._file(path)
        try:
            with open(file, "rb") as stream:
                if os.fstat(stream.fileno()).st_uid != os.getuid():
                    return {}
                document = json.load(stream)
        except (OSError, ValueError, RecursionError):
            return {}
        if not isinstance(document, dict) or document.get("path") != str(path.resolve()):
            return {}
        versions = document.get("versions", [])
        if not isinstance(versions, list) or not all(isinstance(version, str) for version in versions):
            return {}
        return document

    def _write(self, path: Path, document: dict[str, Any]) -> None:
        document["path"] = str(path.resolve())
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, temporary = tempfile.mkstemp(dir=self._folder)
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as stream:
                    json.dump(document, stream, indent=1)
                    stream.flush()
                    os.fsync(stream.fileno())
                os.replace(temporary, self._file(path))
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
                raise
        except OSError as error:
            raise EnvironmentProblem(
                "The approval could not be kept.",
                cause=f"{self._folder}: {error.strerror or error}",
                next_step="Make that folder writable, or name another place with XDG_DATA_HOME.",
            ) from error
