"""The process that run processes are forked from: small, preloaded, with one thread and no event loop.

It speaks with the engine over one stream socket. A request is `REQUEST` (number, length of a path) with the child's
three descriptors (frames, logs, raw) attached, then the path of another interpreter, or nothing for a fork of this
process. Reports are `REPORT` (kind, number, pid, status): READY once, FORKED or REFUSED (status: errno) for each
request, EXITED (status as from waitpid) for each child, after everything that child left behind has been killed.
"""

from __future__ import annotations

import array
import contextlib
import gc
import os
import select
import signal
import socket
import struct
import sys
from typing import NoReturn

import core.grapheteria  # noqa: F401  (what most nodes import: a fork then finds it loaded)
from core.crash_points import crash_point
from core.runner import entry, host
from core.runner.process_tree import children_of, kill_tree

REQUEST = struct.Struct("!II")
REPORT = struct.Struct("!BIii")
READY, FORKED, REFUSED, EXITED = range(4)

DESCRIPTORS = 3
FAILED_EXEC = 127


class Zygote:
    """Forks on request and reports exits until the engine is gone."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._runs: set[int] = set()
        self._ending = False
        self._wakeup, self._woken = socket.socketpair()
        self._wakeup.setblocking(False)
        self._woken.setblocking(False)

    def serve(self) -> None:
        """Work until the engine closes its end; then kill every process below this one."""
        signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(self._wakeup, select.POLLIN)
        try:
            crash_point("zygote.start")
            self._report(READY, 0, os.getpid(), 0)
            while not self._ending:
                ready = {fd for fd, _ in poll.poll()}
                if self._wakeup.fileno() in ready:
                    with contextlib.suppress(BlockingIOError):
                        self._wakeup.recv(4096)
                    self._reap()
                if self._control.fileno() in ready:
                    self._take_request()
        except OSError:
            self._ending = True
        kill_tree(os.getpid(), spare_root=True)

    def _end(self, *_: object) -> None:
        self._ending = True

    def _take_request(self) -> None:
        data, descriptors = _receive(self._control, REQUEST.size)
        if len(data) < REQUEST.size:
            self._ending = True
            return
        number, length = REQUEST.unpack(data)
        python = os.fsdecode(self._control.recv(length, socket.MSG_WAITALL)) if length else ""
        crash_point("zygote.asked")
        try:
            pid = os.fork()
        except OSError as error:
            self._report(REFUSED, number, 0, error.errno or 0)
        else:
            if pid == 0:
                self._become(python, descriptors)
            self._runs.add(pid)
            crash_point("zygote.forked")
            self._report(FORKED, number, pid, 0)
            crash_point("zygote.fork_reported")
        for fd in descriptors:
            os.close(fd)

    def _become(self, python: str, descriptors: list[int]) -> NoReturn:
        """In the child: be a run process, and never return into the zygote."""
        try:
            crash_point("process.born")
            signal.set_wakeup_fd(-1)
            # The engine ignores hang-ups, and what is ignored stays so in every program that is started from here.
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if python:
                _execute(python, descriptors)
            host.run_process(*descriptors)
        finally:
            os._exit(host.FAILED)

    def _reap(self) -> None:
        """Take the exits of all that ended; what a run left behind came to us, the nearest subreaper, and ends too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid in self._runs:
                self._runs.discard(pid)
                crash_point("zygote.reaped")
                for orphan in children_of(os.getpid()):
                    if orphan not in self._runs:
                        kill_tree(orphan)
                self._report(EXITED, 0, pid, status)

    def _report(self, kind: int, number: int, pid: int, status: int) -> None:
        self._control.sendall(REPORT.pack(kind, number, pid, status))


def _receive(control: socket.socket, size: int) -> tuple[bytes, list[int]]:
    """One request and the descriptors that came with it."""
    descriptors = array.array("i")
    data, ancillary, _, _ = control.recvmsg(size, socket.CMSG_LEN(DESCRIPTORS * descriptors.itemsize))
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    return data, list(descriptors)


def _execute(python: str, descriptors: list[int]) -> NoReturn:
    """Become another interpreter; its packages are its own, so ours are not named to it."""
    frames, logs, raw = descriptors
    for fd in descriptors:
        os.set_inheritable(fd, True)
    arguments = [python, entry.__file__, "--frames", str(frames), "--logs", str(logs), "--raw", str(raw)]
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    try:
        os.execve(python, arguments, environment)
    except OSError as error:
        os.write(raw, f"cannot start {python}: {error.strerror}\n".encode(errors="replace"))
        os._exit(FAILED_EXEC)


def serve(control: int) -> None:
    """Be the zygote on that descriptor."""
    host.die_with_parent(signal.SIGTERM)
    host.adopt_orphans()
    gc.collect()
    gc.freeze()
    Zygote(socket.socket(fileno=control)).serve()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
