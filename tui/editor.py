"""The person's own editor on a file, at a line, in place of the app for a while."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from textual.app import App, SuspendNotSupported

PLUS_LINE = {"vi", "vim", "nvim", "view", "nano", "emacs", "emacsclient", "kak", "joe", "ne", "mg", "pico", "mcedit"}
COLON_LINE = {"hx", "helix", "micro", "subl", "zed"}
GOTO_LINE = {"code", "codium", "cursor"}


def editor_command(path: str, line: int, environment: Mapping[str, str]) -> list[str] | None:
    """The command that opens a file at a line (0: anywhere), from $VISUAL or $EDITOR; None where neither is set."""
    text = environment.get("VISUAL") or environment.get("EDITOR") or ""
    words = shlex.split(text)
    if not words:
        return None
    name = Path(words[0]).name
    if line < 1:
        return [*words, path]
    if name in PLUS_LINE:
        return [*words, f"+{line}", path]
    if name in COLON_LINE:
        return [*words, f"{path}:{line}"]
    if name in GOTO_LINE:
        wait = [] if "--wait" in words or "-w" in words else ["--wait"]
        return [*words, *wait, "--goto", f"{path}:{line}"]
    return [*words, path]


def edit(app: App[int], path: str, line: int = 0) -> str:
    """Open the editor and wait until it is closed; returns why it could not be opened, or ""."""
    try:
        command = editor_command(path, line, os.environ)
    except ValueError as error:
        return f"$VISUAL or $EDITOR can't be read: {error}\nSet it like this: export EDITOR=nano"
    if command is None:
        return f"No editor is set.\nSet one and start rondo again: export EDITOR=nano\nThe file: {path}"
    if shutil.which(command[0]) is None:
        return f"The editor {command[0]} is not installed.\nSet $VISUAL or $EDITOR to another one.\nThe file: {path}"
    try:
        with app.suspend():
            status = subprocess.call(command)
    except SuspendNotSupported:
        return f"This terminal can't be handed to an editor.\nThe file: {path}"
    app.refresh(layout=True)
    return f"{command[0]} ended with status {status}." if status else ""
