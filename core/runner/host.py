"""What a run process does around the run: its own session, descriptors, environment and watchers, then the run."""

from __future__ import annotations

import _thread
import asyncio
import atexit
import contextlib
import ctypes
import faulthandler
import fcntl
import io
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from core.crash_points import crash_point
from core.flow.delta import StateTracker
from core.flow.failure import describe_error
from core.flow.journal import Failure
from core.flow.packages import IN_RUN_PROCESS
from core.flow.secrecy import state_guard
from core.redaction import hide_here
from core.runner import environment, sources
from core.runner.capture import Capture, LogWriter
from core.runner.channel import CLOSED_BY_OTHERS, LOST_ENGINE, SocketChannel
from core.runner.failures import failure_document, trimmed_stack
from core.runner.log_share import Allowance
from core.runner.process_tree import kill_tree
from core.runner.session import Broken, Session, load_workflow
from core.runner.wire import IMPORT_SECONDS, FrameReader, encode_frame
from core.sdk.settle import Interrupts

FRAMES, LOGS = 3, 4
"""Where the descriptors stand once the process is set up; 1 and 2 are the raw pipe."""
PARK_FROM = 10
"""Descriptors are moved up to here and beyond before they are put in their places."""

FAILED = 70
"""Exit status where this side's own code failed."""
END_SECONDS = 2.0
"""How long exit handlers and cancelled tasks may take."""

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

_LIBRARY = ctypes.CDLL(None) if sys.platform == "linux" else None
"""Opened here, in the process that is forked: it takes a while."""

Frame = tuple[dict[str, Any], bytes]


def run_process(frames: int, logs: int, raw: int) -> NoReturn:
    """Be the run process on these descriptors (all others are closed): take the init frame, run, end the process."""
    place_descriptors(frames, logs, raw)
    with contextlib.suppress(PermissionError):
        os.setsid()
    die_with_parent(signal.SIGKILL)
    Interrupts.own = True
    adopt_orphans()
    _go_first_when_memory_runs_out()
    _open_standard_streams()
    try:
        _live()
    except SystemExit as error:
        # From a task that a node left behind, or an exit handler: nobody else is there to take it.
        sys.stderr.flush()
        os._exit(error.code if isinstance(error.code, int) else 1)
    except BaseException:
        # The last thing that this process does is to say why.
        traceback.print_exc(file=sys.__stderr__)
    os._exit(FAILED)


def _live() -> NoReturn:
    IN_RUN_PROCESS.set(True)
    sock = socket.socket(fileno=FRAMES)
    sock.setblocking(True)
    reader = FrameReader()
    (init, state), *early = _first_frames(sock, reader)
    crash_point("process.init")
    watcher = Watcher(sock, init)
    capture = _enter(init)
    session = _load(sock, init, state, capture, watcher.decision)
    if session is not None:
        _run(sock, reader, early, session)
    _finish(capture)


# Descriptors, session, death -------------------------------------------------------------------------------------


def place_descriptors(frames: int, logs: int, raw: int) -> None:
    """Put the descriptors in their places, give an empty stdin, and close everything else."""
    parked = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, PARK_FROM) for fd in (frames, logs, raw)]
    null = fcntl.fcntl(os.open(os.devnull, os.O_RDONLY), fcntl.F_DUPFD_CLOEXEC, PARK_FROM)
    os.dup2(null, 0)
    os.dup2(parked[2], 1)
    os.dup2(parked[2], 2)
    os.dup2(parked[0], FRAMES, inheritable=False)
    os.dup2(parked[1], LOGS, inheritable=False)
    os.closerange(LOGS + 1, os.sysconf("SC_OPEN_MAX"))


def die_with_parent(number: signal.Signals) -> None:
    """Ask Linux for a signal when the parent ends; elsewhere only the watcher thread notices."""
    _prctl(PR_SET_PDEATHSIG, number)


