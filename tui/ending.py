"""Ends that nobody chose on a screen: a lost line, a signal, a defect. The terminal is given back after each."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading

from textual.app import App
from textual.message import Message

from core.places import Workspace
from tui.last_place import Kept, keep, take
from tui.navigation import Place

PATIENCE_SECONDS = 20.0
"""How long an end may take on a busy machine; a terminal that is gone takes nothing, and nobody waits for it."""
SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)


class PlaceKept(Message, bubble=False):
    """The line was lost at this place the last time."""

    def __init__(self, kept: Kept) -> None:
        super().__init__()
        self.kept = kept


class EndsWell(App[int]):
    """The part of the app that hears signals. A lost line ends the app and nothing else: engine and runs go on."""

    workspace: Workspace
    drafts: dict[str, object]
    _arrival = ""

    @property
    def place(self) -> Place:
        """Where the person is."""
        raise NotImplementedError

    def go(self, place: Place) -> None:
        """Show a place."""
        raise NotImplementedError

    def say(self, text: str, kind: str = "info") -> None:
        """Show a few lines."""
        raise NotImplementedError

    def hear_signals(self) -> None:
        """From now on a signal ends the app as it should end: the place kept, the terminal given back."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.end_by_signal, number)

    def end_by_signal(self, number: int) -> None:
        """Keep where the person was, and leave."""
        keep(self.workspace, Kept(self.place, dict(self.drafts)))
        watch = threading.Timer(PATIENCE_SECONDS, os._exit, [128 + number])
        watch.daemon = True
        watch.start()
        self.exit(128 + number)

    async def find_kept_place(self) -> None:
        """Look whether the line was lost the last time."""
        kept = await asyncio.to_thread(take, self.workspace)
        if kept is not None:
            self.post_message(PlaceKept(kept))

    def on_place_kept(self, message: PlaceKept) -> None:
        """Go there, unless the person has begun something else."""
        for name, value in message.kept.drafts.items():
            self.drafts.setdefault(name, value)
        if len(self.screen_stack) > 1 or message.kept.place.view == "workflows":
            return
        self._arrival = "Back where the line was lost; the runs went on meanwhile. - leads to the first screen"
        self.go(message.kept.place)

    def say_arrival(self) -> None:
        """Say on the screen that is there now what brought one to it."""
        if self._arrival:
            self.say(self._arrival)
            self._arrival = ""


def after_a_defect(code: int) -> None:
    """Say what to do after the app failed; the traceback stands above."""
    print(f"error: The app failed (exit {code}); the terminal is yours again.", file=sys.stderr)
    print("next:  Engine and runs go on: open it again with rondo. Report the traceback above.", file=sys.stderr)
