"""What the first paint needs of the disk: keys and theme. Read in a thread while Textual is imported, so that nobody
waits for it; a disk that is slower than that is not waited for either, and says so later."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

from core.places import Workspace, settings_files

LATE_SECONDS = 0.1
"""How long a slow disk may hold up the first paint."""


@dataclass(frozen=True, slots=True)
class FirstRead:
    """Keys by action, and the theme that a file names; `late` where the disk did not answer in time."""

    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    theme: str = ""
    late: bool = False


class FirstReading:
    """Reads, from its making on."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._read = FirstRead()
        self._thread = threading.Thread(target=self._work, name="first reading", daemon=True)
        self._thread.start()

    def result(self) -> FirstRead:
        """What was read by now."""
        self._thread.join(LATE_SECONDS)
        return FirstRead(late=True) if self._thread.is_alive() else self._read

    def _work(self) -> None:
        theme = ""
        for path in settings_files(self._workspace):
            theme = _theme_of(path) or theme
        self._read = FirstRead(_wanted_keys(), theme)


def _wanted_keys() -> Mapping[str, tuple[str, ...]]:
    from core.places import config_folder

    if not (config_folder() / "keys.toml").exists():
        return {}
    from tui.keymap import keymap_file, read_keymap

    return read_keymap(keymap_file()).wanted


def _theme_of(path: object) -> str:
    """The theme that a settings file names; what is wrong in the file is said later, by who reads all of it."""
    try:
        with open(str(path), "rb") as file:
            text = file.read(1024 * 1024).decode()
    except (OSError, UnicodeDecodeError):
        return ""
    if "theme" not in text:
        return ""
    import tomllib

    try:
        section = tomllib.loads(text).get("app")
    except (tomllib.TOMLDecodeError, RecursionError):
        return ""
    theme = section.get("theme") if isinstance(section, dict) else None
    return theme if isinstance(theme, str) else ""


def theme_by_terminal(environment: Mapping[str, str]) -> str:
    """The theme where nobody chose one: the terminal's own colours where it has but sixteen."""
    if environment.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return "rondo"
    # The same rule by which the colours are written: the end of the terminal's name says how many there are.
    colours = environment.get("TERM", "").rpartition("-")[2]
    return "rondo" if colours in ("256color", "kitty", "direct") else "ansi-dark"