def adopt_orphans() -> None:
    """Let Linux hand this process what its descendants leave behind, so that a kill finds it below this process."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def _go_first_when_memory_runs_out() -> None:
    """Let Linux end node code before it ends the engine or the person's other programs."""
    with contextlib.suppress(OSError):
        file = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
        try:
            os.write(file, b"500")
        finally:
            os.close(file)


def _prctl(option: int, value: int) -> None:
    if _LIBRARY is not None:
        _LIBRARY.prctl(option, value, 0, 0, 0)


def _open_standard_streams() -> None:
    for fd, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        file: Any = io.FileIO(fd, mode, closefd=False)
        binary = io.BufferedReader(file) if mode == "r" else file
        stream = io.TextIOWrapper(binary, encoding="utf-8", errors="replace", write_through=True)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    faulthandler.enable(file=2, all_threads=True)


def end_now() -> NoReturn:
    """End this process and everything below it."""
    kill_tree(os.getpid(), spare_root=True, seconds=1.0)
    os._exit(0)


def _close_channels() -> None:
    for fd in (FRAMES, LOGS):
        with contextlib.suppress(OSError):
            os.close(fd)


# From the init frame to the run ----------------------------------------------------------------------------------


def _first_frames(sock: socket.socket, reader: FrameReader) -> list[Frame]:
    """The init frame and whatever came with it."""
    frames: list[Frame] = []
    while not frames:
        data = sock.recv(256 * 1024)
        if not data:
            end_now()
        frames = reader.feed(data)
    return frames


def _enter(init: dict[str, Any]) -> Capture:
    """Reduce the environment and take over the output."""
    limits = init.get("limits") or {}
    kept = environment.reduced(os.environ, init.get("environment"))
    for name in os.environ.keys() - kept.keys():
        del os.environ[name]
    os.environ.update(kept)
    _keep_secrets(init.get("secrets") or (), kept)
    sys.argv = [os.path.join(init["folder"], "nodes.py")]
    writer = LogWriter(LOGS, Allowance.of(limits))
    capture = Capture(writer)
    capture.install()
    return capture


def _keep_secrets(names: Sequence[str], variables: Mapping[str, str]) -> None:
    """Take what the run was given out of what this process says; a state that holds it is refused."""
    values = {name: variables[name] for name in names}
    if values:
        hide_here(values.values())
        StateTracker.guard = staticmethod(state_guard(values))


def _load(
    sock: socket.socket, init: dict[str, Any], state: bytes, capture: Capture, decision: threading.Lock
) -> Session | None:
    """Import the workflow and tell the engine; None where it can't be imported."""
    epoch, begun = init.get("e", 0), time.monotonic()
    finder = sources.SourceFinder(init["sources"], init["folder"])
    sources.install(finder)
    sources.install_original_name()
    answer: dict[str, Any]
    session = None
    try:
        _go_to_workspace(init)
        graph, nodes = load_workflow(init)
        session = Session(init, state, graph, nodes, capture)
        answer = {"t": "ready", "e": epoch, "pid": os.getpid(), "import_seconds": time.monotonic() - begun}
    except Broken as broken:
        answer = {"t": "broken", "e": epoch, "failure": failure_document(broken.failure)}
    decision.acquire()
    capture.end()
    crash_point("process.imported")
    sock.sendall(encode_frame(answer))
    crash_point("process.ready")
    return session


def _go_to_workspace(init: dict[str, Any]) -> None:
    try:
        os.chdir(init["workspace"])
    except OSError as error:
        failure = Failure(
            type="WorkspaceMissing",
            message=f"The workspace {init['workspace']} can't be entered: {error.strerror}.",
            cause="The folder was moved or removed, or its rights were changed, after the engine had started.",
            next_step="Bring the folder back and start the run again.",
        )
        raise Broken(failure) from error


