"""Settings and keymap are looked at behind the first paint: what is wrong in them is said, and the rest holds."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from textual.app import App
from textual.message import Message

from core.places import Workspace
from tui.actions import registry
from tui.first_reading import FirstRead


class FilesChecked(Message, bubble=False):
    """What is wrong in the settings files and the keymap, a line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__()
        self.problems = problems


class ChecksFiles(App[int]):
    """The part of the app that looks at what a person wrote for it."""

    workspace: Workspace
    first: FirstRead

    def say(self, text: str, kind: str = "info") -> None:
        """Show a few lines."""
        raise NotImplementedError

    async def check_files(self) -> None:
        """Read settings and keymap whole, and say what is wrong."""
        problems = await asyncio.to_thread(settings_problems, self.workspace)
        if self.first.late:
            problems.append(
                "The disk was slow: keys and theme of yours were not read in time\nThey hold from the next start on."
            )
        elif registry.wanted or await asyncio.to_thread(_has_keymap):
            # The screens are imported for it, which only those wait for who have a keymap.
            problems += await asyncio.to_thread(keymap_problems)
        if problems:
            self.post_message(FilesChecked(problems))

    def on_files_checked(self, message: FilesChecked) -> None:
        first, more = message.problems[0], len(message.problems) - 1
        rest = f"\n{more} more. rondo settings and rondo keys show all" if more else ""
        self.say(f"{first}{rest}", "problem")


def settings_problems(workspace: Workspace) -> list[str]:
    """What is wrong in the settings files, with file and line; blocking."""
    from core.settings import read_settings

    return [
        f"{problem.file}:{problem.line}: {problem.message}\n{problem.hint}"
        for problem in read_settings(workspace).problems
    ]


def keymap_problems() -> list[str]:
    """Take what can't hold out of the keys, and say why; blocking."""
    from tui import views
    from tui.keymap import keymap_file, read_keymap, settle

    views.import_all()
    keymap = read_keymap(keymap_file())
    found = settle(keymap, registry, views.kinds_of_views())
    return [f"{keymap.place(problem)}: {problem.message}\n{problem.hint}" for problem in found]


def _has_keymap() -> bool:
    from tui.keymap import keymap_file

    return keymap_file().exists()
