"""Stands between Rondo and a server that is a program: ends it with Rondo, and when it floods.

Run as a file of its own, with nothing but the standard library: `python -I guard.py COMMAND [ARG...]`. The server has
a process group of its own. It ends when standard input ends, which it also does when Rondo is killed; what it started
and left, in whatever session, comes to the guard (on Linux) and ends with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from typing import IO

LINE_LIMIT = 12 * 1024 * 1024
"""Bytes of the longest message."""
UNASKED_LIMIT = 48 * 1024 * 1024
"""Bytes that a server may send without being asked anything in between."""
STDERR_LIMIT = 256 * 1024
GRACE = 1.0
"""Seconds that a server has to end by itself."""
CHUNK = 64 * 1024
PR_SET_CHILD_SUBREAPER = 36


class Guard:
    """One server and the three pipes of it."""

    def __init__(self, command: list[str]) -> None:
        _take_orphans()
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        self._unasked = 0
        self._ending = threading.Event()

    def run(self) -> int:
        """Pass messages until either side ends; returns the exit status."""
        signal.signal(signal.SIGTERM, lambda *_: self._ending.set())
        works = [
            threading.Thread(target=work, daemon=True) for work in (self._errors, self._from_server, self._to_server)
        ]
        for work in works:
            work.start()
        while not self._ending.is_set() and self._process.poll() is None:
            self._ending.wait(0.05)
            self._bury_orphans()
        status = self._process.poll()
        self._end()
        for work in works[:2]:
            # What the server said last is passed on; a child of it may hold the pipe open for ever.
            work.join(GRACE / 2)
        return status if status is not None else 0

    def _to_server(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            while chunk := os.read(0, CHUNK):
                self._unasked = 0
                self._process.stdin.write(chunk)
                self._process.stdin.flush()
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE)
        self._ending.set()

    def _from_server(self) -> None:
        assert self._process.stdout is not None
        source: IO[bytes] = self._process.stdout
        with contextlib.suppress(OSError, ValueError):
            while line := source.readline(LINE_LIMIT + 1):
                self._unasked += len(line)
                if len(line) > LINE_LIMIT:
                    return self._refuse(f"a message of more than {LINE_LIMIT} bytes")
                if self._unasked > UNASKED_LIMIT:
                    return self._refuse(f"more than {UNASKED_LIMIT} bytes that nobody asked for")
                # Some servers print words where only messages belong.
                if line.lstrip().startswith((b"{", b"[")):
                    sys.stdout.buffer.write(line)
                    sys.stdout.buffer.flush()
        return None

    def _errors(self) -> None:
        assert self._process.stderr is not None
        left = STDERR_LIMIT
        with contextlib.suppress(OSError, ValueError):
            while chunk := self._process.stderr.read1(CHUNK):  # type: ignore[attr-defined]
                if left > 0:
                    os.write(2, chunk[:left])
                    left -= len(chunk)

    def _refuse(self, why: str) -> None:
        os.write(2, f"\nrondo: ended the server: {why}\n".encode())
        self._ending.set()

    def _end(self) -> None:
        """End the server and all that it started."""
        for number, seconds in ((signal.SIGTERM, GRACE / 2), (signal.SIGKILL, GRACE / 2)):
            try:
                os.killpg(self._process.pid, number)
            except (ProcessLookupError, PermissionError):
                break
            until = time.monotonic() + seconds
            while time.monotonic() < until and self._process.poll() is None:
                time.sleep(0.02)
        self._end_orphans()

    def _end_orphans(self) -> None:
        """Kill what the server left; what that leaves comes next, until nothing comes any more."""
        until = time.monotonic() + GRACE
        while (orphans := _children()) and time.monotonic() < until:
            for pid in orphans:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            self._bury_orphans()
            time.sleep(0.01)

    def _bury_orphans(self) -> None:
        """Take the exits of what the server left; that of the server itself stays where it is."""
        with contextlib.suppress(ChildProcessError):
            while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if found.si_pid == self._process.pid and self._process.poll() is None:
                    return
                if found.si_pid != self._process.pid:
                    os.waitpid(found.si_pid, 0)


def _take_orphans() -> None:
    """Have what children leave come to this process, where the system can do that."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _children() -> list[int]:
    """The processes whose parent this one is, by /proc; none where there is no such thing."""
    found = []
    own = os.getpid()
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else ():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if entry.isdigit():
                with open(f"/proc/{entry}/stat", "rb") as stream:
                    if int(stream.read().rpartition(b")")[2].split()[1]) == own:
                        found.append(int(entry))
    return found


def main() -> int:
    """Start the server that the command line names."""
    try:
        guard = Guard(sys.argv[1:])
    except OSError as error:
        os.write(2, f"rondo: {sys.argv[1]} can't be started: {error.strerror or error}\n".encode())
        return 127
    return guard.run()


if __name__ == "__main__":
    status = main()
    # Threads may still wait for a pipe that a child of the server holds open.
    os._exit(status if 0 <= status < 256 else 1)
