"""The terminal's keyboard side: pasted text reaches the app whole, and nothing in it counts as a key.

Textual 8.2 reads an escape sequence inside pasted text as if it had been typed: what follows it on the line becomes
keys, which act on the screen. So the sequences are taken out of a paste before Textual parses it.
"""

from __future__ import annotations

import os
import select
import threading
from typing import Any

from textual.app import App
from textual.drivers.linux_driver import LinuxDriver

PASTE_BEGINS = b"\x1b[200~"
PASTE_ENDS = b"\x1b[201~"
STAND_IN = b"\x1a"
"""What stands for an escape character within a paste; `tui.text.one_line` knows it."""
READ_BYTES = 4096
POLL_SECONDS = 0.1


class PasteCleaner:
    """Passes a terminal's bytes on as they are, but for escape characters within a paste. Any pieces, in order."""

    def __init__(self) -> None:
        self._pasting = False
        self._begun = b""
        """The end of what was passed on or held back that may be the first part of a marker."""

    def feed(self, data: bytes) -> bytes:
        """What is to be read instead of the next piece. Only within a paste is a piece of a marker held back: a lone
        escape key must be seen at once."""
        passed = []
        while data:
            data, ready = self._within(data) if self._pasting else self._outside(data)
            passed.append(ready)
        return b"".join(passed)

    def _outside(self, data: bytes) -> tuple[bytes, bytes]:
        known = len(self._begun)
        text = self._begun + data
        at = text.find(PASTE_BEGINS)
        if at < 0:
            self._begun = _first_part(text, PASTE_BEGINS)
            return b"", data
        self._pasting, self._begun = True, b""
        end = at + len(PASTE_BEGINS)
        return text[end:], text[known:end]

    def _within(self, data: bytes) -> tuple[bytes, bytes]:
        text = self._begun + data
        at = text.find(PASTE_ENDS)
        if at < 0:
            self._begun = _first_part(text, PASTE_ENDS)
            return b"", text[: len(text) - len(self._begun)].replace(b"\x1b", STAND_IN)
        self._pasting, self._begun = False, b""
        return text[at + len(PASTE_ENDS) :], text[:at].replace(b"\x1b", STAND_IN) + PASTE_ENDS


def _first_part(text: bytes, marker: bytes) -> bytes:
    """The longest end of a text with which a marker begins, and which is not all of it."""
    for length in range(min(len(marker) - 1, len(text)), 0, -1):
        if text.endswith(marker[:length]):
            return marker[:length]
    return b""


class TerminalDriver(LinuxDriver):
    """Textual's driver, which reads the terminal through a `PasteCleaner`."""

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        if hasattr(app, "terminal"):
            # Textual has no public way to it, and what is no drawing goes there too.
            app.terminal = self

    _reading: threading.Thread | None = None
    _cleaned: int = -1

    @property
    def fileno(self) -> int:
        """The terminal; for the thread that reads keys, the pipe with the cleaned bytes."""
        return self._cleaned if threading.current_thread() is self._reading else self._terminal

    @fileno.setter
    def fileno(self, terminal: int) -> None:
        self._terminal = terminal

    def run_input_thread(self) -> None:
        """Read keys until the driver stops; nothing of the terminal is read after that."""
        cleaned, pipe = os.pipe()
        os.set_blocking(pipe, False)
        pump = threading.Thread(target=self._pump, args=(pipe,), name="terminal", daemon=True)
        self._cleaned, self._reading = cleaned, threading.current_thread()
        pump.start()
        try:
            super().run_input_thread()
        finally:
            self._reading = None
            # The reader may have failed by itself: then nobody takes what the pump would write.
            self.exit_event.set()
            pump.join()
            os.close(pipe)
            os.close(cleaned)

    def _pump(self, pipe: int) -> None:
        cleaner = PasteCleaner()
        waiting = b""
        while not self.exit_event.is_set():
            readable, writable, _ = select.select(
                [] if waiting else [self._terminal], [pipe] if waiting else [], [], POLL_SECONDS
            )
            if writable:
                waiting = waiting[os.write(pipe, waiting) :]
            elif readable:
                try:
                    data = os.read(self._terminal, READ_BYTES)
                except OSError:
                    # The terminal is gone; a signal ends the app.
                    return
                if not data:
                    return
                waiting = cleaner.feed(data)
