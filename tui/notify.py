"""Telling a person who looks elsewhere that a run begins to wait or has failed: by the terminal's bell or OSC 9."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable

from core.link.event_types import Event, RunChanged
from core.places import Workspace
from tui.text import plural, visible

TOLD = {"waiting_input": "waits for you", "failed": "failed"}
"""The statuses that are worth a word."""
REMEMBERED = 1_000
"""Runs whose last status is remembered, so that each change is told once."""


def osc9(text: str, *, in_tmux: bool) -> str:
    """The sequence that makes a terminal show a text as a notification; tmux is asked to pass it on."""
    sequence = f"\x1b]9;{visible(text)}\x07"
    doubled = sequence.replace("\x1b", "\x1b\x1b")
    return f"\x1bPtmux;{doubled}\x1b\\" if in_tmux else sequence


class Notifier:
    """Finds in events what is worth a word, and says it as `[app] notify` says; nothing where that is off."""

    def __init__(self, workspace: Workspace, bell: Callable[[], None], write: Callable[[str], None]) -> None:
        self._workspace = workspace
        self._bell = bell
        self._write = write
        self._statuses: dict[str, str] = {}

    def news(self, events: Iterable[Event]) -> str:
        """What to say of the runs that begin to wait or have failed; "" where there are none."""
        said: list[str] = []
        for event in events:
            if not isinstance(event, RunChanged):
                continue
            before = self._statuses.pop(event.run_id, "")
            self._statuses[event.run_id] = event.status
            if event.status in TOLD and event.status != before:
                said.append(f"{event.workflow} {TOLD[event.status]}")
        while len(self._statuses) > REMEMBERED:
            del self._statuses[next(iter(self._statuses))]
        if len(said) > 1:
            return f"{said[-1]}, and {plural(len(said) - 1, 'other run')}"
        return said[0] if said else ""

    async def say(self, text: str) -> None:
        """Ring, notify or stay silent."""
        how = await asyncio.to_thread(self._how)
        if how == "bell":
            self._bell()
        elif how == "osc9":
            self._write(osc9(f"rondo: {text}", in_tmux="TMUX" in os.environ))

    def _how(self) -> str:
        """The setting as it is now; blocking. Not imported before the first word."""
        from core.settings import read_settings

        return read_settings(self._workspace).app.notify
