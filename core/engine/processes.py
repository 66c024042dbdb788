"""Run processes as the engine sees them: started through the zygote, spoken to, listened to, ended with their tree."""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from core import crash_points
from core.engine.crash_words import crash_place, describe_signal, last_stack
from core.engine.logpipe import LogRecord, log_pipes
from core.errors import EnvironmentProblem
from core.runner import entry, environment
from core.runner.channel import LOST_ENGINE, SocketChannel
from core.runner.process_tree import kill_tree, start_ticks
from core.runner.wire import RUN_HEADER_LIMIT, encode_frame
from core.runner.zygote import EXITED, FAILED_EXEC, FORKED, READY, REPORT, REQUEST

START_SECONDS = 30.0
START_TRIES = 3
FORK_TRIES = 4
"""So many zygotes may be lost under one start of a run before it is given up."""
ANSWER_SECONDS = 30.0
"""How long the zygote may take for one fork before it is given up."""
KILL_SECONDS = 10.0
DRAIN_SECONDS = 0.5
"""How long output is awaited after the exit, where a process that could not be killed holds a pipe."""
DRAIN_PAUSE = 0.01
READS_AT_END = 64


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """How a process ended: with an exit code, or by a signal; neither where nobody could tell."""

    code: int | None
    signal: int | None


class Listener(Protocol):
    """Whoever wants to hear of a run process; called on the event loop, in the order in which things happened."""

    def on_frame(self, header: dict[str, Any], payload: bytes) -> None:
        """A frame came; output from before it was handed over already."""

    def on_log_records(self, records: Sequence[LogRecord]) -> None:
        """Lines of output: (at, level number, stream, node, visit, attempt, text)."""

    def on_log_dropped(self, count: int) -> None:
        """So many more lines were printed beyond the limits, and not kept."""

    def on_exit(self, status: ExitStatus, description: str) -> None:
        """The process has ended, everything it said was handed over; called once.

        The description continues "The run process ...".
        """


class ProcessPool:
    """Starts run processes, through one zygote that is started when it is first needed and again when it died.

    `umask` is for the files that node code makes; -1 leaves it as it is in this process.
    """

    has_interpreters = True
    """Whether runs can start under another interpreter than this one."""

    def __init__(self, *, umask: int = -1) -> None:
        self._umask = umask
        self._zygote: _Zygote | None = None
        self._starting = asyncio.Lock()

    async def start(self) -> None:
        """Start the zygote ahead of the first run. Raises EnvironmentProblem where it does not come up."""
        await self._living_zygote()

    async def spawn(
        self, init: dict[str, Any], state: bytes, listener: Listener, *, python: str | None = None
    ) -> RunProcess:
        """Start a run process and send it its init frame; `python` is the path of another interpreter.

        Raises EnvironmentProblem where no process can be had.
        """
        if python is not None and not os.access(python, os.X_OK):
            raise EnvironmentProblem(
                f"The interpreter {python} can't be started.",
                cause="There is no such program, or it may not be executed.",
                next_step="Make the workflow's environment again.",
            )
        for _ in range(FORK_TRIES - 1):
            with contextlib.suppress(_ZygoteLost):
                return await self._spawn(init, state, listener, python or "")
        return await self._spawn(init, state, listener, python or "")

    async def _spawn(self, init: dict[str, Any], state: bytes, listener: Listener, python: str) -> RunProcess:
        process = RunProcess(init, listener)
        try:
            await (await self._living_zygote()).fork(process, python)
            process.send(init, state)
        except BaseException:
            process.discard()
            raise
        return process

    async def close(self) -> None:
        """Kill every run process and end the zygote."""
        zygote, self._zygote = self._zygote, None
        if zygote is not None:
            await asyncio.gather(*(process.kill() for process in zygote.processes()))
            await zygote.close()

    async def _living_zygote(self) -> _Zygote:
        async with self._starting:
            if self._zygote is None or self._zygote.lost:
                self._zygote = None
                self._zygote = await _start_zygote(self._umask)
            return self._zygote


