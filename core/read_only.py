"""Read-only: looking at a workspace in the certainty that nothing in it changes.

`rondo --read-only` (the app) and `rondo --read-only COMMAND` switch it on for this process and what it starts;
RONDO_READ_ONLY=1 does so for a whole shell. Then no command that changes something is done, the engine refuses what
would change something, and none is started, because a starting engine takes up the runs that another one left.
"""

from __future__ import annotations

import os

from core.errors import ReadOnly

VARIABLE = "RONDO_READ_ONLY"
FLAG = "--read-only"

READING_COMMANDS = frozenset(
    {
        *("list", "graph", "validate", "versions", "diff", "env", "approve", "doctor", "keys"),
        *("proposals", "proposal", "edits", "chat", "new", "prune"),
        *("runs", "show", "logs", "changes", "models", "calls", "why", "output", "break", "check"),
        *("list-tools", "tool-details", "workflow-tools", "secrets list", "engine status"),
        *("settings", "settings list", "settings get"),
    }
)
"""Commands that only look, or change something through the engine alone, which refuses that part of them."""


def is_read_only() -> bool:
    """True where nothing may change."""
    return os.environ.get(VARIABLE, "").lower() not in ("", "0", "false", "no")


def switch_on() -> None:
    """Make this process, and those it starts, read-only."""
    os.environ[VARIABLE] = "1"


def check_command(words: str) -> None:
    """Raise ReadOnly for a command that changes something, where nothing may."""
    if is_read_only() and words not in READING_COMMANDS:
        raise refused(f"`rondo {words}`")


def refused(what: str) -> ReadOnly:
    """The error for something that was not done."""
    return ReadOnly(
        f"Read-only: {what} was not done.",
        cause=f"It would change something, and {FLAG} or {VARIABLE} is set.",
        next_step=f"Do it without {FLAG}, or after: unset {VARIABLE}",
    )
