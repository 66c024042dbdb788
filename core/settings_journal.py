"""What was changed in settings files, for undo and redo: shared by the app and the command line, in one small file."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from core.errors import RondoError
from core.places import state_folder
from core.settings_edit import SettingEdit, put_back, reverse

KEPT = 50


class NothingToUndo(RondoError):
    """No edit of a settings file is known that could be taken back, or done again."""

    exit_code = 2


class SettingsJournal:
    """The last edits, oldest first, and those that were taken back. A journal that can't be read is an empty one."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or state_folder() / "settings_edits.json"

    def note(self, edit: SettingEdit) -> None:
        """Remember an edit; what was taken back before it can't be done again any more."""
        done, _ = self._load()
        self._save([*done, edit][-KEPT:], [])

    def undo(self) -> SettingEdit:
        """Take the last edit back and return it; raises NothingToUndo and SettingsChanged."""
        done, undone = self._load()
        if not done:
            raise NothingToUndo("No change of a setting is left to take back.", next_step="See: rondo settings")
        put_back(done[-1])
        self._save(done[:-1], [*undone, done[-1]])
        return done[-1]

    def redo(self) -> SettingEdit:
        """Do again what was taken back last, and return it."""
        done, undone = self._load()
        if not undone:
            raise NothingToUndo("No change of a setting was taken back.", next_step="See: rondo settings")
        put_back(reverse(undone[-1]))
        self._save([*done, undone[-1]], undone[:-1])
        return undone[-1]

    def _load(self) -> tuple[list[SettingEdit], list[SettingEdit]]:
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
            return (
                [SettingEdit(*entry) for entry in document["done"]],
                [SettingEdit(*entry) for entry in document["undone"]],
            )
        except (OSError, ValueError, KeyError, TypeError):
            return [], []

    def _save(self, done: list[SettingEdit], undone: list[SettingEdit]) -> None:
        """Write the journal; quiet where it can't be written, since only the way back is lost then."""
        document = {name: [_row(edit) for edit in edits] for name, edits in (("done", done), ("undone", undone))}
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            part = self._path.with_name(f"{self._path.name}.{os.getpid()}")
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
                json.dump(document, file)
            os.replace(part, self._path)


def _row(edit: SettingEdit) -> list[str | None]:
    return [edit.file, edit.key, edit.before, edit.after]