async def _start_zygote(umask: int, tries: int = START_TRIES) -> _Zygote:
    """A zygote that answers. One that was killed while it started says nothing about the next."""
    try:
        zygote = _Zygote(umask)
    except OSError as error:
        raise _no_room(error.errno) from error
    try:
        await asyncio.wait_for(zygote.ready, START_SECONDS)
    except (_ZygoteLost, TimeoutError) as error:
        await zygote.close()
        if zygote.killed and tries > 1:
            return await _start_zygote(umask, tries - 1)
        raise EnvironmentProblem(
            "The process that starts runs does not come up.",
            cause=str(error) or f"It did not answer within {START_SECONDS:.0f} s.",
            next_step="See runs/engine.log for what it said, and: rondo doctor",
        ) from error
    return zygote


class _ZygoteLost(EnvironmentProblem):
    """The zygote ended while something was asked of it."""


class _Zygote:
    """The engine's end of one zygote."""

    def __init__(self, umask: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._program = subprocess.Popen(
                [sys.executable, "-P", entry.__file__, "--zygote", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd="/",
                env=environment.reduced(os.environ, crash_points.passed_on()),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                umask=umask,
            )
        ours.setblocking(False)
        self._control = ours
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(ours.fileno(), self._read)
        self._received = b""
        self._number = 0
        self._asked: dict[int, tuple[RunProcess, asyncio.Future[None]]] = {}
        self._processes: dict[int, RunProcess] = {}
        self._sending = asyncio.Lock()
        self._free = asyncio.Event()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.lost = False

    @property
    def killed(self) -> bool:
        """True where it has ended by SIGKILL: from outside, for it never does so itself."""
        return self._program.poll() == -signal.SIGKILL

    def processes(self) -> list[RunProcess]:
        """The run processes that live."""
        return list(self._processes.values())

    async def fork(self, process: RunProcess, python: str) -> None:
        """Have a process forked that lives at the other ends of `process`. Raises EnvironmentProblem."""
        if self.lost:
            raise _ended()
        self._number += 1
        number, path = self._number, os.fsencode(python)
        done: asyncio.Future[None] = self._loop.create_future()
        self._asked[number] = (process, done)
        request = REQUEST.pack(number, len(path)) + path
        async with self._sending:
            await self._send(request, process.child_ends())
        process.close_child_ends()
        try:
            await asyncio.wait_for(done, ANSWER_SECONDS)
        except TimeoutError:
            # It hangs, so it reports no exits either: nothing below it can be trusted any more.
            self._program.kill()
            if not self.lost:
                self._lose()
            raise _ended() from None

    async def close(self) -> None:
        """Let the zygote end, with everything below it."""
        if not self.lost:
            self._lose()
        try:
            await asyncio.to_thread(self._program.wait, KILL_SECONDS)
        except subprocess.TimeoutExpired:
            self._program.kill()
            await asyncio.to_thread(self._program.wait)

    async def _send(self, request: bytes, descriptors: list[int]) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        while not self.lost:
            try:
                sent = self._control.sendmsg([request], rights)
            except BlockingIOError:
                self._free.clear()
                self._loop.add_writer(self._control.fileno(), self._now_free)
                await self._free.wait()
                continue
            except OSError:
                # Reading says the same, and tells everybody who waits.
                return
            if sent < len(request):
                self._lose()
            return

    def _now_free(self) -> None:
        self._loop.remove_writer(self._control.fileno())
        self._free.set()

    def _read(self) -> None:
        try:
            data = self._control.recv(65536)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._lose()
            return
        data = self._received + data
        whole = len(data) - len(data) % REPORT.size
        self._received = data[whole:]
        for kind, number, pid, status in REPORT.iter_unpack(data[:whole]):
            self._take_report(kind, number, pid, status)

    def _take_report(self, kind: int, number: int, pid: int, status: int) -> None:
        if kind == READY:
            if not self.ready.done():
                self.ready.set_result(None)
        elif kind == EXITED:
            self._processes.pop(pid).exited(status)
        else:
            process, done = self._asked.pop(number)
            if kind == FORKED:
                self._processes[pid] = process
                process.forked(pid)
                if not done.done():
                    done.set_result(None)
            elif not done.done():
                done.set_exception(_no_room(status))

    def _lose(self) -> None:
        """The zygote is gone, or told to go: nobody reports exits any more, so every run process is ended here."""
        self.lost = True
        self._loop.remove_reader(self._control.fileno())
        self._loop.remove_writer(self._control.fileno())
        self._control.close()
        self._free.set()
        ended = _ended()
        for done in [self.ready, *(done for _, done in self._asked.values())]:
            if not done.done():
                done.set_exception(ended)
                done.exception()  # marks it as seen: `ready` may have nobody who waits
        self._asked.clear()
        processes, self._processes = self._processes, {}
        for process in processes.values():
            process.orphaned()
        # Reaped here, where nobody calls `close`.
        self._program.poll()


def _ended() -> _ZygoteLost:
    return _ZygoteLost("The process that starts runs has ended.", next_step="Start the run again.")


def _no_room(number: int | None) -> EnvironmentProblem:
    return EnvironmentProblem(
        "The system refused a new process.",
        cause=os.strerror(number or 0),
        next_step="End other programs, or raise the limit on processes, files or memory; then start the run again.",
    )


class RunProcess:
    """One run process: its channel, its output, its life. Made by `ProcessPool.spawn`.

    `pid` and `started_ticks` name it for good; `closed` is set after the listener's `on_exit`.
    """

    sends_from_any_thread = True

    def __init__(self, init: dict[str, Any], listener: Listener) -> None:
        self.pid = 0
        self.started_ticks = 0
        self.closed = asyncio.Event()
        self._listener = listener
        self._epoch = init.get("e", 0)
        self._folder = str(init.get("folder", ""))
        self._killed = False
        self._ending: asyncio.Task[None] | None = None
        self._trouble = ""
        (frames, logs, raw), self._child_ends = _open_ends()
        self._records, self._raw, self._budget = log_pipes(
            logs, raw, listener.on_log_records, listener.on_log_dropped, init.get("limits") or {}
        )
        self._channel = SocketChannel(
            socket.socket(fileno=frames), self._on_frame, self._on_close, header_limit=RUN_HEADER_LIMIT
        )

    # What the engine does -----------------------------------------------------------------------------------------

    def send(self, header: dict[str, Any], payload: bytes = b"") -> None:
        """Send a frame; a process that is gone takes none."""
        self._channel.send({"e": self._epoch, **header}, payload)

    def sender(self, header: dict[str, Any]) -> Callable[[], None]:
        """What sends this frame at once, from whatever thread calls it."""
        frame = encode_frame({"e": self._epoch, **header})
        return lambda: self._channel.send_from_thread(frame)

    async def stop(self, grace: float) -> None:
        """Ask the process to end, and kill it where it has not within `grace` seconds; returns when it is gone."""
        self.send({"t": "stop"})
        try:
            await asyncio.wait_for(self.closed.wait(), grace)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """Kill the process and everything below it; returns when it is gone."""
        if self.closed.is_set():
            return
        self._killed = True
        try:
            await asyncio.to_thread(_kill_exactly, self.pid, self.started_ticks)
        except OSError:
            # No file can be opened, so nobody can look at the tree; the zygote sees to the rest of it.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        try:
            await asyncio.wait_for(self.closed.wait(), KILL_SECONDS)
        except TimeoutError:
            self._trouble = "can't be killed; it hangs in the system"
            self._end(ExitStatus(None, None))
            await self.closed.wait()

    @property
    def last_stack(self) -> str:
        """Where its code stood when it crashed or blocked its event loop, in the order of a traceback.

        Empty where there is no report of the fault handler among the last bytes of the output.
        """
        return last_stack(self._raw.tail)

    # What the pool does -------------------------------------------------------------------------------------------

    def child_ends(self) -> list[int]:
        """The descriptors for the child: frames, logs, raw."""
        return list(self._child_ends)

    def close_child_ends(self) -> None:
        """Close the child's descriptors here, so that its end is an end."""
        while self._child_ends:
            os.close(self._child_ends.pop())

    def discard(self) -> None:
        """Close everything, so that a process that was started after all ends at once; the listener hears nothing."""
        self.closed.set()
        self.close_child_ends()
        self._close()

    def forked(self, pid: int) -> None:
        """The process is there."""
        self.pid = pid
        self.started_ticks = start_ticks(pid) or 0

    def exited(self, status: int) -> None:
        """The process has ended, with a status as from waitpid."""
        code = os.waitstatus_to_exitcode(status)
        self._end(ExitStatus(code, None) if code >= 0 else ExitStatus(None, -code))

    def orphaned(self) -> None:
        """The zygote has ended: on Linux the process went with it, elsewhere it is ended here."""
        self._trouble = "was ended, because the process that starts runs had died"
        self._ending = asyncio.ensure_future(self._end_orphan())

    # What the process does ----------------------------------------------------------------------------------------

    def _on_frame(self, header: dict[str, Any], payload: bytes) -> None:
        if header["t"] != "started":
            self._records.drain()
            self._raw.drain()
        if header["t"] in ("step", "attempt", "request"):
            self._raw.end_visit()
        self._listener.on_frame(header, payload)

    def _on_close(self, reason: str) -> None:
        if reason:
            self._trouble = f"sent what is not a frame ({reason}) and was killed"
            self._ending = asyncio.ensure_future(self.kill())

    # The end ------------------------------------------------------------------------------------------------------

    async def _end_orphan(self) -> None:
        await asyncio.to_thread(_kill_exactly, self.pid, self.started_ticks)
        await self._wind_up(ExitStatus(None, None))

    def _end(self, status: ExitStatus) -> None:
        self._ending = asyncio.ensure_future(self._wind_up(status))

    async def _wind_up(self, status: ExitStatus) -> None:
        """Hand over what the process still said, then its exit."""
        if self.closed.is_set():
            return
        deadline = asyncio.get_running_loop().time() + DRAIN_SECONDS
        while not self._drained():
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(DRAIN_PAUSE)
        await asyncio.sleep(0)  # What was read last is passed on in the next turn, and before the exit.
        self._close()
        if not self.closed.is_set():
            self.closed.set()
            self._listener.on_exit(status, self._describe(status))

    def _drained(self) -> bool:
        for _ in range(READS_AT_END):
            if not self._channel.read():
                break
        ended = [pipe.drain_to_end() for pipe in (self._records, self._raw)]
        return self._channel.closed and all(ended)

    def _close(self) -> None:
        self._channel.close()
        self._records.close()
        self._raw.close()
        self._budget.report()

    def _describe(self, status: ExitStatus) -> str:
        if self._trouble:
            return self._trouble
        if self._killed:
            return "was killed"
        if status.signal is not None:
            return describe_signal(status.signal) + crash_place(self._raw.tail, self._folder)
        if status.code == FAILED_EXEC and self._raw.tail.startswith(b"cannot start"):
            return f"could not be started: {self._raw.tail.decode(errors='replace').strip()}"
        if status.code and LOST_ENGINE.encode() in self._raw.tail:
            return "lost its connection to the engine, because it was closed on its side"
        return f"ended with exit code {status.code}"


def _open_ends() -> tuple[list[int], list[int]]:
    """Both sides' descriptors, the engine's (which never block) and the child's: frames, logs, raw."""
    ours: list[int] = []
    theirs: list[int] = []
    try:
        left, right = socket.socketpair()
        ours.append(left.detach())
        theirs.append(right.detach())
        for _ in range(2):
            reader, writer = os.pipe()
            os.set_blocking(reader, False)
            ours.append(reader)
            theirs.append(writer)
    except OSError as error:
        for fd in (*ours, *theirs):
            os.close(fd)
        raise _no_room(error.errno) from error
    return ours, theirs


def _kill_exactly(pid: int, started_ticks: int) -> bool:
    """Kill the tree below that very process; False where it is gone already."""
    if start_ticks(pid) != started_ticks or not started_ticks:
        return False
    return kill_tree(pid, seconds=KILL_SECONDS)


async def kill_leftovers(pid: int, started_ticks: int) -> bool:
    """End the run process that an engine before this one left behind, with everything below it.

    Returns False where it is gone, also where its pid belongs to another process by now.
    """
    return await asyncio.to_thread(_kill_exactly, pid, started_ticks)
