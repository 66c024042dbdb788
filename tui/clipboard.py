"""Copying: through the terminal (OSC 52), and into a file, because no terminal says whether it took the text."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from core.places import state_folder
from tui.text import home_path, plural, size

TERMINAL_LIMIT = 74_000
"""Bytes that every terminal with OSC 52 takes; longer texts are in the file only."""
TMUX_SECONDS = 3.0
"""How long tmux may take to answer."""


def copy_file() -> Path:
    """Where the last copied text is."""
    return state_folder() / "copied.txt"


def write_copy(text: str) -> str:
    """Write the file for the person alone; blocking. Returns why it could not be written, or ""."""
    path = copy_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(text)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def copy_to_tmux(text: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Give the text to tmux, which hands it on to the terminal outside; blocking. False where there is no tmux.

    Of programs inside, tmux takes OSC 52 only where it is told to; its own command works as it is set up by default.
    """
    if not environment.get("TMUX"):
        return False
    for options in (["-w"], []):
        try:
            done = subprocess.run(
                ["tmux", "load-buffer", *options, "-"],
                input=text.encode("utf-8", "replace"),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=TMUX_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        if done.returncode == 0:
            return True
    return False


def fits_terminal(text: str) -> bool:
    """True where the terminal can be given the text."""
    return len(text.encode("utf-8", "replace")) <= TERMINAL_LIMIT


def copied_text(text: str, problem: str, *, in_tmux: bool = False) -> str:
    """What the screen says after a copy."""
    lines = text.count("\n") + 1
    what = plural(lines, "line") if lines > 1 else size(len(text.encode("utf-8", "replace")))
    where = f"not written to a file: {problem}" if problem else f"also in {home_path(str(copy_file()))}"
    if in_tmux:
        return f"Copied {what}; in tmux's buffer, {where}"
    if not fits_terminal(text):
        return f"Too long for the terminal's clipboard ({what}); {where}"
    return f"Copied {what}; {where}"
