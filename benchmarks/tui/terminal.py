"""A program in a pseudo-terminal, and every byte that it writes with the moment at which it came."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

LIMIT_SECONDS = 60.0
"""After this long something that is waited for doesn't come any more."""


class Watched:
    """A running program; use it as a context manager, which ends it."""

    def __init__(
        self, command: Sequence[str], *, folder: Path, env: dict[str, str], columns: int = 120, rows: int = 40
    ) -> None:
        self.began = time.time()
        self._chunks: list[tuple[float, bytes]] = []
        self._arrived = threading.Condition()
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(command[0], list(command), {**env, "TERM": "xterm-256color", "COLORTERM": "truecolor"})
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._over = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._reader.join()
        os.close(self._terminal)

    def _read(self) -> None:
        while not self._over:
            if not select.select([self._terminal], [], [], 0.05)[0]:
                continue
            try:
                data = os.read(self._terminal, 1 << 20)
            except OSError:
                return
            with self._arrived:
                self._chunks.append((time.time(), data))
                self._arrived.notify_all()

    def send(self, keys: str) -> float:
        """Type; returns the moment."""
        now = time.time()
        os.write(self._terminal, keys.encode())
        return now

    @property
    def written(self) -> int:
        """Bytes so far."""
        with self._arrived:
            return sum(len(data) for _, data in self._chunks)

    def wait_for(self, pattern: str, *, after: int = 0, limit: float = LIMIT_SECONDS) -> float:
        """Wait until what was written after so many bytes holds the pattern; the moment at which that was so."""
        wanted = re.compile(pattern.encode())
        end = time.monotonic() + limit
        with self._arrived:
            while True:
                moment = self._moment(wanted, after)
                if moment is not None:
                    return moment
                left = end - time.monotonic()
                if left <= 0 or not self._arrived.wait(left):
                    raise TimeoutError(f"{pattern!r} was not written within {limit:.0f} s")

    def moment_of(self, pattern: str, after: int = 0) -> float | None:
        """The moment at which the pattern was first written after so many bytes; None if it never was."""
        with self._arrived:
            return self._moment(re.compile(pattern.encode()), after)

    def _moment(self, wanted: re.Pattern[bytes], after: int) -> float | None:
        data = b"".join(data for _, data in self._chunks)
        match = wanted.search(data, after)
        if match is None:
            return None
        size = 0
        for moment, chunk in self._chunks:
            size += len(chunk)
            if size >= match.end():
                return moment
        raise AssertionError("found beyond what was written")

    def wait_for_quiet(self, seconds: float = 0.5) -> None:
        """Wait until nothing was written for so long."""
        end = time.monotonic() + LIMIT_SECONDS
        with self._arrived:
            while self._arrived.wait(seconds):
                if time.monotonic() > end:
                    raise TimeoutError("it never stops writing")

    def memory(self) -> int:
        """Bytes of memory that the program holds now."""
        return 1024 * int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(self.pid)]))