class Watcher:
    """Ends this process, with all below it, once the engine is gone or the imports take too long.

    It works whatever the node's code does, in a thread that this code neither sees nor waits for. Whoever holds
    `decision` first says what became of the imports.
    """

    def __init__(self, sock: socket.socket, init: dict[str, Any]) -> None:
        self.decision = threading.Lock()
        self._socket = sock
        self._init = init
        self._main = threading.get_ident()
        self._import_seconds = float((init.get("limits") or {}).get("import_seconds", IMPORT_SECONDS))
        # In a child that node code forks, nobody may speak in this process's name.
        os.register_at_fork(after_in_child=_close_channels)
        _thread.start_new_thread(self._watch, ())

    def _watch(self) -> None:
        descriptor = self._socket.fileno()
        if descriptor < 0:
            # The run was over before this thread came to its turn.
            return
        poll = select.poll()
        # Only hang-up and errors, which are always reported: the frames are for others to read.
        poll.register(descriptor, 0)
        seen = poll.poll(self._import_seconds * 1000)
        if not seen:
            if self.decision.acquire(blocking=False):
                self._give_up()
            seen = poll.poll()
        if any(event & select.POLLNVAL for _, event in seen):
            # Where this side closed it, the process ends by itself within that time.
            time.sleep(END_SECONDS + 0.5)
            _channel_lost(CLOSED_BY_OTHERS)
        end_now()

    def _give_up(self) -> None:
        failure = Failure(
            type="NodeImportError",
            message=f"Importing the workflow's code took more than {self._import_seconds:g} s.",
            traceback=trimmed_stack(sys._current_frames()[self._main], self._init["folder"]),
            cause="Something at the top level of nodes.py, or of what it imports, does not come back.",
            next_step="Move slow work from the top level into the nodes' methods.",
        )
        frame = {"t": "broken", "e": self._init.get("e", 0), "failure": failure_document(failure)}
        with contextlib.suppress(OSError):
            self._socket.sendall(encode_frame(frame))
        end_now()


def _run(sock: socket.socket, reader: FrameReader, early: list[Frame], session: Session) -> None:
    """Run the session on an event loop, then give what it leaves behind a moment to end."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)

    async def drive() -> None:
        channel = SocketChannel(sock, session.on_frame, _channel_lost, reader=reader)
        session.attach(channel.send, channel.read_within)
        for header, payload in early:
            session.on_frame(header, payload)
        await session.run()
        crash_point("process.run_over")
        channel.finish()

    _drive(loop, loop.create_task(drive()))
    _end_soon()
    leftover = asyncio.all_tasks(loop)
    for task in leftover:
        task.cancel()
    if leftover:
        loop.run_until_complete(asyncio.wait(leftover, timeout=END_SECONDS / 4))
    loop.run_until_complete(loop.shutdown_asyncgens())


def _drive(loop: asyncio.AbstractEventLoop, driving: asyncio.Task[None]) -> None:
    """Run the loop until the task is done; what a task of the node's own raises to end the program, ends that alone.

    Whoever awaits that task gets it and fails; where nobody does, the log has it.
    """
    while not driving.done():
        try:
            loop.run_until_complete(driving)
        except (SystemExit, KeyboardInterrupt) as error:
            if driving.done():
                raise
            print(f"a task that the node's code started raised {describe_error(error)}", file=sys.stderr)
    driving.result()


def _channel_lost(reason: str) -> NoReturn:
    """The engine is gone, or node code closed the socket: nothing that happens from here on would be kept."""
    if reason:
        print(f"{LOST_ENGINE}: {reason}", file=sys.__stderr__)
        os._exit(FAILED)
    end_now()


def _end_soon() -> None:
    """Have the system end this process in a while, however the clean end goes."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, END_SECONDS)


def _finish(capture: Capture) -> NoReturn:
    """Run exit handlers, pass on the last output and end, without waiting for threads that node code left."""
    _end_soon()
    atexit._run_exitfuncs()
    capture.end()
    os._exit(0)
