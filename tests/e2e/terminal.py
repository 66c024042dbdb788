"""A real pseudo-terminal with a screen that can be read: pexpect runs the program, pyte draws what it writes."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pexpect
import pyte

LIMIT_SECONDS = 120.0
"""How long a test waits for something to appear before it fails; generous, because machines are slow at times."""
MODE = re.compile(rb"\x1b\[\?([0-9;]+)([hl])")


class Terminal:
    """One program in a terminal of a given size."""

    def __init__(self, arguments: Sequence[str], *, cwd: Path, columns: int = 80, rows: int = 24, **env: str) -> None:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("TEXTUAL", "SSH_", "NO_COLOR", "FORCE_COLOR"))
        }
        environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", **env}
        self.written = 0
        """Bytes the program has written so far."""
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._modes: set[int] = set()
        self._child = pexpect.spawn(
            arguments[0],
            list(arguments[1:]),
            cwd=str(cwd),
            env=environment,
            dimensions=(rows, columns),
            timeout=LIMIT_SECONDS,
        )

    @classmethod
    def rondo(cls, workspace: Path, *arguments: str, columns: int = 80, rows: int = 24, **env: str) -> Terminal:
        """The `rondo` command in a workspace."""
        program = Path(sys.executable).with_name("rondo")
        return cls([str(program), *arguments], cwd=workspace, columns=columns, rows=rows, **env)

    @property
    def pid(self) -> int:
        return int(self._child.pid)

    @property
    def text(self) -> str:
        """The screen as text, lines without their trailing spaces."""
        return "\n".join(line.rstrip() for line in self._screen.display)

    def modes_left(self) -> set[int]:
        """Modes that the program switched on and not off: the other screen, mouse, paste; 25 is a hidden cursor."""
        kept = {1049, 1000, 1002, 1003, 1006, 1015, 2004, 1004} & self._modes
        return kept if 25 in self._modes else kept | {25}

    def resize(self, columns: int, rows: int) -> None:
        """Make the terminal larger or smaller."""
        self._screen.resize(rows, columns)
        self._child.setwinsize(rows, columns)

    def send(self, keys: str) -> None:
        """Type."""
        self._child.send(keys)

    def wait_for(self, pattern: str | Callable[[str], bool], limit: float = LIMIT_SECONDS) -> str:
        """Read until the screen shows the pattern (regular expression, or function of the text); returns the text."""
        end = time.monotonic() + limit
        while True:
            shown = pattern(self.text) if callable(pattern) else re.search(pattern, self.text)
            if shown:
                return self.text
            if time.monotonic() > end:
                raise AssertionError(f"{pattern!r} never appeared. The screen:\n{self.text}")
            if not self._read(0.2) and not self._child.isalive():
                self._read(0)
                if not (pattern(self.text) if callable(pattern) else re.search(pattern, self.text)):
                    raise AssertionError(f"the program ended before {pattern!r} appeared. The screen:\n{self.text}")

    def wait_for_end(self, limit: float = LIMIT_SECONDS) -> int:
        """Read until the program ends; its exit status."""
        end = time.monotonic() + limit
        while self._child.isalive():
            if time.monotonic() > end:
                raise AssertionError(f"the program did not end. The screen:\n{self.text}")
            self._read(0.2)
        self._read(0)
        self._child.close()
        return int(self._child.exitstatus if self._child.exitstatus is not None else -(self._child.signalstatus or 0))

    def close_line(self) -> None:
        """Close the terminal as a lost connection does."""
        self._child.ptyproc.fileobj.close()

    def end(self) -> None:
        """End the program if it is still there."""
        if self._child.isalive():
            self._child.kill(signal.SIGKILL)
        self._child.close(force=True)

    def _read(self, timeout: float) -> bool:
        try:
            data = self._child.read_nonblocking(65536, timeout)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return False
        self.written += len(data)
        for numbers, switch in MODE.findall(data):
            for number in map(int, numbers.split(b";")):
                (self._modes.add if switch == b"h" else self._modes.discard)(number)
        self._stream.feed(data)
        return True


Open = Callable[..., Terminal]
"""Opens the app of a world: `open_app(world, columns, rows)`."""
